# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a machine lacks is told at once, with what would help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pvc_lab.preflight import FILE_SYSTEMS, LINK_TYPES, Machine, available_memory_mb, inspect, missing

GOOD = Machine(
    system="debian",
    release="13",
    architecture="x86_64",
    is_root=True,
    memory_mb=8000,
    disk_gb=40.0,
    file_systems=frozenset(FILE_SYSTEMS),
    unified_groups=True,
    link_types=frozenset(LINK_TYPES),
    has_loop=True,
    taken_interfaces=frozenset(),
)


def complaints(**changes: Any) -> list[str]:
    return missing(replace(GOOD, **changes), memory_mb=6144, disk_gb=15, bridges=["pvclab-up"])


def test_a_good_machine_lacks_nothing() -> None:
    assert complaints() == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"is_root": False}, "root (call it with sudo)"),
        ({"release": "11"}, "Debian 12 or 13 (this is debian 11)"),
        ({"system": "fedora", "release": "42"}, "Debian 12 or 13 (this is fedora 42)"),
        ({"architecture": "aarch64"}, "an x86_64 processor (this is aarch64)"),
        ({"memory_mb": 3072}, "6.0 GB of free memory (there are 3.0)"),
        ({"disk_gb": 4.26}, "15 GB of free disk for the state folder (there are 4.3)"),
        ({"file_systems": frozenset({"tmpfs", "cgroup2"})}, "a kernel with overlay (try modprobe)"),
        ({"link_types": frozenset({"veth"})}, "a kernel with network devices of type bridge (try modprobe)"),
        ({"unified_groups": False}, "cgroup2 mounted somewhere below /sys/fs/cgroup"),
        ({"has_loop": False}, "loop devices (try modprobe loop)"),
        (
            {"taken_interfaces": frozenset({"pvclab-up"})},
            "interfaces pvclab-up out of the way (they are not the lab's)",
        ),
    ],
)
def test_each_lack_is_named(changes: dict[str, Any], complaint: str) -> None:
    assert complaints(**changes) == [complaint]


def test_all_lacks_are_named_at_once() -> None:
    assert len(complaints(is_root=False, memory_mb=0, disk_gb=0.0)) == 3


def test_this_machine_can_be_looked_at(tmp_path: Path) -> None:
    machine = inspect(tmp_path / "not" / "there", ["lo"])
    assert machine.memory_mb > 0
    assert machine.disk_gb > 0
    assert not (tmp_path / "not").exists()


def test_memory_that_can_be_had_counts_not_only_what_is_unused() -> None:
    assert available_memory_mb("MemTotal: 100 kB\nMemFree: 1024 kB\nMemAvailable: 4096 kB\n") == 4
