# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who leads: agents in memory, whole but for libvirt and Ceph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pvc_node_agent.lead.candidate import FENCED_WAITS
from pvc_state import codec, paths
from pvc_state.records import Fence, Leader, Node
from pvc_state.requests import VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Create, Delete, Set
from tests.agent.world import SESSION_TIMEOUT, World


@pytest.fixture
def world() -> World:
    return World("node1", "node2", "node3", leading=True)


def leader(world: World) -> str:
    """The node that leads, as the store says and as it says itself; empty for none."""
    znode = world.znode(paths.LEADER)
    leading = [name for name, node in world.nodes.items() if node.loop and node.lead.view.epoch is not None]
    if znode is None:
        return ""
    name = codec.decode(Leader, znode.data).node
    assert leading in ([], [name])
    return name if leading else ""


def epoch(world: World) -> int:
    znode = world.znode(paths.EPOCH)
    assert znode is not None
    return znode.version


def others(world: World, name: str) -> Iterator[str]:
    return (other for other in world.nodes if other != name)


def test_one_of_all_leads_and_sees_the_whole_tree(world: World) -> None:
    name = leader(world)
    assert name
    view = world[name].lead.view
    assert view.epoch == epoch(world) == 1
    assert view.snapshot == load(world.user)
    assert view.presence.alive == {"node1", "node2", "node3"}
    for other in others(world, name):
        assert world[other].lead.view.snapshot is None
        assert world[other].lead.view.presence.alive == {"node1", "node2", "node3"}


def test_a_hypervisor_never_leads() -> None:
    world = World("node1", leading=True)
    world.declare("node2")
    znode = world.znode(paths.node("node2"))
    assert znode is not None
    world.user.commit([Set(paths.node("node2"), codec.encode(Node()), znode.version)])
    world.add_machine("node2")
    world.settle()
    world["node1"].kill_agent()
    world.advance(60)
    assert leader(world) == ""
    assert epoch(world) == 1


def test_who_becomes_a_coordinator_may_lead_and_who_is_none_any_more_may_not(world: World) -> None:
    name = leader(world)
    znode = world.znode(paths.node(name))
    assert znode is not None
    node = codec.decode(Node, znode.data)
    world.user.commit([Set(paths.node(name), codec.encode(replace(node, coordinator=False)), znode.version)])
    world.settle()
    successor = leader(world)
    assert successor not in ("", name)
    world.user.commit([Set(paths.node(name), codec.encode(node), znode.version + 1)])
    for other in others(world, name):
        world[other].stop_leading()
    world.settle()
    assert leader(world) == name


def test_when_the_leader_dies_another_leads_with_a_higher_epoch(world: World) -> None:
    name = leader(world)
    world[name].power_cut()
    world.advance(SESSION_TIMEOUT - 0.1)
    assert leader(world) == ""
    world.advance(0.2)
    assert leader(world) not in ("", name)
    assert epoch(world) == 2


def test_a_leader_that_stops_cleanly_is_followed_at_once(world: World) -> None:
    name = leader(world)
    world[name].stop_leading()
    world.settle()
    assert leader(world) not in ("", name)
    assert world[name].lead.view.epoch is None
    assert world[name].sentences[-1].startswith("lead no more: this agent stops leading")
    for other in list(others(world, name)):
        world[other].stop_leading()
    world.settle()
    assert leader(world) == ""
    world[name].start_leading()
    world.settle()
    assert leader(world) == name


def test_a_leader_whose_agent_restarts_leads_on_without_a_gap(world: World) -> None:
    name = leader(world)
    world[name].restart_agent()
    world.settle()
    assert leader(world) == name
    assert epoch(world) == 2


def test_what_another_node_has_is_not_taken_over(world: World) -> None:
    name = leader(world)
    for other in others(world, name):
        world[other].restart_agent()
    world.settle()
    assert leader(world) == name
    assert epoch(world) == 1


def test_a_leader_out_of_sight_leads_no_more_and_never_again_under_its_old_epoch(world: World) -> None:
    name = leader(world)
    assert world[name].store is not None
    world.ensemble.cut(world[name].store)
    world.settle()
    assert world[name].lead.view.epoch is None
    assert world[name].lead.view.snapshot is None
    assert world[name].lead.view.presence.sighted_at is None
    world.advance(1)
    # its session lives, and so its place was kept: but what happened meanwhile is not known
    world.ensemble.heal(world[name].store)
    world.settle()
    assert leader(world) == name
    assert world[name].lead.view.epoch == 2


def test_without_a_store_nobody_leads_and_with_it_one_does(world: World) -> None:
    world.down()
    world.advance(600)
    assert all(node.lead.view.epoch is None for node in world.nodes.values())
    world.up()
    world.settle()
    assert leader(world)


def test_a_session_that_expires_takes_the_lead_with_it(world: World) -> None:
    name = leader(world)
    assert world[name].store is not None
    world.ensemble.expire(world[name].store)
    world.settle()
    assert leader(world)
    assert epoch(world) >= 2
    assert sum(node.lead.view.epoch is not None for node in world.nodes.values()) == 1


def test_whose_place_was_taken_away_leads_no_more(world: World) -> None:
    """An early suspicion removes the ephemeral although the session lives."""
    name = leader(world)
    world.user.commit([Delete(paths.alive(name), 0)])
    world.settle()
    assert epoch(world) == 2
    assert leader(world)


def test_a_tree_from_before_gets_what_is_missing() -> None:
    world = World(leading=True)
    world.declare("node1")
    znode = world.znode(paths.node("node1"))
    assert znode is not None
    world.user.commit(
        [
            Set(paths.node("node1"), codec.encode(Node(coordinator=True)), znode.version),
            *(Delete(path, 0) for path in (paths.RULES, paths.FENCES, paths.DECLARED, paths.HISTORY, paths.EPOCH)),
        ]
    )
    world.add_machine("node1")
    world.add_machine("node2")
    world.settle()
    assert leader(world) == "node1"
    assert world.user.get_many(paths.PARENTS).count(None) == 0
    assert world["node1"].lead.view.snapshot == load(world.user)


def test_a_node_with_a_fence_leaves_the_lead_to_others_for_a_while(world: World) -> None:
    name = leader(world)
    first = next(others(world, name))
    for other in world.nodes:
        world[other].stop_leading()
    world.settle()
    fence = Fence("other-1-1", "held", "it was gone", addresses=())
    world.user.commit([Create(paths.fence(first), codec.encode(fence))])
    world[first].start_leading()
    world.advance(FENCED_WAITS - 0.1)
    assert leader(world) == ""
    world.advance(0.2)
    assert leader(world) == first


def test_the_leaders_tree_follows_what_happens(world: World) -> None:
    world.want(VmRequest("web1", memory=64), VmRequest("web2", memory=64))
    world.advance(5)
    name = leader(world)
    assert world[name].lead.view.snapshot == load(world.user)
    world.want(VmRequest("web1", state="absent"))
    world.advance(5)
    assert world[name].lead.view.snapshot == load(world.user)


def test_an_idle_leader_writes_and_reads_nothing(world: World) -> None:
    world.want(VmRequest("web1", memory=64))
    world.advance(10)
    zxid = world.zxid()
    world.advance(3600)
    assert world.zxid() == zxid
