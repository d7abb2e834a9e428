# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the leader writes, and what it does outside the store: each write on both stores, with all that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.lead import perform
from pvc_node_agent.lead.effects import (
    BeginFence,
    ChangeClaim,
    CutStorage,
    EndFence,
    LeadEffect,
    MarkDown,
    PowerOff,
    Recover,
    Rehome,
    RestoreStorage,
    UpdateFence,
)
from pvc_node_agent.lead.events import MarkedDown, PowerRead, StorageCut, StorageRestored, Written
from pvc_node_agent.lead.perform import LeadPerformer
from pvc_state import codec, paths, staging
from pvc_state.errors import StoreUnavailable
from pvc_state.records import Claim, Declaration, Fence, FenceDevice, Node, Past, Rule
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Create, Delete, Op, Set, Store, Watch, Znode
from tests.store.harness import Harness
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped

LEADER, DEAD, OTHER, THIRD = "node1", "node2", "node3", "node4"
DEVICE = FenceDevice("bmc", "ipmi", "10.0.0.9")
FENCE = Fence("f1", "collecting", "its session has ended")


class Outside:
    """Ceph and the fence devices, and what was asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    def _ask(self, text: str) -> None:
        self.asked.append(text)
        if self.error is not None:
            raise self.error

    def cut(self, addresses: Sequence[str]) -> int:
        self._ask(f"cut {' '.join(addresses)}")
        return 17

    def restore(self, addresses: Sequence[str]) -> None:
        self._ask(f"restore {' '.join(addresses)}")

    def mark_down(self, node: str) -> str:
        self._ask(f"mark down {node}")
        return "osd.1"

    def off(self, device: FenceDevice) -> str:
        self._ask(f"off {device.name}")
        return "it reads off"

    def status(self, device: FenceDevice) -> str:
        raise AssertionError("nobody asks")


class Lead:
    """A leader's performer beside a cluster of four nodes, of which one has lost its session."""

    def __init__(self, harness: Harness) -> None:
        self.store = harness.connect()
        self.cluster = Cluster(nodes=4, memory=1 << 20, store=self.store)
        self.cluster.agents[DEAD].die()
        self.store.commit([Set(paths.EPOCH, b"", 0)])
        self.epoch = 1
        self.outside = Outside()
        self.troubles: list[str] = []
        self.doubts: list[str] = []
        self.performer = LeadPerformer(LEADER, lambda: self.store, self.outside, self.outside, self, self.doubts.append)

    def say(self, _sentence: object) -> None:
        raise AssertionError("a performer decides nothing")

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    def do(self, effect: LeadEffect) -> Any:
        return self.performer.perform(effect, self.epoch)

    def done(self, effect: LeadEffect) -> None:
        assert self.do(effect) == Written(effect)

    def refused(self, effect: LeadEffect, words: str) -> None:
        before = load(self.store)
        written = self.do(effect)
        assert isinstance(written, Written)
        assert words in written.refused
        assert load(self.store) == before

    @property
    def now(self) -> Snapshot:
        return load(self.store)

    def fenced(self, **changes: Any) -> Fence:
        """Make the dead node's fence."""
        fence = replace(FENCE, **changes)
        self.store.commit([Create(paths.fence(DEAD), codec.encode(fence))])
        return fence

    def vms(self, *names: str, to: str = "") -> None:
        """Some that belong to the dead node."""
        self.cluster.apply(*(request(name, memory=16, node=LEADER) for name in names))
        for name in names:
            claim = Claim(DEAD, 3, to=to)
            ops: list[Op] = [
                Set(paths.claim(name), codec.encode(claim), 0),
                Delete(paths.assigned(LEADER, name), 0),
                Create(paths.assigned(DEAD, name)),
            ]
            if to:
                ops.append(Create(paths.assigned(to, name)))
            self.store.commit(ops)

    def rehome(self, name: str, to: str, **changes: Any) -> Rehome:
        stored, record = self.now.claims[name], self.now.vms[name]
        assert stored.value is not None
        after = Claim(to, stored.value.epoch + 1, **changes)
        return Rehome(name, stored.value, stored.version, after, record.version)

    def index(self) -> dict[str, list[str]]:
        nodes = (LEADER, DEAD, OTHER, THIRD)
        return {node: names for node in nodes if (names := self.store.children(paths.assigned(node)) or [])}


@pytest.fixture
def lead(harness: Harness) -> Lead:
    return Lead(harness)


