# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: the one handle that catches every process of a node at once.

Only the unified hierarchy is used. A host that runs the older one beside it (or that has no systemd) serves as well,
since killing and freezing belong to the core and need no controller.
"""

from __future__ import annotations

import select
import time
from pathlib import Path

from .shell import LabError


def unified_mount() -> Path:
    """Where the unified hierarchy is mounted."""
    for row in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _separator, after = row.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    raise LabError("this machine has no cgroup2 mounted; boot it with systemd's default, the unified hierarchy")


def own_group() -> Path:
    """The unified control group of this process."""
    for row in Path("/proc/self/cgroup").read_text().splitlines():
        if row.startswith("0::"):
            return unified_mount() / row.removeprefix("0::").lstrip("/")
    raise LabError("this process is in no unified control group")


class Group:
    """One control group."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __truediv__(self, name: str) -> Group:
        return Group(self.path / name)

    @property
    def exists(self) -> bool:
        """Whether the group is there at all."""
        return self.path.is_dir()

    def create(self) -> None:
        """Make the group, with its parents."""
        self.path.mkdir(parents=True, exist_ok=True)

    def add(self, pid: int) -> None:
        """Move a process into this group."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def pids(self) -> list[int]:
        """Processes in this group and in those below it, as far as this process can name them."""
        found: list[int] = []
        for path in [self.path, *self.path.rglob("*")] if self.exists else []:
            if path.is_dir():
                try:
                    found += [int(word) for word in (path / "cgroup.procs").read_text().split()]
                except OSError:
                    continue  # the group went away while we looked
        return sorted(pid for pid in found if pid)

    def events(self) -> dict[str, bool]:
        """The group's state: populated and frozen. A group that is gone has neither."""
        try:
            return parse_events((self.path / "cgroup.events").read_text())
        except OSError:
            return {"populated": False, "frozen": False}

    def wait(self, event: str, value: bool, timeout: float) -> bool:
        """Wait until an event has a value; the kernel wakes us up. Tells whether it came in time."""
        try:
            watched = (self.path / "cgroup.events").open()
        except OSError:
            return not value
        with watched:
            poll = select.poll()
            poll.register(watched, select.POLLPRI)
            deadline = time.monotonic() + timeout
            while self.events()[event] != value:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                poll.poll(left * 1000)
                try:
                    watched.seek(0)
                    watched.read()
                except OSError:
                    return not value  # the group was removed meanwhile, so it was empty
        return True

    def kill(self, timeout: float = 10.0) -> None:
        """Kill everything in the group with SIGKILL, at once, and wait until nothing is left.

        Remove the group before anything is started in it again: some kernels kill what moves on from a group that was
        killed once into a newer one below it, since they compare the two groups' counts of kills.
        """
        try:
            (self.path / "cgroup.kill").write_text("1")
        except OSError:
            if self.exists:
                raise
            return
        if not self.wait("populated", False, timeout):
            raise LabError(f"processes of {self.path} are still there {timeout:g} s after SIGKILL: {self.pids()}")

    def freeze(self, frozen: bool, timeout: float = 10.0) -> None:
        """Stop or continue everything in the group, and wait until that is so."""
        if not self.exists:
            raise LabError(f"{self.path} does not exist, so there is nothing to freeze")
        (self.path / "cgroup.freeze").write_text("1" if frozen else "0")
        if not self.wait("frozen", frozen, timeout):
            raise LabError(f"{self.path} would not {'freeze' if frozen else 'thaw'} within {timeout:g} s")

    def clear(self) -> None:
        """Kill everything in the group and remove it."""
        self.kill()
        self.remove()

    def remove(self) -> None:
        """Remove the group and those below it; all must be empty."""
        if not self.exists:
            return
        below = sorted((path for path in self.path.rglob("*") if path.is_dir()), reverse=True)
        for path in [*below, self.path]:
            try:
                path.rmdir()
            except FileNotFoundError:
                continue


def parse_events(text: str) -> dict[str, bool]:
    """Read the content of cgroup.events."""
    values = dict(row.split(maxsplit=1) for row in text.splitlines())
    return {"populated": values.get("populated") == "1", "frozen": values.get("frozen") == "1"}
