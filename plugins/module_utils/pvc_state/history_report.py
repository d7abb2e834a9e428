# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has changed what, when and why, and what was wanted after any commit that is remembered. Pure.

The state at a commit is today's with every later commit taken back, the newest first. Leaders and agents write a few
desired records, too, without a commit (docs/state.md): what they wrote counts as wanted until the next commit that
changed the same object, which says how it found it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .codec import Stored
from .errors import DamagedRecord, InvalidRequest
from .kinds import ORDER
from .plan import diff
from .records import Change, Commit
from .snapshot import Snapshot

#: Commits by revision, the newest first, as commit_log reads them.
Commits = Iterable[tuple[int, Stored[Commit]]]

#: Desired views by kind and name.
State = dict[str, dict[str, Mapping[str, Any]]]

#: The same while some objects are not known (None): their records are damaged.
_Views = dict[str, dict[str, Any]]


def history_views(
    commits: Commits, *, kind: str = "", name: str = "", who: str = "", via: str = "", limit: int | None = None
) -> list[dict[str, Any]]:
    """Commits as results show them, each with those of its changes that all filters let through; never one without any.

    Args:
        kind, name: of the objects that changed. who, via: a part of what the commit says. Empty for all.
        limit: so many commits at most.
    """
    found: list[dict[str, Any]] = []
    for revision, stored in commits:
        if limit is not None and len(found) >= limit:
            break
        commit = stored.value
        if commit is None:
            if not (kind or name or who or via):
                found.append({**_view(Commit(revision, "", "", "", ())), "damaged": stored.invalid})
        elif who in commit.who and via in commit.via:
            changes = tuple(one for one in commit.changes if kind in ("", one.kind) and _is_about(one, name))
            if changes:
                found.append(_view(commit, changes))
    return found


def state_at(snapshot: Snapshot, commits: Commits, revision: int) -> State:
    """What was wanted right after a commit: of each kind the views by name, as changes have them.

    Args:
        commits: read after the snapshot; only as many are taken as are needed.
        revision: of the commit. Any other number stands for the last commit before it.

    Raises InvalidRequest when that is not remembered, DamagedRecord when what is needed cannot be read.
    """
    if revision > snapshot.journal:
        problem = f"there is no revision {revision} yet: the newest is {snapshot.journal}"
        raise InvalidRequest(
            problem, option="commit", remedy="give the revision of a commit, as history_info lists them"
        )
    views = _today(snapshot)
    for commit in _later(snapshot, commits, revision):
        for change in reversed(commit.changes):
            _take_back(views, change)
    return {
        kind: {name: _known(kind, name, view) for name, view in sorted(named.items())} for kind, named in views.items()
    }


def _later(snapshot: Snapshot, commits: Commits, revision: int) -> Iterator[Commit]:
    """The commits between a revision and the snapshot, the newest first; raises when they may not be all."""
    oldest = None
    for number, stored in commits:
        if number <= revision:
            return
        oldest = number
        if number > snapshot.journal:
            continue  # made since the snapshot was read
        if stored.value is None:
            raise DamagedRecord(
                f"its record cannot be read: {stored.invalid}",
                obj=f"commit {number}",
                remedy=f"what was wanted can only be told from revision {number} on",
            )
        yield stored.value
    if revision == snapshot.journal:
        return
    problem = f"what was wanted at revision {revision} is not remembered"
    remedy = "no commit is" if oldest is None else f"the oldest commit that is has revision {oldest}"
    raise InvalidRequest(problem, option="commit", remedy=remedy)


def _today(snapshot: Snapshot) -> _Views:
    """What is wanted now of all kinds of objects that are states, not acts."""
    views: _Views = {}
    for kind in ORDER:
        damaged = (name for name, stored in kind.records(snapshot).items() if stored.value is None)
        views[kind.name] = {**kind.views(snapshot), **dict.fromkeys(damaged)}
    return views


def _take_back(views: _Views, change: Change) -> None:
    """What was wanted before a change."""
    named, before, after = views.get(change.kind), change.before, change.after
    if named is None or "claim" in (before or {}):
        return  # no desired state of an object: a snapshot, a rollback, an operator's word, where a VM is to run
    if before is not None and after is not None and "name" in after:
        named[change.name] = named.pop(str(after["name"]), None)
    elif not before or before.get("state") == "absent":
        # it did not exist, was damaged, or was about to be deleted
        named.pop(change.name, None)
    else:
        now = named.get(change.name)
        # what only one of them knows was written by another release
        named[change.name] = {key: before.get(key, value) for key, value in now.items()} if now else before


def _known(kind: str, name: str, view: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if view is None:
        raise DamagedRecord(
            "its record cannot be read", obj=f"{kind} {name}".rstrip(), remedy="restore or remove it first"
        )
    return view


def _view(commit: Commit, changes: Iterable[Change] = ()) -> dict[str, Any]:
    shown = tuple(changes)
    return {
        "revision": commit.revision,
        "damaged": "",
        "at": commit.at,
        "who": commit.who,
        "via": commit.via,
        "objects": len(commit.changes),
        "changes": [{"kind": one.kind, "name": one.name, "action": _action(one), "why": one.why} for one in shown],
        "diff": diff(shown),
    }


def _action(change: Change) -> str:
    if change.before is None:
        return "created"
    return "deleted" if change.after is None else "changed"


def _is_about(change: Change, name: str) -> bool:
    """Whether a change is of an object: by its name, the one that it got, or that of the VM that it is a part of."""
    return (
        name in ("", change.name)
        or change.name.endswith(f"of vm {name}")
        or (change.after is not None and change.after.get("name") == name)
    )
