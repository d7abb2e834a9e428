# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of the library: one root, one class per kind of cause.

Every error names the object, the option, what is wrong and what would be right, so that a module or a command line can
show it as it is. Lower layers raise these; nothing but the outermost layer catches them.
"""

from __future__ import annotations

from collections.abc import Sequence


class PvcError(Exception):
    """Root of all errors that the library raises on purpose.

    Args:
        problem: what is wrong, one sentence without a full stop.
        obj: the object concerned, such as ``vm web1``; empty when the whole call failed.
        option: the option or field concerned, such as ``disks[0].pool``; empty when none.
        remedy: what would be right or what to do, one sentence without a full stop.
    """

    def __init__(self, problem: str, *, obj: str = "", option: str = "", remedy: str = "") -> None:
        self.problem = problem
        self.obj = obj
        self.option = option
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        where = ", ".join(part for part in (self.obj, self.option) if part)
        text = f"{where}: {self.problem}" if where else self.problem
        return f"{text}; {self.remedy}" if self.remedy else text


class InvalidRequest(PvcError):
    """The request cannot be fulfilled as it stands: bad value, unknown object, no room."""


class NotFound(InvalidRequest):
    """The object that was asked for by name does not exist."""


class Refusals(InvalidRequest):
    """Several objects of one request cannot be as they are asked for.

    ``errors`` has one error for each; its own parts are those of the first.
    """

    #: How many a sentence tells before it counts the rest.
    TOLD = 5

    def __init__(self, errors: Sequence[PvcError]) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        super().__init__(first.problem, obj=first.obj, option=first.option, remedy=first.remedy)

    def __str__(self) -> str:
        if len(self.errors) == 1:
            return str(self.errors[0])
        more = len(self.errors) - self.TOLD
        told = " | ".join(str(error) for error in self.errors[: self.TOLD])
        return f"{len(self.errors)} things are refused: {told}{f' | and {more} more' if more > 0 else ''}"


class DamagedRecord(PvcError):
    """A znode that the request needs holds bytes that are no record of its kind."""


class SchemaMismatch(PvcError):
    """The tree is of a schema version that this software does not write, or is not initialised."""


class Conflict(PvcError):
    """Others kept changing what the plan rests on, or exactly one attempt was asked for."""


class StoreError(PvcError):
    """The store could not be asked."""


class StoreUnavailable(StoreError):
    """No server answers, or the session was lost."""


class OutcomeUnknown(StoreUnavailable):
    """The connection was lost while a commit was under way: all of it took effect, or nothing."""


class AccessDenied(StoreError):
    """The store answers, but refuses the credentials."""


class WaitTimeout(PvcError):
    """The change was committed, but was not seen to take effect within the time given."""
