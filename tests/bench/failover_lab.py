# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the measurement of failovers asks of the lab, and does to it: who leads what, power, and processes."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import kazoo_store
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.kazoo_store import KazooStore

from tests.bench.lab import LAB

T = TypeVar("T")

COMMAND = str(LAB / "bin" / "pvc-lab")
#: Roles that a node can have, beside running VMs.
AGENTS, ZOOKEEPER, CEPH = "agents", "ZooKeeper", "Ceph"

_ZOOKEEPER_MODE = """\
import socket
with socket.create_connection(("127.0.0.1", 2181), 2) as server:
    server.sendall(b"srvr")
    print(server.makefile().read())
"""

_GUESTS = """\
import json, pathlib
found = {}
for path in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        words = (path / "cmdline").read_bytes().split(b"\\0")
        # the name, in parentheses, may hold blanks; the start time is field 22 of the whole line
        began = int((path / "stat").read_text().rpartition(")")[2].split()[19]) / 100
    except OSError:
        continue
    if b"qemu-system" in words[0]:
        name = words[words.index(b"-name") + 1].decode().split(",")[0].removeprefix("guest=")
        found[name] = began
print(json.dumps(found))
"""


def lab(*words: str, check: bool = True) -> str:
    """Run a command of the lab."""
    done = subprocess.run([COMMAND, *words], check=False, capture_output=True, text=True, timeout=300)
    if check and done.returncode != 0:
        raise RuntimeError(f"pvc-lab {' '.join(words)} failed: {done.stderr}")
    return done.stdout


def ssh(node: str, command: str, text: str = "") -> str:
    """Run a command on a node."""
    done = subprocess.run(
        [COMMAND, "ssh", node, command], input=text, check=False, capture_output=True, text=True, timeout=120
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command!r} on {node} failed: {done.stderr}")
    return done.stdout


def until(look: Callable[[], T | None], what: str, timeout: float = 240, pause: float = 0.5) -> T:
    """Look again and again until there is something."""
    end = time.monotonic() + timeout
    while True:
        try:
            found = look()
        except (RuntimeError, subprocess.TimeoutExpired):
            found = None
        if found is not None:
            return found
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {timeout:g} s")
        time.sleep(pause)


class Cluster:
    """The lab's three coordinators."""

    def __init__(self, addresses: dict[str, str], connection: dict[str, Any]) -> None:
        self.addresses = addresses
        self.nodes = sorted(addresses)
        self.connection = Connection(**{"username": "pvc", **connection, "hosts": tuple(connection["hosts"])})

    @contextmanager
    def store(self) -> Iterator[KazooStore]:
        """A connection of its own to the tree."""
        store = kazoo_store.connect(self.connection)
        try:
            yield store
        finally:
            store.close()

    def leader(self, role: str) -> str | None:
        """The node that leads, None while nobody does."""
        if role == AGENTS:
            with self.store() as store:
                znode = store.get("/leader")
            return None if znode is None else str(json.loads(znode.data)["node"])
        if role == CEPH:
            return str(self.ceph("quorum_status")["quorum_leader_name"])
        modes = {node: ssh(node, "python3 -", _ZOOKEEPER_MODE) for node in self.nodes}
        return next((node for node, mode in modes.items() if "Mode: leader" in mode), None)

    def ceph(self, *words: str) -> Any:
        """What Ceph answers, asked on any node that answers."""
        for node in self.nodes:
            try:
                return json.loads(ssh(node, f"timeout 20 ceph {' '.join(words)} --format json"))
            except (RuntimeError, subprocess.TimeoutExpired):
                continue
        raise RuntimeError("no node answers for Ceph")

    def make_lead(self, role: str, node: str) -> None:
        """Have a node lead ZooKeeper or the agents; Ceph's leader is the first of the monitors that live."""
        for _turn in range(8):
            now = until(lambda: self.leader(role), f"somebody leads {role}", 60)
            if now == node:
                return
            if role == AGENTS:
                ssh(now, "systemctl restart pvc-node-agent")
                until(lambda: self.leader(AGENTS), "an agent leads", 60)
            else:
                self._elect(node)
        raise RuntimeError(f"{node} does not come to lead {role}")

    def _elect(self, node: str) -> None:
        """ZooKeeper elects who has seen most: the node and one other see a write that the third one has not."""
        other, third = [name for name in self.nodes if name != node]
        ssh(third, "systemctl stop zookeeper")
        with self.store() as store:
            until(lambda: store.get("/schema"), "ZooKeeper serves", 30)
        ssh(other, "systemctl stop zookeeper")
        ssh(third, "systemctl start zookeeper")
        until(lambda: True if "Mode: leader" in ssh(node, "python3 -", _ZOOKEEPER_MODE) else None, f"{node} leads", 30)
        ssh(other, "systemctl start zookeeper")
        until(lambda: True if "Mode: follower" in ssh(other, "python3 -", _ZOOKEEPER_MODE) else None, "all serve", 30)

    def guests(self, node: str) -> dict[str, float]:
        """When each QEMU on a node was started, in seconds since the machine's boot."""
        return dict(json.loads(ssh(node, "python3 -", _GUESTS)))


class PowerCut:
    """A node's plug is pulled. at: when its first cable went down, by the monotonic clock."""

    def __init__(self, node: str) -> None:
        self._node, self._seen = node, threading.Event()
        self.at = 0.0
        # A line for each change of an interface, as it happens.
        command = ["stdbuf", "-oL", "ip", "-n", "pvclab", "monitor", "link"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as monitor:
            thread = threading.Thread(target=self._watch, args=(monitor,), daemon=True)
            thread.start()
            time.sleep(0.2)  # until it listens; nothing tells
            lab("power-cut", node)
            if not self._seen.wait(5):
                raise RuntimeError(f"nobody saw the cables of {node} go down")
            monitor.terminate()
            thread.join()

    def _watch(self, monitor: subprocess.Popen[str]) -> None:
        assert monitor.stdout is not None
        for line in monitor.stdout:
            if f"-{self._node}@" in line and "state DOWN" in line and not self._seen.is_set():
                self.at = time.monotonic()
                self._seen.set()
