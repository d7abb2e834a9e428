# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large plans: whoever dies wherever, the others see all of it or nothing, and nothing is left behind."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import pytest

from pvc_state import paths, staging
from pvc_state.commit import commit
from pvc_state.commit_log import load_commits
from pvc_state.errors import DamagedRecord, InvalidRequest
from pvc_state.memory_store import MemoryStore
from pvc_state.plan_vm import plan_vms
from pvc_state.requests import VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Check, CommitRefused, Create, Delete, Set, Store
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Crash, Crashing

NEW = [f"new{index}" for index in range(6)]
OLD = [f"old{index}" for index in range(6)]


@pytest.fixture(autouse=True)
def _small_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "LIMIT", 1500)


def prepared() -> Cluster:
    cluster = Cluster()
    cluster.apply(*(request(name, memory=64) for name in OLD))
    return cluster


def change(store: Store) -> None:
    """Creates six VMs and changes six others."""
    requests = [request(name, memory=64) for name in NEW] + [VmRequest(name, vcpus=4) for name in OLD]
    commit(store, lambda snapshot: plan_vms(snapshot, requests))


def happened(store: Store) -> bool:
    """Whether the change is there; fails when half of it is."""
    snapshot = load(store)
    signs = {name in snapshot.vms and name in snapshot.claims for name in NEW}
    signs |= {vm.vcpus == 4 for name in OLD if (vm := snapshot.vms[name].value)}
    assigned = {vm for node in snapshot.nodes for vm in store.children(paths.assigned(node)) or []}
    signs |= {name in assigned for name in NEW}
    newest = next(load_commits(store))[1].value
    assert newest is not None, "half of a record is visible"
    signs.add({change.name for change in newest.changes} == {*NEW, *OLD})
    assert len(signs) == 1, "half of the plan is visible"
    return signs.pop()


def crash_points(action: Callable[[Store], None], *, after: bool) -> list[tuple[Cluster, MemoryStore]]:
    """The clusters that an action leaves when it dies at its first, second, … call, and the dead one's session."""
    left = []
    for calls in itertools.count(1):
        cluster = prepared()
        session = cluster.connect()
        try:
            action(Crashing(session, calls, after=after))
        except Crash:
            left.append((cluster, session))
        else:
            return left
    raise AssertionError


@functools.cache
def _calls_to_flip() -> int:
    deaths = crash_points(change, after=True)
    return next(calls for calls, (cluster, _session) in enumerate(deaths, 1) if journal(cluster.store))


def flipped() -> Cluster:
    """A cluster whose stager died right after its plan became visible, with everything still to be carried out."""
    cluster = prepared()
    with pytest.raises(Crash):
        change(Crashing(cluster.connect(), _calls_to_flip(), after=True))
    assert journal(cluster.store)
    return cluster


def journal(store: Store) -> bytes:
    znode = store.get(paths.JOURNAL)
    assert znode is not None
    return znode.data


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
def test_whoever_dies_wherever_all_or_nothing_is_there(after: bool) -> None:
    outcomes = []
    points = crash_points(change, after=after)
    for cluster, session in points:
        cluster.ensemble.expire(session)
        other = cluster.connect()
        outcomes.append(happened(other))
        assert journal(other) == b""
        change(other)
        assert happened(other)
        commit(other, lambda snapshot: plan_vms(snapshot, [VmRequest(name, vcpus=8) for name in OLD]))
        assert other.children(paths.STAGED) == [], "the next stager sweeps"
    assert len(points) > 30
    assert outcomes == sorted(outcomes), "first it has not happened, then it has"
    assert {True, False} == set(outcomes)


@pytest.mark.parametrize("after", [False, True], ids=["before-the-call", "after-the-call"])
def test_helpers_may_die_too(after: bool) -> None:
    deaths = 0
    for calls in itertools.count(1):
        cluster = flipped()
        try:
            load(Crashing(cluster.connect(), calls, after=after))
        except Crash:
            deaths += 1
            assert happened(cluster.connect())
        else:
            break
    assert deaths > 20


