# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Winning, losing and leaving the lead on both stores: what wakes a candidate are the watches of the store itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from pvc_node_agent.events import Blinded as AgentBlinded
from pvc_node_agent.events import Enrolled
from pvc_node_agent.lead.candidate import Candidate
from pvc_node_agent.lead.events import AliveSeen, Blinded, Deposed, Elected, LeadEvent, TreeSeen
from pvc_state import codec, paths
from pvc_state.commit import commit_nodes
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Alive, Leader
from pvc_state.requests import NodeRequest
from pvc_state.snapshot import load
from pvc_state.store import Create, Delete, Store
from tests.store.harness import PATIENCE, Harness

T = TypeVar("T", bound=LeadEvent)


class Clock:
    def now(self) -> float:
        return time.monotonic()


class Standing:
    """A candidate of an agent that is enrolled, pumped by the test whenever it has work."""

    def __init__(self, store: Store, node: str, instance: str = "first") -> None:
        self.store = store
        self.node = node
        self.events: list[LeadEvent] = []
        store.commit([Create(paths.alive(node), codec.encode(Alive("boot", instance)), ephemeral=True)])
        self.candidate = Candidate(node, instance, lambda: self.store, Clock(), self.events.append)
        self.candidate.hear(Enrolled(store.session_id, None, {}))
        self.candidate.pump()

    def until(self, kind: type[T], wanted: Callable[[T], bool] = lambda _event: True) -> T:
        """Pump until an event of a kind comes; returns it, and forgets all up to it."""
        end = time.monotonic() + PATIENCE
        while True:
            for index, event in enumerate(self.events):
                if isinstance(event, kind) and wanted(event):
                    del self.events[: index + 1]
                    return event
            assert self.candidate.work.wait(end - time.monotonic()), f"no {kind.__name__} but {self.events}"
            self.candidate.work.clear()
            self.candidate.pump()


@pytest.fixture
def user(harness: Harness) -> Store:
    store = harness.connect()
    requests = [NodeRequest(name, coordinator=True) for name in ("node1", "node2")]
    commit_nodes(store, lambda snapshot: plan_nodes(snapshot, requests, "test"))
    return store


def leader(store: Store) -> str:
    store.sync()
    znode = store.get(paths.LEADER)
    return codec.decode(Leader, znode.data).node if znode is not None else ""


def test_one_of_two_wins_and_sees_the_tree(harness: Harness, user: Store) -> None:
    one, two = Standing(harness.connect(), "node1"), Standing(harness.connect(), "node2")
    assert one.until(Elected) == Elected(1)
    assert one.until(TreeSeen, lambda event: len(event.snapshot.alive) == 2).snapshot == load(user)
    two.until(AliveSeen, lambda event: event.nodes == {"node1", "node2"})
    assert two.events == []
    assert leader(user) == "node1"


def test_a_session_that_ends_leaves_the_lead_to_the_other(harness: Harness, user: Store) -> None:
    one, two = Standing(harness.connect(), "node1"), Standing(harness.connect(), "node2")
    one.store.close()
    assert two.until(Elected) == Elected(2)
    assert two.until(TreeSeen).snapshot.alive.keys() == {"node2"}
    assert leader(user) == "node2"


def test_one_that_stops_leaves_the_lead_but_not_its_session(harness: Harness, user: Store) -> None:
    one, two = Standing(harness.connect(), "node1"), Standing(harness.connect(), "node2")
    one.candidate.stand(False)
    one.until(Deposed)
    assert two.until(Elected) == Elected(2)
    assert user.get(paths.alive("node1"))


def test_one_that_was_replaced_and_does_not_know_leaves_the_next_ones_place_alone(
    harness: Harness, user: Store
) -> None:
    one = Standing(harness.connect(), "node1")
    one.until(TreeSeen)
    user.sync()
    user.commit([Delete(paths.LEADER, 0), Delete(paths.alive("node1"), 0)])
    two = Standing(harness.connect(), "node2")
    assert two.until(Elected) == Elected(2)
    one.candidate.stand(False)
    one.until(Deposed)
    assert leader(user) == "node2"


def test_the_next_agent_of_a_node_takes_its_lead_over(harness: Harness, user: Store) -> None:
    one, two = Standing(harness.connect(), "node1"), Standing(harness.connect(), "node2")
    one.store.commit([Delete(paths.alive("node1"), 0)])
    again = Standing(harness.connect(), "node1", "second")
    assert again.until(Elected) == Elected(2)
    one.until(Deposed)
    two.until(AliveSeen, lambda event: "node1" in event.nodes)
    assert not any(isinstance(event, Elected) for event in two.events)
    assert leader(user) == "node1"


def test_one_that_is_cut_off_knows_it_at_once(harness: Harness, user: Store) -> None:
    one = Standing(harness.connect(), "node1")
    one.until(TreeSeen)
    harness.cut(one.store)
    # what its agent's feed says, and what the watches say, whichever comes first
    one.candidate.hear(AgentBlinded("the connection to the store is lost"))
    one.until(Deposed)
    one.until(Blinded)
    assert leader(user) == "node1"


def test_without_a_place_among_the_living_nobody_is_elected(harness: Harness, user: Store) -> None:
    one = Standing(harness.connect(), "node1")
    one.until(TreeSeen)
    one.store.commit([Delete(paths.alive("node1"), 0), Delete(paths.LEADER, 0)])
    one.until(Deposed)
    one.until(Blinded)
    assert leader(user) == ""
