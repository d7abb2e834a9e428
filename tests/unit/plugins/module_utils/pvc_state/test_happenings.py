# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens is told once, in order, and from wherever a reader goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pvc_state import paths
from pvc_state.codec import decode, encode
from pvc_state.commit import commit_nodes
from pvc_state.errors import InvalidRequest
from pvc_state.follow import Follower
from pvc_state.happening import Cursor, Event
from pvc_state.happenings import after_event
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Claim, Fence, Past, Service, Vm, VmStatus
from pvc_state.requests import NodeRequest, VmRequest
from pvc_state.store import Create, Delete, Set
from tests.unit.plugins.module_utils.pvc_state.builders import CLUSTER_ID, Cluster, request

#: Events of which the tree keeps every single one. Of the others, it tells the latest of each object.
EXACT = ("node_dead", "fenced", "recovered", "node_back", "commit")


class Reader:
    """A follower of its own session, with all that it was told."""

    def __init__(self, cluster: Cluster, cursor: Cursor | None = None, since: int | None = None) -> None:
        self.cluster = cluster
        self.cursor = cursor
        self.since = since
        self.events: list[Event] = []
        self.begin()

    def begin(self) -> None:
        """Start it, with what another process would know: the cursor's bytes."""
        cursor = decode(Cursor, encode(self.cursor)) if self.cursor is not None else None
        self.store = self.cluster.connect()
        self.follower = Follower(self.store, cursor, self.since)
        if cursor is None:
            batch = self.follower.read()
            assert batch is not None
            assert batch[0] == []
            self.cursor = batch[1]

    def end(self) -> None:
        self.follower.stop()
        self.store.close()

    def restart(self) -> None:
        self.end()
        self.begin()

    def read(self, until: int | None = None) -> list[Event]:
        """All that is new; with ``until``, the process dies after so many events of a batch."""
        batch = self.poll()
        if batch is None:
            return []
        events, after = batch
        if until is not None and until < len(events):
            for event in events[:until]:
                assert self.cursor is not None
                self.cursor = after_event(self.cursor, event)
            events = events[:until]
            self.events += events
            self.restart()
            return events
        self.cursor = after
        self.events += events
        return events

    def poll(self) -> tuple[list[Event], Cursor] | None:
        """A read that does not wait, for a store that calls its watches at once."""
        scene = self.follower._look()
        assert scene is not None
        return self.follower._told(scene)