def test_a_stager_whose_session_ended_cannot_make_its_plan_visible() -> None:
    cluster = prepared()
    session = cluster.connect()

    class Paused(Crashing):
        def commit(self, ops: object) -> None:
            if isinstance(ops, list) and any(isinstance(op, Set) and op.path == paths.JOURNAL for op in ops):
                cluster.ensemble.expire(session)  # a long pause: the session is over, another sweeps
                staging._sweep(cluster.store)
            super().commit(ops)  # type: ignore[arg-type]

    snapshot = load(session)
    plan = plan_vms(snapshot, [request(name, memory=64) for name in NEW])
    with pytest.raises(CommitRefused) as info:
        staging.commit(Paused(session, 1000, after=False), [], plan.groups, snapshot.journal)
    assert info.value.op.path.endswith("/owner")
    assert not happened(cluster.store)


def test_a_live_stagers_chunks_are_left_alone() -> None:
    staging_still = [c for c, _session in crash_points(change, after=False) if c.store.children(paths.STAGED)]
    cluster = next(c for c in reversed(staging_still) if not happened(c.store))
    staged = cluster.store.children(paths.STAGED)
    staging._sweep(cluster.connect())
    assert cluster.store.children(paths.STAGED) == staged


def test_what_the_plan_rests_on_is_checked_when_it_becomes_visible() -> None:
    cluster = prepared()
    snapshot = cluster.snapshot
    plan = plan_vms(snapshot, [VmRequest(name, vcpus=4) for name in OLD])
    cluster.apply(VmRequest(OLD[0], state="absent"))
    with pytest.raises(CommitRefused):
        staging.commit(cluster.store, [], plan.groups, snapshot.journal)
    assert cluster.vm(OLD[1]).vcpus == 1
    assert cluster.store.children(paths.STAGED) == []


def test_an_agents_commit_waits_for_the_journal() -> None:
    cluster = flipped()
    agent = cluster.connect()
    check = staging.guard(agent)
    assert happened(agent)
    agent.commit([check, Create("/mark")])
    cluster.apply(VmRequest(OLD[0], vcpus=2))
    with pytest.raises(CommitRefused) as info:
        agent.commit([check, Create("/mark2")])
    assert info.value.op.path == paths.JOURNAL


def test_a_plan_wins_over_who_did_not_keep_the_rules() -> None:
    for harm in (
        [Set(paths.vm(OLD[0]), b"?", 0)],
        [Delete(paths.vm(OLD[0]), 0)],
        [Create(paths.vm(NEW[0]), b"?")],
    ):
        cluster = flipped()
        cluster.store.commit(harm)
        assert happened(cluster.store)


def test_a_damaged_journal_is_named_with_its_remedy() -> None:
    cluster = prepared()
    cluster.overwrite(paths.JOURNAL, b"x")
    with pytest.raises(DamagedRecord, match=r"^znode /journal: it holds no valid record"):
        load(cluster.store)
    cluster.overwrite(paths.JOURNAL, b'{"transaction":"x","chunks":3}')
    with pytest.raises(DamagedRecord, match=r"^znode /staged/x/0000: chunk 0 of the plan under way is lost"):
        load(cluster.store)


def test_a_plan_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = prepared()
    monkeypatch.setattr(staging, "LIMIT", 400)
    with pytest.raises(InvalidRequest, match="too many for one transaction; split it into several"):
        change(cluster.store)
    assert cluster.store.children(paths.STAGED) == []


def test_any_bytes_survive_a_chunk() -> None:
    ops = [Create("/a", bytes(range(256))), Set("/b", b"\xff\x00", 3), Delete("/c", 7)]
    assert staging._unpack(staging._pack(ops)) == ops
    assert Check("/a", 0) not in next(staging._chunks([[Check("/a", 0), *ops]]))
