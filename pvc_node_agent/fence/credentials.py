# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords of fence devices: a file each below one directory on the coordinators, named by the state, never in it."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from ..env import EffectFailed

#: What a name may be, so that it cannot lead out of the directory.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Credentials:
    """The files below a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def file(self, name: str) -> Path:
        """The file of a credential, of which the first line is a password. Raises EffectFailed if it is not fit."""
        if not _NAME.fullmatch(name):
            raise EffectFailed(f"{name!r} is no name of a credential: give that of a file below {self._directory}")
        path = self._directory / name
        fix = "role node_agent writes it from node_agent_fence_credentials"
        try:
            status = path.lstat()
            words = path.read_bytes()
        except FileNotFoundError:
            raise EffectFailed(f"credential {name} is not on this coordinator ({path} is missing): {fix}") from None
        except OSError as err:
            raise EffectFailed(f"credential {name} cannot be read ({path}: {err.strerror}): {fix}") from None
        if not stat.S_ISREG(status.st_mode):
            raise EffectFailed(f"credential {name} is no regular file ({path}): {fix}")
        if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise EffectFailed(f"credential {name} is open to others than its owner (mode {mode}): chmod 0600 {path}")
        if not words.partition(b"\n")[0].strip():
            raise EffectFailed(f"credential {name} is empty ({path}): {fix}")
        return path

    def password(self, name: str) -> str:
        """The password itself. Raises EffectFailed."""
        path = self.file(name)
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError):
            raise EffectFailed(f"credential {name} cannot be read as text ({path})") from None
