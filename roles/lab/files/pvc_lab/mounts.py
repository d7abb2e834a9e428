# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts that no one else sees, and that vanish with the process that made them.

Whatever mounts something in the lab runs in a mount namespace of its own. So a process that is killed leaves no stale
mount behind, on purpose or by accident.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .shell import LabError, run

MARK = "PVC_LAB_PRIVATE_MOUNTS"


def enter_private_mounts() -> None:
    """Run this same command again in a mount namespace of its own, unless it is in one already."""
    if os.environ.get(MARK) == str(os.getpid()):
        return
    if MARK in os.environ:
        del os.environ[MARK]
    # unshare executes the command in place, so the process keeps its number: that is the proof which the mark carries.
    os.environ[MARK] = str(os.getpid())
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.orig_argv[1:]]
    os.execvp(command[0], command)  # noqa: S606


def overlay(layers: Sequence[Path], upper: Path, work: Path, target: Path) -> None:
    """Mount a writable layer over read-only ones, the topmost first."""
    for path in (upper, work, target):
        path.mkdir(parents=True, exist_ok=True)
    for layer in layers:
        if not layer.is_dir():
            raise LabError(f"the image layer {layer} is gone; 'make lab-destroy' and 'make lab' build everything anew")
    lower = ":".join(str(layer) for layer in layers)
    options = f"lowerdir={lower},upperdir={upper},workdir={work},index=off"
    run("mount", "-t", "overlay", "-o", options, "pvc-lab", target)


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Show a file or folder at a second place."""
    run("mount", "--bind", source, target)
    if read_only:
        run("mount", "-o", "remount,bind,ro", target)


def chroot_mounts(root: Path) -> None:
    """What packages' scripts expect of a system that they are installed in."""
    run("mount", "-t", "proc", "proc", root / "proc")
    run("mount", "-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        node = root / "dev" / name
        node.touch()
        bind(Path("/dev") / name, node)
    (root / "dev/pts").mkdir()
    (root / "dev/shm").mkdir(mode=0o1777)
    (root / "dev/fd").symlink_to("/proc/self/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        (root / "dev" / name).symlink_to(f"/proc/self/fd/{number}")
    run("mount", "-t", "tmpfs", "tmpfs", root / "run")