def begin(node: str = DEAD, alive: int | None = None, rests_on: tuple[tuple[str, int], ...] = ()) -> BeginFence:
    return BeginFence(f"node {node}", rests_on, FENCE, alive)


# --- the fence's own record -------------------------------------------------------------------------------------------


def test_a_fence_begins_only_where_there_is_no_session(lead: Lead) -> None:
    lead.refused(begin(OTHER), f"/alive/{OTHER} exists already")
    lead.done(begin())
    assert lead.now.fences[DEAD].value == FENCE
    assert DEAD not in lead.now.alive
    lead.refused(begin(), f"/fences/{DEAD} exists already")


def test_a_suspected_node_loses_its_session_with_the_fence(lead: Lead) -> None:
    lead.refused(begin(OTHER, alive=1), f"/alive/{OTHER} was changed meanwhile")
    lead.done(begin(OTHER, alive=0))
    assert OTHER not in lead.now.alive
    assert OTHER in lead.now.fences
    lead.refused(begin(DEAD, alive=0), f"/alive/{DEAD} does not exist")


def test_a_write_rests_on_what_its_decision_read(lead: Lead) -> None:
    lead.refused(begin(rests_on=((paths.status(DEAD), 1),)), f"/status/{DEAD} was changed meanwhile")
    lead.done(begin(rests_on=((paths.status(DEAD), 0),)))


def test_a_fence_is_written_anew_over_the_one_that_was_read(lead: Lead) -> None:
    proven = replace(lead.fenced(), state="proven")
    lead.refused(UpdateFence(f"node {DEAD}", (), proven, 1), "was changed meanwhile")
    lead.done(UpdateFence(f"node {DEAD}", (), proven, 0))
    assert lead.now.fences[DEAD].value == proven


def ending(**changes: Any) -> EndFence:
    past = Past(DEAD, FENCE, ended="now", how="it came back clean")
    return EndFence(
        **{"subject": f"node {DEAD}", "rests_on": (), "version": 0, "past": past, "declared": None, **changes}
    )


def test_a_fence_that_ends_is_remembered_with_its_transactions(lead: Lead) -> None:
    fence = lead.fenced()
    lead.done(UpdateFence(f"node {DEAD}", (), fence, 0))
    znode = lead.store.get(paths.fence(DEAD))
    assert znode is not None
    lead.refused(ending(), "was changed meanwhile")
    revision = lead.now.journal
    lead.done(ending(version=1))
    assert lead.now.fences == {}
    assert lead.now.journal == revision
    past = lead.store.get(paths.history("f1"))
    assert past is not None
    assert codec.decode(Past, past.data) == replace(ending().past, created=znode.czxid, changed=znode.mzxid)
    assert znode.czxid < znode.mzxid


def test_an_operators_word_goes_with_the_fence(lead: Lead) -> None:
    lead.fenced()
    lead.store.commit([Create(paths.declared(DEAD), codec.encode(Declaration("f1", "me", "I pulled the plug")))])
    lead.refused(ending(declared=1), f"/declared/{DEAD} was changed meanwhile")
    lead.done(ending(declared=0))
    assert lead.now.declared == {}


def test_a_node_that_comes_back_drained_is_a_change_of_desired_state(lead: Lead) -> None:
    lead.fenced()
    revision = lead.now.journal
    drained = Node(generation=2, state="drained")
    lead.refused(ending(node=(drained, 1)), f"/nodes/{DEAD} was changed meanwhile")
    lead.done(ending(node=(drained, 0)))
    assert lead.now.nodes[DEAD].value == drained
    assert lead.now.journal == revision + 1


def test_only_the_newest_are_remembered(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perform, "HISTORY", 3)
    for name in ("c", "a", "d", "b"):
        lead.store.commit([Create(paths.history(name))])
    lead.fenced()
    lead.done(ending())
    assert lead.store.children(paths.HISTORY) == ["b", "d", "f1"]


# --- claims -----------------------------------------------------------------------------------------------------------


def recovery(lead: Lead, *claims: Rehome, version: int = 0) -> Recover:
    moves = {claim.vm: f"to {claim.after.node}: it has room" for claim in claims}
    return Recover(f"node {DEAD}", (), replace(FENCE, state="proven", moves=moves), version, claims)


