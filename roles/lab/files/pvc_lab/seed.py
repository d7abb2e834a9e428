# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that the lab lays into a node before it boots: who it is, its network, its package source, who may log in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .config import Lab, Node
from .disks import LoopDevice
from .network import hardware_address


@dataclass(frozen=True)
class SeedFile:
    """One file. `once` leaves it alone when it is there: from then on it is the node's, and the roles'."""

    content: str
    mode: int = 0o644
    once: bool = False


def node_files(
    lab: Lab,
    node: Node,
    *,
    loops: Iterable[LoopDevice],
    sources: str,
    apt_settings: str,
    authorized_keys: str,
    host_key: str,
    machine_id: str,
) -> dict[str, SeedFile]:
    """All files for one node, by path below its root."""
    upstream = node.addresses[lab.networks[0].name].ip
    files = {
        "etc/hostname": SeedFile(f"{node.name}\n"),
        "etc/hosts": SeedFile(f"127.0.0.1 localhost\n::1 localhost\n{upstream} {node.name}\n", once=True),
        "etc/resolv.conf": SeedFile("", once=True),
        "etc/machine-id": SeedFile(f"{machine_id}\n", mode=0o444),
        "etc/apt/sources.list": SeedFile(sources),
        "etc/apt/apt.conf.d/90lab": SeedFile(apt_settings),
        "etc/ssh/ssh_host_ed25519_key": SeedFile(host_key, mode=0o600),
        "root/.ssh/authorized_keys": SeedFile(authorized_keys, mode=0o600),
        "etc/tmpfiles.d/lab-disks.conf": SeedFile(device_rules(node, loops)),
    }
    for network in lab.networks:
        files[f"etc/systemd/network/10-{network.name}.network"] = SeedFile(network_unit(node, network.name))
    return files


def network_unit(node: Node, network: str) -> str:
    """A static address that stays when the cable is cut, as on most servers: peers time out instead of being told."""
    return f"""\
[Match]
MACAddress={hardware_address(node.name, network)}

[Link]
RequiredForOnline=no-carrier:routable

[Network]
Address={node.addresses[network]}
ConfigureWithoutCarrier=yes
IgnoreCarrierLoss=yes
IPv6AcceptRA=no
"""


def device_rules(node: Node, loops: Iterable[LoopDevice]) -> str:
    """Rules for systemd-tmpfiles that make the disks' device nodes at each boot, under the host's numbers of today."""
    rows = []
    for loop in loops:
        rows += [
            f"b+ {loop.path} 0660 root disk - {loop.major}:{loop.minor}",
            f"L+ /dev/disk/by-id/{loop.stable_name(node)} - - - - ../../{loop.path.name}",
        ]
    return "".join(row + "\n" for row in rows)


def write_files(root: Path, files: Mapping[str, SeedFile]) -> None:
    """Lay files into a node's root; unchanged ones are not touched, so that nothing is copied up without need."""
    for name, seed in files.items():
        path = root / name
        if path.is_symlink():
            path.unlink()
        if path.exists() and (seed.once or path.read_text() == seed.content):
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o755)
        path.unlink(missing_ok=True)
        path.touch(mode=seed.mode)
        path.write_text(seed.content)
        path.chmod(seed.mode)