class World:
    """A cluster whose agents, leader and users do what a test says."""

    def __init__(self, nodes: int = 3) -> None:
        self.cluster = Cluster(nodes)
        self.store = self.cluster.store
        self.count = 0

    def unique(self) -> int:
        self.count += 1
        return self.count

    def write(self, path: str, record: Any) -> None:
        znode = self.store.get(path)
        data = encode(record)
        self.store.commit([Create(path, data) if znode is None else Set(path, data, znode.version)])

    def read(self, path: str, cls: type[Any]) -> Any:
        znode = self.store.get(path)
        return decode(cls, znode.data) if znode is not None else None

    # users

    def create(self, name: str) -> None:
        if self.store.get(paths.vm(name)) is None:
            try:
                self.cluster.apply(request(name))
            except InvalidRequest:
                return  # all nodes are gone

    def change(self, name: str, **fields: Any) -> None:
        vm = self.read(paths.vm(name), Vm)
        if vm is not None:
            self.write(paths.vm(name), dataclasses.replace(vm, **fields))

    # agents

    def owner(self, name: str) -> str:
        claim = self.read(paths.claim(name), Claim)
        return claim.node if claim else ""

    def move(self, name: str, node: str) -> None:
        owner = self.owner(name)
        if owner and owner != node:
            self.cluster.agents[owner].hand_over(name, node)

    def report(self, name: str, change: Callable[[VmStatus], VmStatus]) -> None:
        vm, claim = self.read(paths.vm(name), Vm), self.read(paths.claim(name), Claim)
        if vm is None or claim is None:
            return
        agent = self.cluster.agents[claim.node]

        def changed(status: Any) -> Any:
            old = status.vms.get(name)
            if old is None or old.epoch != claim.epoch:
                old = VmStatus("running", claim.epoch, vm.generation)
            old = dataclasses.replace(old, generation=vm.generation)
            return dataclasses.replace(status, vms={**status.vms, name: change(old)})

        agent.report(changed)

    # the leader

    def die(self, node: str, why: str = "its session has ended") -> None:
        if self.store.get(paths.fence(node)) is None:
            self.write(paths.fence(node), Fence(f"{node}-1-{self.unique()}", "collecting", why, since="then"))

    def fence(self, node: str, change: Callable[[Fence], Fence]) -> None:
        fence = self.read(paths.fence(node), Fence)
        if fence is not None:
            self.write(paths.fence(node), change(fence))

    def prove(self, node: str) -> None:
        self.fence(node, lambda fence: dataclasses.replace(fence, state="proven", proven_by="powered_off"))

    def recover(self, name: str, node: str) -> None:
        """Move a VM of a proven node, noted in its fence in the same transaction."""
        owner = self.owner(name)
        fence = self.read(paths.fence(owner), Fence) if owner else None
        if fence is None or fence.state != "proven" or owner == node:
            return
        claim, znode = self.store.get(paths.claim(name)), self.store.get(paths.fence(owner))
        assert claim is not None
        assert znode is not None
        epoch = decode(Claim, claim.data).epoch + 1
        waiting = {vm: why for vm, why in fence.waiting.items() if vm != name}
        noted = dataclasses.replace(fence, moves={**fence.moves, name: f"to {node}"}, waiting=waiting)
        self.store.commit(
            [
                Set(paths.claim(name), encode(Claim(node, epoch)), claim.version),
                Delete(paths.assigned(owner, name), 0),
                Create(paths.assigned(node, name)),
                Set(paths.fence(owner), encode(noted), znode.version),
            ]
        )

    def come_back(self, node: str) -> None:
        fence, znode = self.read(paths.fence(node), Fence), self.store.get(paths.fence(node))
        if znode is not None:
            past = Past(node, fence, "now", f"{node} is back", znode.czxid, znode.mzxid)
            self.store.commit([Delete(paths.fence(node), znode.version), Create(paths.history(fence.id), encode(past))])


def told(events: list[Event]) -> list[str]:
    return [f"{event.type} {event.name}" for event in events]


@pytest.fixture
def world() -> World:
    return World()


def test_a_reader_begins_with_what_happens_from_now_on(world: World) -> None:
    world.create("web1")
    world.move("web1", "node2" if world.owner("web1") != "node2" else "node1")
    reader = Reader(world.cluster)
    assert reader.read() == []
    world.move("web1", "node3")
    assert told(reader.read()) == ["vm_moved web1"]
    assert reader.read() == []


def test_since_tells_what_was_written_after_a_transaction(world: World) -> None:
    world.die("node1")
    world.prove("node1")
    world.come_back("node1")
    znode = world.store.get(paths.history("node1-1-1"))
    assert znode is not None
    world.die("node2")
    assert told(Reader(world.cluster, since=0).read()) == [
        *("node_dead node1", "fenced node1", "recovered node1", "node_back node1", "node_dead node2"),
    ]
    assert told(Reader(world.cluster, since=znode.mzxid).read()) == ["node_dead node2"]


def test_since_does_not_repeat_the_death_of_a_node_whose_fence_went_on(world: World) -> None:
    world.die("node1")
    znode = world.store.get(paths.fence("node1"))
    assert znode is not None
    world.prove("node1")
    assert told(Reader(world.cluster, since=znode.mzxid).read()) == ["fenced node1", "recovered node1"]


