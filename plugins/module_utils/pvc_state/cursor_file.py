# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cursor in a file: replaced as a whole, for its owner's eyes only."""

from __future__ import annotations

from pathlib import Path

from .codec import Malformed, decode, encode
from .errors import InvalidRequest
from .happening import Cursor
from .whole_file import write_whole


def load_cursor(path: Path) -> Cursor | None:
    """The cursor in the file, None when there is no such file. Raises InvalidRequest for any other file."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise _refused(path, f"it cannot be read: {err.strerror or err}", "name a file that may be read") from err
    try:
        return decode(Cursor, data)
    except Malformed as err:
        raise _refused(
            path,
            f"it holds no cursor of events: {err}",
            "name the file that was written here, or one that does not exist",
        ) from err


def save_cursor(path: Path, cursor: Cursor) -> None:
    """Replace the file, or make it, with mode 0600. Raises InvalidRequest when it cannot be written."""
    try:
        write_whole(path, encode(cursor))
    except OSError as err:
        raise _refused(
            path,
            f"it cannot be written: {err.strerror or err}",
            "name a file in a directory that exists and may be written",
        ) from err


def _refused(path: Path, problem: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(problem, obj=f"file {path}", option="state_file", remedy=remedy)
