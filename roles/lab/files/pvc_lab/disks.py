# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of the nodes: sparse files of the state folder behind loop devices of the host."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .config import Disk, Node
from .shell import run


@dataclass(frozen=True)
class LoopDevice:
    """A disk of a node together with the loop device that serves it now."""

    disk: Disk
    path: Path
    major: int
    minor: int

    def stable_name(self, node: Node) -> str:
        """The name under /dev/disk/by-id that inventories use; the loop device's own number may change."""
        return f"lab-{node.name}-{self.disk.name}"


def image_file(node: Node, disk: Disk) -> Path:
    """The sparse file that holds a disk's content."""
    return node.directory / f"{disk.name}.img"


def attached() -> dict[str, str]:
    """Files behind loop devices: the file's path to the device's."""
    rows = json.loads(run("losetup", "--list", "--json", "--output", "NAME,BACK-FILE").stdout or "{}")
    return {row["back-file"]: row["name"] for row in rows.get("loopdevices", [])}


def attach(node: Node) -> list[LoopDevice]:
    """Make sure that each disk of a node has its file and its loop device."""
    present = attached()
    result = []
    for disk in node.disks:
        path = image_file(node, disk)
        if not path.exists():
            with path.open("wb") as sparse:
                sparse.truncate(disk.size_gb * 1024**3)
        device = present.get(str(path)) or run("losetup", "--find", "--show", path).stdout.strip()
        number = os.stat(device).st_rdev
        result.append(LoopDevice(disk, Path(device), os.major(number), os.minor(number)))
    return result


def detach(node: Node) -> None:
    """Give a node's loop devices back to the host; the files stay."""
    prefix = str(node.directory) + "/"
    for path, device in attached().items():
        if path.startswith(prefix):
            run("losetup", "--detach", device)