def test_claims_and_their_index_move_with_the_note_in_the_fence(lead: Lead) -> None:
    lead.fenced(state="proven")
    lead.vms("web1", "web2")
    lead.done(recovery(lead, lead.rehome("web1", OTHER, barrier=9), lead.rehome("web2", THIRD)))
    assert lead.now.claims["web1"].value == Claim(OTHER, 4, barrier=9)
    assert lead.now.claims["web2"].value == Claim(THIRD, 4)
    assert lead.index() == {OTHER: ["web1"], THIRD: ["web2"]}
    fence = lead.now.fences[DEAD].value
    assert fence is not None
    assert fence.moves == {"web1": f"to {OTHER}: it has room", "web2": f"to {THIRD}: it has room"}


@pytest.mark.parametrize(
    ("target", "index"), [(OTHER, {OTHER: ["web1"]}), (THIRD, {THIRD: ["web1"]})], ids=["to-its-target", "elsewhere"]
)
def test_a_claim_that_was_on_its_way_leaves_no_entry_behind(
    lead: Lead, target: str, index: dict[str, list[str]]
) -> None:
    lead.fenced(state="proven")
    lead.vms("web1", to=OTHER)
    assert lead.index() == {DEAD: ["web1"], OTHER: ["web1"]}
    lead.done(recovery(lead, lead.rehome("web1", target)))
    assert lead.index() == index


def test_a_claim_may_go_to_one_node_and_on_to_the_next(lead: Lead) -> None:
    lead.fenced(state="proven")
    lead.vms("web1")
    onwards = lead.rehome("web1", OTHER)
    lead.done(recovery(lead, replace(onwards, after=replace(onwards.after, to=THIRD))))
    assert lead.index() == {OTHER: ["web1"], THIRD: ["web1"]}


@pytest.mark.parametrize("what", ["claim", "record", "fence"])
def test_nothing_moves_when_anything_that_it_rests_on_has_changed(lead: Lead, what: str) -> None:
    lead.fenced(state="proven")
    lead.vms("web1", "web2")
    effect = recovery(lead, lead.rehome("web1", OTHER), lead.rehome("web2", OTHER))
    path = {"claim": paths.claim("web2"), "record": paths.vm("web2"), "fence": paths.fence(DEAD)}[what]
    znode = lead.store.get(path)
    assert znode is not None
    lead.store.commit([Set(path, znode.data, znode.version)])
    lead.refused(effect, f"{path} was changed meanwhile")


def test_an_index_that_is_not_as_the_claims_say_is_put_right(lead: Lead) -> None:
    lead.fenced(state="proven")
    lead.vms("web1", "web2", "web3")
    lead.store.commit([Delete(paths.assigned(DEAD, "web1"), 0), Create(paths.assigned(OTHER, "web2"))])
    lead.done(recovery(lead, *(lead.rehome(name, OTHER) for name in ("web1", "web2", "web3"))))
    assert lead.index() == {OTHER: ["web1", "web2", "web3"]}


def test_many_claims_go_in_as_few_transactions_as_fit(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"vm{index:02}" for index in range(12)]
    lead.fenced(state="proven")
    lead.vms(*names)
    effect = recovery(lead, *(lead.rehome(name, OTHER) for name in names))
    counted = Counting(lead.store)
    lead.store = counted
    monkeypatch.setattr(staging, "LIMIT", 3000)
    lead.done(effect)
    assert 1 < len(counted.commits) < len(names)
    assert all(staging.size(ops) <= 3000 for ops in counted.commits)
    assert {lead.now.owner(name) for name in names} == {OTHER}
    fence = lead.now.fences[DEAD]
    assert fence.value == effect.fence
    assert fence.version == len(counted.commits)


def test_between_two_transactions_the_fence_notes_what_has_moved(lead: Lead, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"vm{index:02}" for index in range(12)]
    lead.fenced(state="proven")
    lead.vms(*names)
    effect = recovery(lead, *(lead.rehome(name, OTHER) for name in names))
    lead.store = Counting(lead.store, left=1)
    monkeypatch.setattr(staging, "LIMIT", 3000)
    written = lead.do(effect)
    assert "gone" in written.refused
    moved = {name for name in names if lead.now.owner(name) == OTHER}
    fence = lead.now.fences[DEAD].value
    assert fence is not None
    assert set(fence.moves) == moved
    assert 0 < len(moved) < len(names)


