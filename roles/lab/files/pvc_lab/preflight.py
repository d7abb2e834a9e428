# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this machine can carry the lab; looked at before anything is changed, and told in one line."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DEBIAN_RELEASES = ("12", "13")
FILE_SYSTEMS = ("overlay", "tmpfs", "cgroup2")
LINK_TYPES = ("bridge", "veth")


@dataclass(frozen=True)
class Machine:
    """What matters of a machine."""

    system: str
    release: str
    architecture: str
    is_root: bool
    memory_mb: int
    disk_gb: float
    file_systems: frozenset[str]
    unified_groups: bool
    link_types: frozenset[str]
    has_loop: bool
    taken_interfaces: frozenset[str]


def missing(machine: Machine, *, memory_mb: int, disk_gb: int, bridges: Sequence[str]) -> list[str]:
    """Everything that stands against the lab, each with its remedy."""
    found = []
    if not machine.is_root:
        found.append("root (call it with sudo)")
    if machine.system != "debian" or machine.release not in DEBIAN_RELEASES:
        found.append(f"Debian {' or '.join(DEBIAN_RELEASES)} (this is {machine.system} {machine.release})")
    if machine.architecture != "x86_64":
        found.append(f"an x86_64 processor (this is {machine.architecture})")
    if machine.memory_mb < memory_mb:
        found.append(f"{memory_mb / 1024:.1f} GB of free memory (there are {machine.memory_mb / 1024:.1f})")
    if machine.disk_gb < disk_gb:
        found.append(f"{disk_gb} GB of free disk for the state folder (there are {machine.disk_gb:.1f})")
    lacking = [name for name in FILE_SYSTEMS if name not in machine.file_systems]
    if lacking:
        found.append(f"a kernel with {', '.join(lacking)} (try modprobe)")
    if not machine.unified_groups:
        found.append("cgroup2 mounted somewhere below /sys/fs/cgroup")
    lacking = [name for name in LINK_TYPES if name not in machine.link_types]
    if machine.is_root and lacking:
        found.append(f"a kernel with network devices of type {', '.join(lacking)} (try modprobe)")
    if not machine.has_loop:
        found.append("loop devices (try modprobe loop)")
    taken = sorted(machine.taken_interfaces.intersection(bridges))
    if taken:
        found.append(f"interfaces {', '.join(taken)} out of the way (they are not the lab's)")
    return found


def inspect(directory: Path, bridges: Sequence[str]) -> Machine:
    """Look at this machine."""
    release = platform.freedesktop_os_release()
    existing = next(path for path in [directory, *directory.parents] if path.exists())
    return Machine(
        system=release.get("ID", "unknown"),
        release=release.get("VERSION_ID", ""),
        architecture=platform.machine(),
        is_root=os.geteuid() == 0,
        memory_mb=available_memory_mb(Path("/proc/meminfo").read_text()),
        disk_gb=shutil.disk_usage(existing).free / 1024**3,
        file_systems=frozenset(name for name in FILE_SYSTEMS if has_file_system(name)),
        unified_groups=" - cgroup2 " in Path("/proc/self/mountinfo").read_text(),
        link_types=frozenset(name for name in LINK_TYPES if has_link_type(name)),
        has_loop=Path("/dev/loop-control").exists(),
        taken_interfaces=frozenset(name for name in bridges if is_foreign(name)),
    )


def available_memory_mb(meminfo: str) -> int:
    """What the kernel could give to new processes."""
    for row in meminfo.splitlines():
        if row.startswith("MemAvailable:"):
            return int(row.split()[1]) // 1024
    return 0


def has_file_system(name: str) -> bool:
    """Whether the kernel knows a file system, or can load it."""
    known = Path("/proc/filesystems").read_text().split()
    return name in known or succeeds("modprobe", "--quiet", "--dry-run", name)


def has_link_type(name: str) -> bool:
    """Whether the kernel can make a network device of a type; tried out of sight, in a namespace that ends at once."""
    return succeeds("unshare", "--net", "ip", "link", "add", "probe", "type", name)


def is_foreign(interface: str) -> bool:
    """Whether there is an interface of that name that is something else than the lab's cable to its switches."""
    path = Path("/sys/class/net") / interface
    return path.exists() and (path / "bridge").exists()


def succeeds(*command: str) -> bool:
    """Whether a command exists and ends well."""
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
