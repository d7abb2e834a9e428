# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fence devices as the lab has them: a real ipmi_sim and the lab's Redfish service, in front of a machine that is a file."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles" / "lab" / "files"))

from pvc_lab.bmc import USER, Bmc
from pvc_lab.daemon import wait_for

from pvc_node_agent.fence.device import Devices
from pvc_state.records import FenceDevice

PASSWORD = "correct-horse"

_RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from pvc_lab.bmc import Bmc
name, directory, ipmi, redfish, password, *switch = sys.argv[2:]
Bmc(name, Path(directory), "127.0.0.1", int(ipmi), int(redfish), password, switch, "grep -q off ../power").run()
"""


class Machine:
    """A machine whose power is a file, and its controller, which runs in a process of its own."""

    def __init__(self, directory: Path) -> None:
        self.power = directory / "power"
        self.power.write_text("on\n")
        switch = ["sh", "-c", f'echo "$1" > {self.power}', "switch"]
        ports = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)
        self.bmc = Bmc("node1", directory / "bmc", "127.0.0.1", *ports, PASSWORD, switch, "grep -q off ../power")
        arguments = ["node1", str(self.bmc.directory), *map(str, ports), PASSWORD, *switch]
        self.process = subprocess.Popen([sys.executable, "-c", _RUN, sys.path[0], *arguments])
        wait_for(self._answers, 20, "the controller does not answer")

    def _answers(self) -> bool | None:
        assert self.process.poll() is None, (self.bmc.directory / "ipmi.log").read_text()
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.2)
            udp.connect(("127.0.0.1", self.bmc.ipmi_port))
            try:
                tcp.connect(("127.0.0.1", self.bmc.redfish_port))
                udp.send(bytes.fromhex("0600ff06 000011be80000000"))
                return bool(udp.recv(64)) or None
            except OSError:
                return None

    def behave(self, *words: str) -> None:
        self.bmc.behave(words)

    def device(self, kind: str, **more: str) -> FenceDevice:
        """As it would be declared."""
        known = {"ipmi": {"cipher_suite": "3"}, "redfish": {"ca_file": str(self.bmc.certificate)}}[kind]
        address = {
            "ipmi": f"127.0.0.1:{self.bmc.ipmi_port}",
            "redfish": f"https://127.0.0.1:{self.bmc.redfish_port}",
        }[kind]
        fields = {"name": "bmc", "address": address, "username": USER, "credential": "right", **more}
        return FenceDevice(kind=kind, options=known, **fields)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def free_port(kind: int) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path)
    yield machine
    machine.end()


@pytest.fixture
def write_credential(tmp_path: Path) -> Callable[[str, str, int], Path]:
    def write(name: str, text: str, mode: int = 0o600) -> Path:
        path = tmp_path / "fence.d" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def devices(tmp_path: Path, write_credential: Callable[[str, str], Path]) -> Devices:
    write_credential("right", f"{PASSWORD}\n")
    write_credential("wrong", "battery-staple\n")
    return Devices(tmp_path / "fence.d", patience=30.0)
