# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is published of the services of a node: on change, with the time since when, signed by the process that looked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pvc_node_agent.effects import WriteHealth
from pvc_node_agent.events import Failure
from pvc_node_agent.perform import Performer
from pvc_node_agent.services import dated, record
from pvc_node_agent.view import Observer, Services
from pvc_state import paths
from pvc_state.records import Health, Service
from pvc_state.store import Create, Delete
from tests.agent.world import World

UP = Service("ceph", "osd.0", "up")
DOWN = Service("ceph", "osd.0", "booting", healthy=False, why="it runs, but the cluster does not use it (booting)")
OTHER = Service("ceph", "osd.1", "up")
FOLLOWS = Service("zookeeper", "zookeeper", "serving", role="follower")


@pytest.fixture
def world() -> World:
    return World("node1", "node2")


# --- the record ---------------------------------------------------------------------------------------------------------


def services(*kinds: str) -> Services:
    return Services(Observer("me", "t0", frozenset(kinds)))


def test_nothing_is_told_by_an_agent_that_was_told_to_look_at_nothing() -> None:
    assert record(Services()) is None
    assert record(services()) == Health("me", "t0", ())


def test_nothing_is_told_before_everything_was_looked_at() -> None:
    half = dated(services("ceph", "zookeeper"), "ceph", [UP], "t1")
    assert record(half) is None
    whole = dated(half, "zookeeper", [FOLLOWS], "t2")
    assert record(whole) == Health("me", "t0", (replace(UP, since="t1"), replace(FOLLOWS, since="t2")))


def test_what_stays_as_it_is_keeps_its_time() -> None:
    seen = dated(services("ceph"), "ceph", [UP, OTHER], "t1")
    seen = dated(seen, "ceph", [DOWN, OTHER], "t2")
    assert [one.since for one in seen.seen["ceph"]] == ["t2", "t1"]
    seen = dated(seen, "ceph", [UP, OTHER], "t3")
    assert [one.since for one in seen.seen["ceph"]] == ["t3", "t1"]


@pytest.mark.parametrize(
    ("change", "since"),
    [
        ({"state": "not serving"}, "t2"),
        ({"role": "leader"}, "t2"),
        ({"healthy": False}, "t2"),
        ({"why": "other words"}, "t1"),
        ({"details": {"lag": "1048576"}}, "t1"),
    ],
)
def test_only_another_state_or_role_is_a_new_time(change: dict[str, object], since: str) -> None:
    seen = dated(services("zookeeper"), "zookeeper", [FOLLOWS], "t1")
    seen = dated(seen, "zookeeper", [replace(FOLLOWS, **change)], "t2")  # type: ignore[arg-type]
    assert seen.seen["zookeeper"] == (replace(FOLLOWS, **change, since=since),)  # type: ignore[arg-type]


def test_the_times_of_the_process_before_go_on() -> None:
    before = Health("another", "t0", (replace(UP, since="t1"), replace(DOWN, name="osd.1", since="t2")))
    seen = dated(replace(services("ceph"), published=before), "ceph", [UP, OTHER], "t9")
    assert record(seen) == Health("me", "t0", (replace(UP, since="t1"), replace(OTHER, since="t9")))


# --- in the agent -------------------------------------------------------------------------------------------------------


def test_each_node_tells_of_its_own(world: World) -> None:
    assert world.health("node1").services == (replace(UP, since="at 1000"), replace(OTHER, since="at 1000"))
    world.advance(5)
    world["node1"].see(DOWN, OTHER)
    world.settle()
    assert world.health("node1").services == (replace(DOWN, since="at 1005"), replace(OTHER, since="at 1000"))
    assert world.health("node2").services[0] == replace(UP, since="at 1000")


def test_who_has_looked_is_who_lives(world: World) -> None:
    first = world.health("node1")
    world["node1"].restart_agent()
    world.advance(1)
    second = world.health("node1")
    assert second.instance != first.instance
    assert second.services == first.services
    alive = world.znode(paths.alive("node1"))
    assert alive is not None
    assert second.instance.encode() in alive.data


def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    world.advance(2)  # Ceph has answered by then
    zxid = world.zxid()
    world["node1"].see(*world["node1"].services)
    world.advance(3600)
    assert world.zxid() == zxid


def test_what_changed_while_the_store_was_away_is_told_once_it_is_back(world: World) -> None:
    world.down()
    world["node1"].see(DOWN, OTHER)
    world.advance(30)
    world.up()
    world.advance(30)
    assert world.health("node1").services[0] == replace(DOWN, since="at 1000")


def test_a_write_that_fails_is_tried_again(world: World) -> None:
    world.jobs_run = False
    world["node1"].see(DOWN, OTHER)
    world.settle()
    store = world["node1"].store
    world.ensemble.cut(store)
    world.jobs_run = True
    world.settle()
    world.ensemble.heal(store)
    world.advance(3)
    assert not world.health("node1").services[0].healthy


def test_a_tree_from_before_there_was_health_gets_it(world: World) -> None:
    for path in (paths.health("node1"), paths.health("node2"), paths.HEALTH):
        znode = world.znode(path)
        assert znode is not None
        world.user.commit([Delete(path, znode.version)])
    for node in world.nodes.values():
        node.see(DOWN, OTHER)
    world.settle()
    assert [world.health(node).services[0].healthy for node in world.nodes] == [False, False]


def test_of_two_agents_that_make_the_parent_at_once_one_tries_again(world: World) -> None:
    for path in (paths.health("node1"), paths.health("node2"), paths.HEALTH):
        znode = world.znode(path)
        assert znode is not None
        world.user.commit([Delete(path, znode.version)])
    performer = world["node1"].performer
    store = world["node1"].store

    class Slow:
        """Between its reading and its writing the other one was faster."""

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def get_many(self, wanted: list[str]) -> Any:
            found = store.get_many(wanted)
            world.user.commit([Create(paths.HEALTH)])
            return found

    slow = Performer("node1", Slow, performer._hypervisor, performer._storage, performer._enrolment)
    effect = WriteHealth(Health("me"))
    assert slow.perform(effect).failure is Failure.REFUSED
    assert performer.perform(effect).failure is None


def test_a_damaged_record_is_replaced(world: World) -> None:
    world.damage(paths.health("node1"))
    world["node1"].restart_agent()
    world.advance(1)
    assert world.health("node1").services[0].healthy