def test_a_node_dies_while_nobody_looks_and_comes_back(world: World) -> None:
    world.create("web1")
    victim = world.owner("web1")
    other = next(node for node in world.cluster.agents if node != victim)
    reader = Reader(world.cluster)
    reader.end()
    world.die(victim)
    world.prove(victim)
    world.recover("web1", other)
    world.come_back(victim)
    reader.begin()
    events = reader.read()
    # what one transaction did comes in one order, whoever tells of it
    assert told(events) == [
        *(f"node_dead {victim}", f"fenced {victim}", f"recovered {victim}", "vm_moved web1", f"node_back {victim}"),
    ]
    assert [event.zxid for event in events] == sorted(event.zxid for event in events)
    moved = events[3]
    assert moved.details["from"] == victim
    assert moved.details["fence"] == events[0].details["fence"]
    assert moved.sentence == f"web1 has moved from {victim} to {other}, since {victim} is gone."
    assert reader.read() == []


def test_a_node_is_recovered_when_its_last_vm_has_another_one(world: World) -> None:
    for name in ("web1", "web2", "web3", "web4"):
        world.create(name)
    victim = world.owner("web1")
    hit = [name for name in ("web1", "web2", "web3", "web4") if world.owner(name) == victim]
    assert len(hit) == 2
    other = next(node for node in world.cluster.agents if node != victim)
    reader = Reader(world.cluster)
    world.die(victim)
    world.prove(victim)
    assert told(reader.read()) == [f"node_dead {victim}", f"fenced {victim}"]
    world.fence(victim, lambda fence: dataclasses.replace(fence, waiting={hit[1]: "no node has room"}))
    world.recover(hit[0], other)
    (moved, waits) = sorted(reader.read(), key=lambda event: event.type)
    assert waits.sentence == f"{hit[1]} waits for a node since {victim} is gone: no node has room."
    assert told([moved, waits]) == [f"vm_moved {hit[0]}", f"waiting {hit[1]}"]
    world.recover(hit[1], other)
    assert told(reader.read()) == [f"recovered {victim}", f"vm_moved {hit[1]}"]


def test_vms_that_nobody_could_take_are_recovered_with_their_node(world: World) -> None:
    world.create("web1")
    victim = world.owner("web1")
    reader = Reader(world.cluster)
    world.die(victim)
    world.prove(victim)
    world.fence(victim, lambda fence: dataclasses.replace(fence, waiting={"web1": "no node has room"}))
    assert "recovered" not in " ".join(told(reader.read()))
    world.come_back(victim)
    assert told(reader.read()) == [f"recovered {victim}", f"node_back {victim}"]


def test_a_node_about_which_nothing_is_done_waits(world: World) -> None:
    reader = Reader(world.cluster)
    world.die("node1")
    world.fence("node1", lambda fence: dataclasses.replace(fence, state="held", why="the cluster is in maintenance"))
    assert reader.read()[1].sentence == "node1 is gone, and nothing is done about it: the cluster is in maintenance."
    world.fence("node1", lambda fence: dataclasses.replace(fence, why="too many nodes are gone"))
    assert reader.read() == []
    world.come_back("node1")
    assert told(reader.read()) == ["node_back node1"]


def test_failures_are_told_as_they_are_counted(world: World) -> None:
    world.create("web1")
    node = world.owner("web1")
    reader = Reader(world.cluster)
    world.report("web1", lambda status: dataclasses.replace(status, state="backoff", failures=1, reason="it crashed"))
    assert [event.sentence for event in reader.read()] == [f"web1 has failed on {node}: it crashed."]
    world.report("web1", lambda status: dataclasses.replace(status, failures=3))
    (more,) = reader.read()
    assert more.sentence == f"web1 has failed 2 times on {node}: it crashed."
    world.report("web1", lambda status: dataclasses.replace(status, state="failed", reason="given up"))
    (last,) = reader.read()
    assert last.sentence == f"web1 is not started again on {node}: given up."
    assert last.details["given_up"]
    world.report("web1", lambda status: dataclasses.replace(status, reason="given up for good"))
    assert reader.read() == []


