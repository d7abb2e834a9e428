# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt has written of how domains ended, for an agent that was not there to hear it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

#: Where libvirt keeps a log for each domain, and how the lines begin that matter.
DIRECTORY = Path("/var/log/libvirt/qemu")
_BEGAN, _ENDED, _MOVED = b": starting up libvirt", b": shutting down, reason=", b": shutting down, reason=migrated\n"
#: Bytes at the end of a log that are looked at: more than one start writes.
_TAIL = 1 << 16


def left(directory: Path = DIRECTORY) -> frozenset[str]:
    """The VMs whose last domain on this node was moved away while it ran."""
    found = set()
    for path in directory.glob("*.log"):
        with suppress(OSError):
            with path.open("rb") as log:
                log.seek(max(0, path.stat().st_size - _TAIL))
                tail = log.read()
            if has_left(tail):
                found.add(path.stem)
    return frozenset(found)


def has_left(tail: bytes) -> bool:
    """Whether the last domain in a log was moved away: libvirt says so only once the target has told it that all is there."""
    ended = tail.rfind(_ENDED)
    return ended > tail.rfind(_BEGAN) and tail.startswith(_MOVED, ended)
