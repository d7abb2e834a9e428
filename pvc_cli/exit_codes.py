# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What scripts learn from the exit code; docs/cli.md is the same table in words."""

from __future__ import annotations

from enum import IntEnum

from pvc_state import errors


class Exit(IntEnum):
    """How a command has ended."""

    DONE = 0
    #: What was asked is answered, and the answer is no: not healthy, no room.
    NO = 1
    #: With --detailed-exitcode: there are changes.
    CHANGES = 2
    REFUSED = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    DENIED = 6
    CONFLICT = 7
    TIMEOUT = 8
    DAMAGED = 9
    UNKNOWN_OUTCOME = 10
    USAGE = 64
    INTERNAL = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class SilentRefusal(Exception):
    """A refusal of which everything has been said."""


#: The first class that an error belongs to decides.
_CLASSES: tuple[tuple[type[errors.PvcError], Exit], ...] = (
    (errors.NotFound, Exit.NOT_FOUND),
    (errors.InvalidRequest, Exit.REFUSED),
    (errors.OutcomeUnknown, Exit.UNKNOWN_OUTCOME),
    (errors.AccessDenied, Exit.DENIED),
    (errors.StoreError, Exit.UNREACHABLE),
    (errors.Conflict, Exit.CONFLICT),
    (errors.WaitTimeout, Exit.TIMEOUT),
    (errors.DamagedRecord, Exit.DAMAGED),
    (errors.SchemaMismatch, Exit.DAMAGED),
)


def exit_code(error: errors.PvcError) -> Exit:
    """The exit code for an error of the library."""
    return next((code for kind, code in _CLASSES if isinstance(error, kind)), Exit.REFUSED)