def test_a_vm_that_is_moved_counts_its_failures_anew(world: World) -> None:
    world.create("web1")
    world.report("web1", lambda status: dataclasses.replace(status, failures=2))
    reader = Reader(world.cluster)
    world.move("web1", "node2" if world.owner("web1") != "node2" else "node1")
    world.report("web1", lambda status: dataclasses.replace(status, failures=1))
    assert told(reader.read()) == ["vm_moved web1", "vm_failed web1"]


def test_a_vm_that_is_made_anew_is_another_one_with_the_same_uuid(world: World) -> None:
    reader = Reader(world.cluster)
    for _life in range(2):
        world.create("web1")
        world.move("web1", "node2" if world.owner("web1") != "node2" else "node1")
        assert [event.details["moves"] for event in reader.read() if event.type == "vm_moved"] == [1]
        world.cluster.agents[world.owner("web1")].remove("web1")
        # the second time, it is made anew before anybody looks
    moved = [event for event in reader.events if event.type == "vm_moved"]
    assert len({event.details["uuid"] for event in moved}) == 1
    assert len({event.id for event in moved}) == 2


def test_what_was_said_of_a_vm_that_had_its_name_is_not_said_of_it(world: World) -> None:
    world.create("web1")
    world.report("web1", lambda status: dataclasses.replace(status, state="failed", failures=3))
    reader = Reader(world.cluster)
    node = world.owner("web1")
    world.cluster.agents[node].remove("web1")
    world.cluster.apply(request("web1", node=node))
    # the agent has yet to look: its status still tells of the old one
    assert [event.type for event in reader.read()] == ["commit"]
    world.report("web1", lambda status: dataclasses.replace(status, state="failed", failures=1))
    assert [event.type for event in reader.read()] == ["vm_failed", "vm_failed"]


def test_a_node_is_recovered_when_its_last_vm_is_deleted(world: World) -> None:
    world.create("web1")
    victim = world.owner("web1")
    reader = Reader(world.cluster)
    world.die(victim)
    world.prove(victim)
    world.create("web2")
    last = reader.read()[-1]
    world.cluster.agents[victim].remove("web1")
    (recovered,) = reader.read()
    assert told([recovered]) == [f"recovered {victim}"]
    # its fence was written before what was told last
    assert recovered.zxid >= last.zxid


def test_a_vm_keeps_its_events_under_another_name(world: World) -> None:
    reader = Reader(world.cluster)
    world.cluster.apply(request("web1", state="stopped"))
    world.move("web1", "node2" if world.owner("web1") != "node2" else "node1")
    world.cluster.agents[world.owner("web1")].observe("web1", "stopped")
    before = [event for event in reader.read() if event.type == "vm_moved"]
    for old, new in (("web1", "web2"), ("web2", "web3")):
        world.cluster.apply(VmRequest(old, new_name=new))
        world.cluster.agents[world.owner(new)].observe(new, "stopped")
    assert [event.type for event in reader.read()] == ["commit", "commit"]
    after = [event for event in Reader(world.cluster, since=0).read() if event.type == "vm_moved"]
    assert [event.id for event in after] == [event.id for event in before]
    assert [event.name for event in after] == ["web3"]


def test_what_waits_for_a_start_is_drift_once_for_each_definition(world: World) -> None:
    world.create("web1")
    reader = Reader(world.cluster)
    world.change("web1", generation=2, definition=2)
    assert reader.read() == []
    world.report("web1", lambda status: dataclasses.replace(status, pending=("cpu.model",)))
    (drift,) = reader.read()
    assert drift.details["pending"] == ["cpu.model"]
    world.report("web1", lambda status: dataclasses.replace(status, pending=("cpu.model", "machine")))
    assert reader.read() == []
    world.change("web1", generation=3, definition=3)
    # the agent has yet to look at the new record: what waits is what waited of the old one
    assert reader.read() == []
    world.report("web1", lambda status: status)
    assert told(reader.read()) == ["drift web1"]


