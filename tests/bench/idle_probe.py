# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: what the agent uses in so many seconds, and what an idle Python with the same bindings uses."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

#: A Python that has loaded what the agent cannot do without, and waits.
REFERENCE = "import kazoo.client, libvirt, rados, rbd; print('ready', flush=True); input()"


def main_pid(unit: str) -> int:
    command = ["systemctl", "show", "--property=MainPID", "--value", unit]
    pid = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if not pid:
        sys.exit(f"{unit} is not running on {socket.gethostname()}: start it, or repair the lab with make lab")
    return pid


def memory(pid: int) -> float:
    """Resident memory in MB."""
    match = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(match[1]) / 1000 if match else 0.0


def processor(pid: int) -> float:
    """Seconds of processor time that the process has used."""
    # The name, in parentheses, may hold blanks: utime and stime are fields 14 and 15 of the whole line.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last_transaction() -> int:
    """The last transaction that the local ZooKeeper knows of; it counts on with every write of anybody."""
    with socket.create_connection(("127.0.0.1", 2181), timeout=5) as server:
        server.sendall(b"srvr")
        answer = server.makefile().read()
    match = re.search(r"^Zxid: 0x([0-9a-f]+)$", answer, re.MULTILINE)
    if not match:
        sys.exit(f"ZooKeeper on 127.0.0.1:2181 does not tell its state: {answer!r}")
    return int(match[1], 16)


def main(seconds: float) -> None:
    agent, zookeeper = main_pid("pvc-node-agent.service"), main_pid("zookeeper.service")
    before = (processor(agent), processor(zookeeper), last_transaction(), time.monotonic())
    time.sleep(seconds)
    after = (processor(agent), processor(zookeeper), last_transaction(), time.monotonic())
    # The upper half of a transaction's number is the leader's epoch: across two leaders there is nothing to count.
    if after[2] >> 32 != before[2] >> 32:
        sys.exit("ZooKeeper elected a new leader meanwhile, so this was no idle cluster: measure again")
    elapsed = after[3] - before[3]
    with subprocess.Popen(
        ["/usr/bin/python3", "-c", REFERENCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reference:
        assert reference.stdout is not None
        reference.stdout.readline()
        bare = memory(reference.pid)
        reference.communicate(b"\n")
    print(
        json.dumps(
            {
                "memory": memory(agent),
                "memory_of_bare_python": bare,
                "processor": 100 * (after[0] - before[0]) / elapsed,
                "processor_of_zookeeper": 100 * (after[1] - before[1]) / elapsed,
                "writes": after[2] - before[2],
                "writes_before": before[2],
            }
        )
    )


if __name__ == "__main__":
    main(float(sys.argv[1]))
