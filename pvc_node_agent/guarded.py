# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an agent writes what users' plans may touch, too: not while a large plan is half carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pvc_state import paths, staging
from pvc_state.store import Check, CommitRefused, Op, Set, Store

from .env import EffectFailed

#: How often a commit is tried again when a plan came between.
_ATTEMPTS = 5


def commit(store: Store, ops: Sequence[Op]) -> None:
    """Commit, together with the fact that no plan is under way. Raises EffectFailed when there always is one."""
    _commit(store, ops, lambda guard: guard)


def commit_desired(store: Store, ops: Sequence[Op]) -> None:
    """Commit a change of desired state: it raises the revision, as users' commits do."""
    _commit(store, ops, lambda guard: Set(paths.JOURNAL, b"", guard.version))


def _commit(store: Store, ops: Sequence[Op], first: Callable[[Check], Op]) -> None:
    for _turn in range(_ATTEMPTS):
        guard = first(staging.guard(store))
        try:
            store.commit([guard, *ops])
        except CommitRefused as err:
            if err.op.path != guard.path:
                raise
        else:
            return
    raise EffectFailed("large changes of the cluster keep coming between")