def test_a_move_that_an_agent_has_given_up_is_drift(world: World) -> None:
    world.create("web1")
    reader = Reader(world.cluster)
    owner = world.owner("web1")
    other = next(node for node in world.cluster.agents if node != owner)
    world.write(paths.claim("web1"), Claim(owner, 1, to=other))
    world.report("web1", lambda status: dataclasses.replace(status, refused=other, moved=f"not to {other}: no route"))
    (drift,) = reader.read()
    assert drift.sentence == f"web1 is to move to {other}, but stays on {owner}: not to {other}: no route."
    assert drift.details["wanted_on"] == other


def test_services_are_told_when_they_fail_and_when_they_are_well_again(world: World) -> None:
    reader = Reader(world.cluster)
    agent = world.cluster.agents["node1"]
    agent.tell(Service("ceph", "osd.0", "up"), Service("zookeeper", "zookeeper", "serving"))
    assert reader.read() == []
    agent.tell(Service("ceph", "osd.0", "down", healthy=False, why="it is down", since="t1"))
    (bad,) = reader.read()
    assert bad.sentence == "Ceph on node1 (osd.0) is not healthy: it is down."
    agent.tell(Service("ceph", "osd.0", "down", healthy=False, why="it is still down", since="t1"), instance="next")
    assert reader.read() == []
    agent.tell(Service("ceph", "osd.0", "up", since="t2"))
    (well,) = reader.read()
    assert well.sentence == "Ceph on node1 (osd.0) is healthy again (up)."
    assert well.details["healthy"]


def test_commits_are_told_with_who_and_what(world: World) -> None:
    reader = Reader(world.cluster)
    reader.end()
    world.cluster.apply(request("web1"))
    commit_nodes(world.store, lambda snapshot: plan_nodes(snapshot, [NodeRequest("node4")], "lab", CLUSTER_ID))
    reader.begin()
    events = reader.read()
    assert [(event.details["revision"], event.details["changes"][0]["name"]) for event in events] == [
        *((world.cluster.snapshot.journal - 1, "web1"), (world.cluster.snapshot.journal, "node4")),
    ]
    assert reader.read() == []


def test_a_commit_whose_record_is_damaged_is_one_all_the_same(world: World) -> None:
    reader = Reader(world.cluster)
    world.cluster.apply(request("web1"))
    revision = world.cluster.snapshot.journal
    world.cluster.overwrite(paths.commit(revision), b"{")
    (event,) = reader.read()
    assert event.details["revision"] == revision
    assert event.sentence.startswith("Somebody has made a commit whose record is damaged: ")


def test_a_cursor_of_another_cluster_is_refused(world: World) -> None:
    with pytest.raises(InvalidRequest, match="belongs to the cluster with id other"):
        Follower(world.store, Cursor("other"))


def test_a_damaged_record_is_no_event_and_makes_none_double(world: World) -> None:
    world.create("web1")
    world.move("web1", "node2" if world.owner("web1") != "node2" else "node1")
    world.die("node3")
    world.cluster.agents["node1"].tell(Service("ceph", "osd.0", "down", healthy=False, since="t1"))
    reader = Reader(world.cluster)
    places = (paths.vm("web1"), paths.fence("node3"), paths.health("node1"))
    before = world.store.get_many(places)
    for path in places:
        world.cluster.overwrite(path, b"{")
    assert reader.read() == []
    for path, znode in zip(places, before, strict=True):
        assert znode is not None
        world.cluster.overwrite(path, znode.data)
    assert reader.read() == []


NODES = st.sampled_from(["node1", "node2", "node3"])
VMS = st.sampled_from(["a", "b", "c"])


