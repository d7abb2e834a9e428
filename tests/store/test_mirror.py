# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror shows what a fresh load shows: in memory after any history, and on a real ZooKeeper after one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pvc_node_agent.lead.mirror import Mirror
from pvc_state import codec, paths, staging
from pvc_state.errors import PvcError, StoreUnavailable
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.records import Alive, Claim, Declaration, Fence, Health, Node, NodeStatus, Rule, Settings, Vm
from pvc_state.requests import VmRequest
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Create, Delete, Set, Store, Watch, Znode
from tests.store.harness import PATIENCE, Harness
from tests.unit.plugins.module_utils.pvc_state.builders import CLUSTER_ID, Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped

TIB = 1 << 20
FIELDS = ("nodes", "status", "alive", "health", "vms", "claims", "rules", "fences", "declared", "settings", "schema")

#: One of each kind, by the function that names its path.
RECORDS: dict[str, tuple[Callable[[str], str], Callable[[int], Any]]] = {
    "nodes": (paths.node, lambda number: Node(memory_reserve=number)),
    "status": (paths.status, lambda number: NodeStatus("1", memory=number)),
    "alive": (paths.alive, lambda number: Alive("boot", str(number))),
    "health": (paths.health, lambda number: Health(str(number))),
    "vms": (paths.vm, lambda number: Vm(CLUSTER_ID, number)),
    "claims": (paths.claim, lambda number: Claim("a", number)),
    "rules": (paths.rule, lambda number: Rule("apart", (str(number),))),
    "fences": (paths.fence, lambda number: Fence(str(number), "held", "")),
    "declared": (paths.declared, lambda number: Declaration(str(number), "me", "")),
    "settings": (lambda _name: paths.SETTINGS, lambda number: Settings(boot_grace=float(number))),
}
kinds = st.sampled_from(sorted(RECORDS))
names = st.sampled_from("abc")


def put(store: Store, path: str, data: bytes) -> None:
    znode = store.get(path)
    store.commit([Create(path, data) if znode is None else Set(path, data, znode.version)])


def remove(store: Store, path: str) -> None:
    znode = store.get(path)
    if znode is not None:
        store.commit([Delete(path, znode.version)])


def same(one: Snapshot, other: Snapshot) -> None:
    assert one == other
    for field in FIELDS[:9]:
        assert list(getattr(one, field)) == list(getattr(other, field)), field


class AnyHistory(RuleBasedStateMachine):
    """Writes of every kind; watches are called late, at the mirror's own sync."""

    @initialize(big=st.booleans())
    def begin(self, big: bool) -> None:
        self.ensemble = MemoryEnsemble(queued=True)
        self.user = self.ensemble.connect()
        cluster = Cluster(store=self.user, memory=TIB)
        if big:
            cluster.apply(*(request(f"vm{index}", memory=16) for index in range(5)))
        self.mirror = Mirror(self.ensemble.connect(), lambda: None)
        self.shown: Snapshot | None = None

    @rule(kind=kinds, name=names, number=st.integers(1, 3))
    def write(self, kind: str, name: str, number: int) -> None:
        path, record = RECORDS[kind]
        put(self.user, path(name), codec.encode(record(number)))

    @rule(kind=kinds, name=names)
    def damage(self, kind: str, name: str) -> None:
        put(self.user, RECORDS[kind][0](name), b"{")

    @rule(kind=kinds, name=names)
    def delete(self, kind: str, name: str) -> None:
        remove(self.user, RECORDS[kind][0](name))

    @rule(kind=kinds, name=names, number=st.integers(1, 3))
    def write_again(self, kind: str, name: str, number: int) -> None:
        self.delete(kind, name)
        self.write(kind, name, number)

    @rule()
    def users_commit(self) -> None:
        version = staging.settle(self.user)
        rule = codec.encode(Rule("together", ()))
        self.user.commit([Set(paths.JOURNAL, b"", version), Create(paths.rule(f"new{version}"), rule)])

    @rule()
    def large_plan_is_left_half_done(self) -> None:
        version = staging.settle(self.user)
        groups = [[Create(paths.rule(f"large{version}"), codec.encode(Rule("apart", ())))]]
        with pytest.raises(StoreUnavailable):
            staging.commit(Dying(self.user), [], groups, version)

    @rule()
    def look(self) -> None:
        self.ensemble.deliver(limit=1)  # one watch is enough for it to look; the others are still under way
        before, after = self.shown, self.mirror.refresh()
        if after is None:
            assert before is not None
            return
        self.shown = after
        for field in FIELDS:
            if before is not None and getattr(before, field) == getattr(after, field):
                assert getattr(before, field) is getattr(after, field), f"{field} has not changed"

    @invariant()
    def shows_what_is_there(self) -> None:
        if hasattr(self, "mirror"):
            self.look()
            assert self.shown is not None
            same(self.shown, load(self.user))


TestAnyHistory = AnyHistory.TestCase


class Dying(Wrapped):
    """Dies right after the journal points at a plan."""

    def commit(self, ops: Sequence[Any]) -> None:
        super().commit(ops)
        if any(isinstance(op, Set) and op.path == paths.JOURNAL for op in ops):
            raise StoreUnavailable("dead")