class Counting(Wrapped):
    """Keeps what is committed; fails after so many."""

    def __init__(self, inner: Store, left: int = 1000) -> None:
        super().__init__(inner)
        self.left = left
        self.commits: list[Sequence[Op]] = []

    def commit(self, ops: Sequence[Op]) -> None:
        if self.left == 0:
            raise StoreUnavailable("the store is gone")
        self.left -= 1
        super().commit(ops)
        self.commits.append(ops)


def change(lead: Lead, before: Claim, after: Claim, record_version: int = 0) -> ChangeClaim:
    version = lead.now.claims["web1"].version
    return ChangeClaim("vm web1", (), "web1", after, version, before.to, record_version)


def test_a_move_is_listed_for_its_target_as_long_as_it_lasts(lead: Lead) -> None:
    lead.vms("web1")
    still, moving, elsewhere = Claim(DEAD, 3), Claim(DEAD, 3, to=OTHER, why="there is room"), Claim(DEAD, 3, to=THIRD)
    for before, after, index in (
        (still, moving, {DEAD: ["web1"], OTHER: ["web1"]}),
        (moving, replace(moving, why="there is more room"), {DEAD: ["web1"], OTHER: ["web1"]}),
        (moving, elsewhere, {DEAD: ["web1"], THIRD: ["web1"]}),
        (elsewhere, still, {DEAD: ["web1"]}),
        (still, replace(still, home=OTHER), {DEAD: ["web1"]}),
    ):
        lead.done(change(lead, before, after))
        assert lead.now.claims["web1"].value == after
        assert lead.index() == index
    lead.refused(change(lead, still, moving, record_version=1), "/vms/web1 was changed meanwhile")


def test_a_large_plan_that_is_half_carried_out_is_finished_first(lead: Lead) -> None:
    lead.fenced(state="proven")
    lead.vms("web1")
    effect = recovery(lead, lead.rehome("web1", OTHER))
    groups = [[Create(paths.rule("large"), codec.encode(Rule("apart", ())))]]
    with pytest.raises(StoreUnavailable):
        staging.commit(DyingStager(lead.store), [], groups, lead.now.journal)
    lead.done(effect)
    assert "large" in lead.now.rules


class DyingStager(Wrapped):
    """Dies right after its plan has become the state."""

    def commit(self, ops: Sequence[Op]) -> None:
        super().commit(ops)
        if any(isinstance(op, Set) and op.path == paths.JOURNAL for op in ops):
            raise StoreUnavailable("it died")


# --- who leads no more ------------------------------------------------------------------------------------------------


EVERY_WRITE = ("begin", "update", "end", "end-drained", "recover", "change")
EVERY_ACT = ("cut", "restore", "off", "mark-down")


def prepared(lead: Lead, name: str) -> LeadEffect:
    """An effect that would be carried out."""
    lead.vms("web1")
    if name == "begin":
        return begin()
    lead.fenced(state="lifting" if name == "restore" else "proven")
    effects: dict[str, LeadEffect] = {
        "update": UpdateFence(f"node {DEAD}", (), FENCE, 0),
        "end": ending(),
        "end-drained": ending(node=(Node(), 0)),
        "recover": recovery(lead, lead.rehome("web1", OTHER)),
        "change": change(lead, Claim(DEAD, 3), Claim(DEAD, 3, to=OTHER)),
        "cut": CutStorage(DEAD, "f1", ("10.0.0.2",)),
        "restore": RestoreStorage(DEAD, "f1", ("10.0.0.2",)),
        "off": PowerOff(DEAD, "f1", DEVICE),
        "mark-down": MarkDown(DEAD, "f1"),
    }
    return effects[name]


@pytest.mark.parametrize("name", EVERY_WRITE)
@pytest.mark.parametrize("lost", ["lead", "session"])
def test_who_leads_no_more_writes_nothing(lead: Lead, name: str, lost: str) -> None:
    effect = prepared(lead, name)
    path = paths.EPOCH if lost == "lead" else paths.alive(LEADER)
    lead.store.commit([Set(paths.EPOCH, b"", 1)] if lost == "lead" else [Delete(path, 0)])
    lead.refused(effect, path)
    assert len(lead.doubts) == 1
    assert path in lead.doubts[0]


@pytest.mark.parametrize("name", EVERY_WRITE)
def test_who_leads_does(lead: Lead, name: str) -> None:
    lead.done(prepared(lead, name))
    assert lead.doubts == []