class Histories(RuleBasedStateMachine):
    """Three readers of the same cluster: one that never stops, one that dies all the time, and one that seldom looks."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        for name in ("a", "b"):
            self.world.create(name)
        self.steady = Reader(self.world.cluster)
        self.dying = Reader(self.world.cluster, self.steady.cursor)
        self.seldom = Reader(self.world.cluster, self.steady.cursor)
        self.seldom.end()

    @rule(name=VMS)
    def create(self, name: str) -> None:
        self.world.create(name)

    @rule(name=VMS)
    def remove(self, name: str) -> None:
        owner = self.world.owner(name)
        if owner:
            self.world.cluster.agents[owner].remove(name)

    @rule(name=VMS, node=NODES)
    def move(self, name: str, node: str) -> None:
        self.world.move(name, node)

    @rule(name=VMS, node=NODES)
    def order(self, name: str, node: str) -> None:
        claim = self.world.read(paths.claim(name), Claim)
        if claim is not None:
            self.world.write(paths.claim(name), dataclasses.replace(claim, to="" if node == claim.node else node))

    @rule(name=VMS)
    def refuse(self, name: str) -> None:
        claim = self.world.read(paths.claim(name), Claim)
        if claim is not None:
            self.world.report(name, lambda status: dataclasses.replace(status, refused=claim.to))

    @rule(name=VMS)
    def change(self, name: str) -> None:
        vm = self.world.read(paths.vm(name), Vm)
        if vm is not None:
            self.world.change(name, generation=vm.generation + 1, definition=vm.generation + 1)

    @rule(name=VMS, state=st.sampled_from(["running", "failed"]), pending=st.sampled_from([(), ("cpu",)]))
    def report(self, name: str, state: str, pending: tuple[str, ...]) -> None:
        self.world.report(name, lambda status: dataclasses.replace(status, state=state, pending=pending))

    @rule(name=VMS)
    def crash(self, name: str) -> None:
        self.world.report(name, lambda status: dataclasses.replace(status, failures=status.failures + 1))

    @rule(node=NODES)
    def die(self, node: str) -> None:
        self.world.die(node)

    @rule(node=NODES)
    def prove(self, node: str) -> None:
        self.world.prove(node)

    @rule(name=VMS, node=NODES)
    def recover(self, name: str, node: str) -> None:
        self.world.recover(name, node)

    @rule(name=VMS)
    def wait(self, name: str) -> None:
        owner = self.world.owner(name)
        if owner:
            self.world.fence(
                owner, lambda fence: dataclasses.replace(fence, waiting={**fence.waiting, name: "no room"})
            )

    @rule(node=NODES)
    def come_back(self, node: str) -> None:
        self.world.come_back(node)

    @rule(node=NODES, state=st.sampled_from(["up", "down", "no answer"]))
    def look(self, node: str, state: str) -> None:
        since = f"t{self.world.unique()}"
        self.world.cluster.agents[node].tell(Service("ceph", "osd.0", state, healthy=state == "up", since=since))

    @rule(until=st.integers(0, 3))
    def seldom_looks(self, until: int) -> None:
        self.seldom.begin()
        self.seldom.read(until)
        self.seldom.end()

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        new = self.steady.read()
        for count in range(len(new) + 1):
            # one event at a time: told, remembered, dead
            self.dying.restart()
            self.dying.read(until=1 if count < len(new) else None)
        ids = [event.id for event in self.steady.events]
        assert [event.id for event in self.dying.events] == ids
        assert len(ids) == len(set(ids))
        for reader in (self.steady, self.dying, self.seldom):
            zxids = [event.zxid for event in reader.events]
            assert zxids == sorted(zxids)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.seldom.begin()
        self.seldom.read()
        steady = {event.id: event for event in self.steady.events}
        ids = [event.id for event in self.seldom.events]
        assert len(ids) == len(set(ids))
        # what it tells has happened, and of what the tree keeps nothing is missing
        assert set(ids) <= steady.keys()
        assert {event_id for event_id in ids if event_id.startswith(EXACT)} == {
            event.id for event in steady.values() if event.type in EXACT
        }
        assert _position(self.seldom.cursor) == _position(self.steady.cursor)
        for reader in (self.steady, self.dying, self.seldom):
            reader.end()


def _position(cursor: Cursor | None) -> Any:
    """Where a reader stands, whatever it has missed on the way."""
    assert cursor is not None
    where = {uuid: (mark.epoch, mark.node) for uuid, mark in cursor.vms.items()}
    return cursor.revision, where, cursor.fences.keys(), cursor.unhealthy


Histories.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestHistories = Histories.TestCase
