# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last lines of a VM's serial console, from the file in which libvirt keeps them on the VM's node."""

from __future__ import annotations

import os
import socket
from typing import Any

from .errors import InvalidRequest
from .snapshot import Snapshot
from .views import vm_status

#: How many lines can be asked for.
LINES = range(1, 10_001)
#: Bytes that are read at most.
_MOST = 1 << 20


def console_view(snapshot: Snapshot, name: str, count: int) -> dict[str, Any]:
    """The last lines of a VM that exists, with where they are; no lines where they cannot be read, and ``where`` says why."""
    node, observed = snapshot.owner(name), vm_status(snapshot, name)
    path = observed.console if observed is not None else ""
    found: dict[str, Any] = {"lines": None, "node": node, "path": path}
    if not path:
        return {**found, "where": f"it has not run on {node} yet"}
    if this_node() != node:
        return {**found, "where": f"in {path} on {node}, and can be read only there"}
    try:
        return {**found, "lines": last_lines(path, count), "where": f"in {path} on {node}"}
    except OSError as err:
        raise InvalidRequest(
            f"{path} cannot be read: {err.strerror}", obj=f"vm {name}", option="name", remedy="do it as root"
        ) from err


def this_node() -> str:
    """What this machine would be called as a node."""
    return socket.gethostname().partition(".")[0]


def last_lines(path: str, count: int) -> list[str]:
    """The last lines of a file, of which only the end is read; bytes that are no text are shown as such."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MOST))
        lines = file.read(_MOST).decode("utf-8", "backslashreplace").splitlines()
    return lines[-count:]
