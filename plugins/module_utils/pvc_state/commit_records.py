# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of commits: who has changed what, when, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Kinds of what a commit can change.
CHANGED = ("vm", "node", "rule", "settings", "snapshot", "rollback", "declared dead")


@dataclass(frozen=True)
class Author:
    """Who makes a commit, as they say themselves; for people.

    Attributes:
        who: the person or the service; empty where nobody said.
        via: with what: a playbook and its play, a job, a command.
    """

    who: str = ""
    via: str = ""


@dataclass(frozen=True)
class Change:
    """One object before and after.

    Attributes:
        kind: one of CHANGED. name: of the object; empty where there is only one.
        before, after: as views show desired state; None where the object does not exist, or is to be deleted.
        why: one sentence: what happens and for what reason.
    """

    kind: str
    name: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    why: str


@dataclass(frozen=True)
class Commit:
    """/commits/REVISION: one commit of users, written in the transaction that made it.

    Attributes:
        revision: version of /journal that it wrote.
        at: when, by the committer's clock (ISO 8601, UTC): for people, never compared.
        who, via: its Author.
        changes: every object that it changed.
    """

    revision: int
    at: str
    who: str
    via: str
    changes: tuple[Change, ...]
