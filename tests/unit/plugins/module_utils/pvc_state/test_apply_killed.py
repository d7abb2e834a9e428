# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever dies while a document is applied, at whatever call to the store: all of it is there, or nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from pvc_state import staging
from pvc_state.commit import commit_nodes
from pvc_state.commit_log import load_commits
from pvc_state.document import read
from pvc_state.document_export import export
from pvc_state.memory_store import MemoryStore
from pvc_state.plan_document import Wishes, plan_document
from pvc_state.store import Store
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster
from tests.unit.plugins.module_utils.pvc_state.faults import Crash, Crashing

FIRST: dict[str, Any] = {
    "document": "site",
    "vms": [{"name": name, "memory": "64M"} for name in ("old", "kept")],
    "rules": [{"name": "r", "kind": "together", "vms": ["old", "kept"]}],
}
SECOND: dict[str, Any] = {
    "document": "site",
    "settings": {"placement": "fewest_vms"},
    "nodes": [{"name": "node1", "memory_reserve": "2G"}],
    "rules": [{"name": "s", "kind": "apart", "vms": ["kept", "new"]}],
    "vms": [{"name": "kept", "memory": "128M", "autostart": True}, {"name": "new", "memory": "64M"}],
}


def apply(store: Store, data: dict[str, Any]) -> None:
    document = read(data)
    commit_nodes(store, lambda snapshot: plan_document(snapshot, document, Wishes(prune=True)).sound())


def made() -> tuple[Cluster, MemoryStore]:
    cluster = Cluster()
    apply(cluster.store, FIRST)
    return cluster, cluster.connect()


def deaths(act: Callable[[Store], None], *, after: bool) -> list[Cluster]:
    """The clusters that are left by a process that dies at its first, second, … call."""
    left = []
    for calls in itertools.count(1):
        cluster, session = made()
        try:
            act(Crashing(session, calls, after=after))
        except Crash:
            cluster.ensemble.expire(session)
            left.append(cluster)
        else:
            return left
    raise AssertionError


@pytest.mark.parametrize("limit", [staging.LIMIT, 2500], ids=["one-transaction", "staged"])
@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
def test_all_of_a_document_or_nothing(monkeypatch: pytest.MonkeyPatch, limit: int, after: bool) -> None:
    monkeypatch.setattr(staging, "LIMIT", limit)
    whole, session = made()
    nothing = export(whole.snapshot)
    apply(session, SECOND)
    everything = export(whole.snapshot)
    outcomes = []
    for cluster in deaths(lambda store: apply(store, SECOND), after=after):
        found = export(cluster.snapshot)
        assert found in (nothing, everything)
        outcomes.append(found == everything)
        commits = [stored.value for _revision, stored in load_commits(cluster.store)]
        assert len(commits) == 2 + outcomes[-1], "the history knows what happened, and nothing else"
        apply(cluster.store, SECOND)
        assert export(cluster.snapshot) == everything, "again, by whoever comes next"
    assert len(outcomes) > (5 if limit == staging.LIMIT else 10)
    assert outcomes == sorted(outcomes), "first it has not happened, then it has"
    if after:
        assert outcomes[-1]
