# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who makes a commit, as modules, actions and the command line say it."""

from __future__ import annotations

import getpass
import os
import socket

from .records import Author

#: Characters of each that a commit remembers.
_SAID = 200


def signature(who: str | None, via: str | None) -> Author:
    """An author of whatever was given: on one line, as lists show it, and not too long."""
    who, via = (" ".join((text or "").split())[:_SAID] for text in (who, via))
    return Author(who, via)


def whoever() -> str:
    """Who runs this program, and where: the user of the system, also behind sudo, or its number where it has no name."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no variable names one, and the system has none with this number
        user = f"uid {os.getuid()}"
    return f"{user} on {socket.gethostname()}"