class Interrupted(Wrapped):
    """Before its n-th call from now on, somebody else does something."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.left = 0
        self.calls = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def _count(self) -> None:
        self.calls += 1
        self.left -= 1
        if self.left == 0:
            self.meanwhile()

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        self._count()
        return super().get(path, watch)

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        self._count()
        return super().get_many(paths, watch)

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        self._count()
        return super().children(path, watch)

    def sync(self) -> None:
        self._count()
        super().sync()


@pytest.mark.parametrize("incremental", [False, True])
def test_whenever_users_commit_meanwhile_no_mixture_is_shown(incremental: bool) -> None:
    """Two VMs and their claims always come together, at whatever moment of the reading."""
    moment, reached = 0, True
    while reached:
        moment += 1
        ensemble = MemoryEnsemble(queued=True)
        cluster = Cluster(store=ensemble.connect(), memory=TIB)
        store = Interrupted(ensemble.connect())
        mirror = Mirror(store, lambda: None)
        if incremental:
            assert mirror.refresh()
            cluster.apply(request("left-1"), request("right-1"))
            ensemble.deliver(limit=1)
        store.meanwhile = lambda cluster=cluster: cluster.apply(request("left-2"), request("right-2"))  # type: ignore[misc]
        store.left, store.calls = moment, 0
        shown = mirror.refresh()
        assert shown is not None
        assert {name.replace("left", "right") for name in shown.vms} == {
            name for name in shown.vms if name.startswith("right")
        }
        assert shown.claims.keys() == shown.vms.keys()
        reached = store.left <= 0
        ensemble.deliver(limit=1)
        last = mirror.refresh() or shown
        same(last, cluster.snapshot)
    assert moment > 5


def test_a_vm_that_is_removed_with_its_claim_is_never_shown_without_it() -> None:
    moment, reached = 0, True
    while reached:
        moment += 1
        ensemble = MemoryEnsemble(queued=True)
        cluster = Cluster(store=ensemble.connect(), memory=TIB)
        cluster.apply(request("web1"), request("web2"))
        store = Interrupted(ensemble.connect())
        mirror = Mirror(store, lambda: None)
        mirror.refresh()
        # something else has become of its claim, so that the mirror reads that anyway
        put(cluster.store, paths.claim("web1"), codec.encode(Claim(cluster.snapshot.owner("web1") or "", 7)))
        owner = cluster.snapshot.owner("web1")
        assert owner is not None
        store.meanwhile = lambda cluster=cluster, owner=owner: cluster.agents[owner].remove("web1")  # type: ignore[misc]
        store.left = moment
        ensemble.deliver(limit=1)
        shown = mirror.refresh()
        assert shown is not None
        assert shown.claims.keys() == shown.vms.keys()
        reached = store.left <= 0


def test_nothing_is_read_while_nothing_changes(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    cluster.apply(request("web1"), request("web2"))
    store = Interrupted(harness.connect())
    mirror = Mirror(store, lambda: None)
    first = mirror.refresh()
    assert first is not None
    assert mirror.refresh() is None
    store.calls = 0
    assert mirror.refresh() is None
    assert store.calls == 0


def test_a_change_is_told_and_only_that_is_new(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    cluster.apply(request("web1"), request("web2"))
    touched = threading.Event()
    store = harness.connect()
    mirror = Mirror(store, touched.set)
    first = mirror.refresh()
    touched.clear()
    cluster.agents["node1"].observe("web1", "running")
    assert touched.wait(PATIENCE)
    second = mirror.refresh()
    assert first is not None
    assert second is not None
    same(second, load(store))
    assert second.status is not first.status
    assert second.status["node2"] is first.status["node2"]
    assert second.vms is first.vms


def test_a_history_on_both_stores(harness: Harness) -> None:
    user = harness.connect()
    cluster = Cluster(store=user, memory=TIB)
    store, reader = harness.connect(), harness.connect()
    mirror = Mirror(store, lambda: None)
    shown = mirror.refresh()

    def look() -> None:
        nonlocal shown
        store.sync()  # until the watches have been called
        shown = mirror.refresh() or shown
        assert shown is not None
        same(shown, load(reader))

    look()
    cluster.apply(*(request(f"vm{index}", memory=16) for index in range(20)))
    look()
    for path, record in RECORDS.values():
        put(user, path("new"), codec.encode(record(1)))
        look()
        put(user, path("new"), b"{")
        look()
        remove(user, path("new"))
        look()
    cluster.agents["node1"].die()
    look()
    cluster.apply(*(VmRequest(f"vm{index}", state="absent") for index in range(20)))
    look()
    for name, claim in load(user).claims.items():
        assert claim.value is not None
        cluster.agents[claim.value.node].remove(name)
    look()
    assert shown is not None
    assert not shown.vms


def test_a_thousand_vms_take_few_round_trips(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    cluster.apply(*(request(f"vm{index}", memory=16) for index in range(1000)))
    store = Interrupted(harness.connect())
    mirror = Mirror(store, lambda: None)
    shown = mirror.refresh()
    assert shown is not None
    assert len(shown.claims) == 1000
    assert store.calls < 20


@pytest.mark.parametrize("path", [paths.SCHEMA, paths.JOURNAL])
def test_a_tree_that_cannot_be_read_is_an_error(path: str) -> None:
    cluster = Cluster()
    mirror = Mirror(cluster.connect(), lambda: None)
    mirror.refresh()
    cluster.overwrite(path, b"{")
    with pytest.raises(PvcError):
        mirror.refresh()