@pytest.mark.parametrize("name", EVERY_ACT)
@pytest.mark.parametrize("lost", ["lead", "session", "fence", "other-fence", "state"])
def test_who_leads_no_more_and_what_is_over_does_nothing_outside(lead: Lead, name: str, lost: str) -> None:
    effect = prepared(lead, name)
    other = "proven" if name == "restore" else "lifting"
    ops: dict[str, Op] = {
        "lead": Set(paths.EPOCH, b"", 1),
        "session": Delete(paths.alive(LEADER), 0),
        "fence": Delete(paths.fence(DEAD), 0),
        "other-fence": Set(paths.fence(DEAD), codec.encode(replace(FENCE, id="f2", state="proven")), 0),
        "state": Set(paths.fence(DEAD), codec.encode(replace(FENCE, state=other)), 0),
    }
    lead.store.commit([ops[lost]])
    lead.do(effect)
    assert lead.outside.asked == []


class Overtaken(Wrapped):
    """Its read of a fence is old when it arrives: a follower may be behind."""

    def __init__(self, inner: Store, meanwhile: Sequence[Op]) -> None:
        super().__init__(inner)
        self.meanwhile = meanwhile

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        znode = super().get(path, watch)
        if path == paths.fence(DEAD):
            self.inner.commit(self.meanwhile)
        return znode


@pytest.mark.parametrize("name", EVERY_ACT)
def test_a_fence_that_changes_while_it_is_looked_at_stops_what_was_to_be_done(lead: Lead, name: str) -> None:
    effect = prepared(lead, name)
    lead.store = Overtaken(lead.store, [Set(paths.fence(DEAD), codec.encode(FENCE), 0)])
    lead.do(effect)
    assert lead.outside.asked == []


# --- outside ----------------------------------------------------------------------------------------------------------


DONE = {
    "cut": ("cut 10.0.0.2", StorageCut(DEAD, "f1", 17)),
    "restore": ("restore 10.0.0.2", StorageRestored(DEAD, "f1")),
    "off": ("off bmc", PowerRead(DEAD, "f1", "bmc", True, "it reads off")),
    "mark-down": ("mark down node2", MarkedDown(DEAD, "f1", "osd.1")),
}
FAILED = {
    "cut": lambda why: StorageCut(DEAD, "f1", 0, why),
    "restore": lambda why: StorageRestored(DEAD, "f1", why),
    "off": lambda why: PowerRead(DEAD, "f1", "bmc", False, why),
    "mark-down": lambda why: MarkedDown(DEAD, "f1", f"not marked down: {why}"),
}


@pytest.mark.parametrize("name", EVERY_ACT)
def test_what_is_done_outside_is_told(lead: Lead, name: str) -> None:
    asked, event = DONE[name]
    assert lead.do(prepared(lead, name)) == event
    assert lead.outside.asked == [asked]


@pytest.mark.parametrize("name", EVERY_ACT)
def test_what_fails_outside_is_told_with_its_reason(lead: Lead, name: str) -> None:
    lead.outside.error = EffectFailed("it does not answer")
    assert lead.do(prepared(lead, name)) == FAILED[name]("it does not answer")
    assert lead.troubles == []


@pytest.mark.parametrize("name", EVERY_ACT)
def test_a_defect_outside_is_told_too_and_ends_nothing_else(lead: Lead, name: str) -> None:
    lead.outside.error = KeyError("Power")
    assert lead.do(prepared(lead, name)) == FAILED[name]("KeyError: 'Power'")
    assert "has failed by a defect: KeyError" in lead.troubles[0]


@pytest.mark.parametrize("name", EVERY_ACT)
def test_an_agent_that_was_not_told_by_what_to_fence_says_so(lead: Lead, name: str) -> None:
    lead.performer = LeadPerformer(LEADER, lambda: lead.store, None, None, lead, lead.doubts.append)
    why = "the agent of node1 leads, but its configuration does not say by what to fence: add section [fence]"
    assert lead.do(prepared(lead, name)) == FAILED[name](why)


def test_a_store_out_of_reach_refuses_everything(lead: Lead) -> None:
    def gone() -> Store:
        raise StoreUnavailable("the store has not been reached yet")

    lead.performer = LeadPerformer(LEADER, gone, lead.outside, lead.outside, lead, lead.doubts.append)
    assert lead.do(begin()) == Written(begin(), "the store has not been reached yet")
    assert lead.do(CutStorage(DEAD, "f1", ())) == StorageCut(DEAD, "f1", 0, "the store has not been reached yet")
