# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load, plan, commit: one transaction or nothing. On a conflict all three again, a bounded number of times."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from . import paths, staging
from .codec import encode
from .commit_log import load_commits, written
from .errors import Conflict, OutcomeUnknown, StoreUnavailable
from .plan import Plan
from .records import Author, Commit
from .snapshot import NotInitialised, Snapshot, load
from .store import Check, CommitRefused, Create, Op, Store

#: Others have to come between this often for a call to fail. Each time one of them has succeeded, so with many callers
#: at once the last one needs as many attempts as there are callers.
ATTEMPTS = 100

#: The author of a commit whose caller does not say.
NOBODY = Author()

#: Up to so many VMs are looked at by themselves first: with more, reading twice would cost what it is to save.
FEW = 100


@dataclass(frozen=True)
class Committed:
    """What was decided, and what it was decided on.

    Attributes:
        plan: carried out, unless in check mode or unchanged.
        snapshot_before: None for a tree that was not initialised.
        snapshot_after: as the plan makes it; the same in check mode, where nothing was made.
        revision: of the commit; None where there was none.
    """

    plan: Plan
    snapshot_before: Snapshot | None
    snapshot_after: Snapshot
    revision: int | None = None


def commit(
    store: Store,
    make_plan: Callable[[Snapshot], Plan],
    *,
    check_mode: bool = False,
    attempts: int = ATTEMPTS,
    vms: Collection[str] | None = None,
    author: Author = NOBODY,
) -> Committed:
    """Make a plan of the cluster as it is and carry it out, or only make it in check mode.

    Args:
        author: who the commit's record names.
        vms: names of the VMs that the plan is about, and no others: when nothing changes for a few, only they are read.

    Raises Conflict when others came between in every attempt, and what load() and the plan raise.
    """

    def prepare() -> tuple[Snapshot | None, Plan]:
        if vms is not None and len(vms) <= FEW:
            # Whatever the other VMs use could only refuse the plan, so it is as good as made of the whole tree.
            snapshot = load(store, vms)
            plan = make_plan(snapshot)
            if not plan.changed:
                return snapshot, plan
        snapshot = load(store)
        return snapshot, make_plan(snapshot)

    return _run(store, prepare, check_mode, attempts, author)


def commit_nodes(
    store: Store,
    make_plan: Callable[[Snapshot | None], Plan],
    *,
    check_mode: bool = False,
    attempts: int = ATTEMPTS,
    author: Author = NOBODY,
) -> Committed:
    """Like commit(), for plans that can also begin with a tree that is not initialised: they get None for it."""

    def prepare() -> tuple[Snapshot | None, Plan]:
        try:
            snapshot = load(store)
        except NotInitialised as err:
            plan = make_plan(None)
            root: tuple[Op, ...] = () if err.root else (Create("/"),)
            return None, replace(plan, guard=(*root, *plan.guard))
        return snapshot, make_plan(snapshot)

    return _run(store, prepare, check_mode, attempts, author)


def _run(
    store: Store,
    prepare: Callable[[], tuple[Snapshot | None, Plan]],
    check_mode: bool,
    attempts: int,
    author: Author,
) -> Committed:
    refused: CommitRefused | None = None
    uncertain: tuple[Committed, Commit] | None = None
    for _turn in range(attempts):
        try:
            if uncertain is not None and (after := _made(store, uncertain[1])) is not None:
                return replace(uncertain[0], snapshot_after=after)
            before, plan = prepare()
            if not plan.changed or check_mode:
                return Committed(plan, before, plan.after)
            known = [] if before is None else store.children(paths.COMMITS)
        except StoreUnavailable as err:
            raise err if uncertain is None else _unknown() from err
        revision = 0 if before is None else before.journal + 1
        record = Commit(revision, _now(), author.who, author.via, plan.changes)
        done = Committed(plan, before, plan.after, revision)
        try:
            _carry_out(store, before, replace(plan, groups=(*plan.groups, *written(record, known))))
        except CommitRefused as err:
            refused = err
        except StoreUnavailable:
            uncertain = (done, record)
        else:
            return done
    if uncertain is not None:
        raise _unknown()
    raise Conflict(
        f"others came between in each of {attempts} attempts; the last time {refused}",
        remedy="try again when fewer jobs run",
    )


def _made(store: Store, record: Commit) -> Snapshot | None:
    """The cluster, if a commit whose connection broke took effect: its record tells."""
    try:
        snapshot = load(store)
    except NotInitialised:
        return None
    found = load_commits(store, record.revision, record.revision)
    return (
        snapshot
        if any(stored.value and encode(stored.value) == encode(record) for _revision, stored in found)
        else None
    )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _unknown() -> OutcomeUnknown:
    return OutcomeUnknown(
        "the connection failed during a commit, which took effect as a whole or not at all",
        remedy="run the same again: what is done already is left as it is",
    )


def _carry_out(store: Store, before: Snapshot | None, plan: Plan) -> None:
    if before is None or staging.size(plan.ops) <= staging.LIMIT:
        store.commit(plan.ops)
    else:
        checks = [op for op in plan.guard if isinstance(op, Check)]
        staging.commit(store, checks, plan.groups, before.journal)
