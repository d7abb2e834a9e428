# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change would do: computed once, shown by check mode, carried out by commit()."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from . import paths
from .errors import PvcError, Refusals
from .records import Change
from .snapshot import Snapshot
from .store import Check, Op, Set

__all__ = ["Change", "Plan", "diff", "each", "guard", "sentence"]

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """A change of the tree, decided.

    Attributes:
        changes: every object that changes, in the order of the request.
        groups: operations on the tree; those of one group become visible together to everybody, agents included.
        guard: operations that hold the plan to the state that it was decided on.
        after: the snapshot as it will be, as far as the plan decides it.
        why: of each object asked for, by name, changed or not: one sentence.
    """

    changes: tuple[Change, ...]
    groups: tuple[tuple[Op, ...], ...]
    guard: tuple[Op, ...]
    after: Snapshot
    why: Mapping[str, str]

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.changes)

    @property
    def ops(self) -> tuple[Op, ...]:
        """All operations as one transaction; none when nothing changes."""
        return (*self.guard, *(op for group in self.groups for op in group)) if self.changed else ()

    def diff(self) -> dict[str, str]:
        """What differs and nothing else, as two texts for Ansible's diff mode."""
        return diff(self.changes)


_MISSING = object()


def guard(snapshot: Snapshot) -> tuple[Op, ...]:
    """No other commit of desired state since the snapshot, the same schema, and a new revision for the next one."""
    return (Check(paths.SCHEMA, snapshot.schema_version), Set(paths.JOURNAL, b"", snapshot.journal))


def each(requests: Iterable[T], add: Callable[[T], None]) -> None:
    """Add every request to a plan; raises all errors at once, so that whoever asks need not mend one after the other."""
    refused: list[PvcError] = []
    for request in requests:
        try:
            add(request)
        except PvcError as err:
            refused.append(err)
    if len(refused) == 1:
        raise refused[0]  # as the error that it is, of a damaged record for example
    if refused:
        raise Refusals(refused)


def diff(changes: Iterable[Change]) -> dict[str, str]:
    """What differs between before and after and nothing else, as two texts for Ansible's diff mode."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for change in changes:
        label = f"{change.kind} {change.name}".rstrip()
        old, new = change.before or {}, change.after or {}
        keys = [key for key in {**old, **new} if old.get(key, _MISSING) != new.get(key, _MISSING)]
        if change.before is not None:
            before.setdefault(label, {}).update({key: old[key] for key in keys if key in old})
        if change.after is not None:
            after.setdefault(label, {}).update({key: new[key] for key in keys if key in new})
    return {"before": _text(before), "after": _text(after)}


def sentence(parts: Sequence[str]) -> str:
    """Parts of a reason as one sentence."""
    return "; ".join(part for part in parts if part)


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, sort_keys=True) + "\n" if value else ""
