# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node dies, and its VMs run elsewhere: whole agents in memory, with a leader that dies after any of its effects."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pvc_node_agent.lead.effects import BeginFence, LeadEffect, Write
from pvc_node_agent.lead.perform import LeadPerformer
from pvc_node_agent.sim.machine import Machine
from pvc_node_agent.sim.parts import Dies
from pvc_node_agent.view import Sentence
from pvc_state import codec, paths
from pvc_state.records import Leader, Past
from pvc_state.requests import DiskRequest, VmRequest
from pvc_state.snapshot import load
from tests.agent.world import SESSION_TIMEOUT, World

VMS = tuple(f"vm{index}" for index in range(4))


class Watched(World):
    """No VM is started while another guest of it can still write."""

    def __init__(self, *nodes: str) -> None:
        self.decisions: list[Sentence] = []
        super().__init__(*nodes, leading=True)

    def told(self, machine: Machine, sentence: Sentence) -> None:
        self.decisions.append(sentence)

    def happened(self, what: str, machine: Machine, vm: str) -> None:
        if what == "start":
            others = [other.name for other in self.nodes.values() if other is not machine and other.writes(vm)]
            assert not others, f"{vm} was started on {machine.name} while it writes on {others}"


def cluster(nodes: int = 3) -> tuple[Watched, str, str]:
    """A cluster whose VMs run on one node, that node, and the one that leads, which is another."""
    world = Watched(*(f"node{index + 1}" for index in range(nodes)))
    leader = leading(world)
    victim = next(name for name in world.nodes if name != leader)
    world.want(*(VmRequest(vm, memory=64, node=victim, disks=[DiskRequest(size=1 << 20)]) for vm in VMS))
    world.advance(5)
    world.want(*(VmRequest(vm, node=None) for vm in VMS))
    world.advance(5)
    assert world[victim].running == set(VMS)
    return world, victim, leader


def leading(world: World) -> str:
    znode = world.znode(paths.LEADER)
    assert znode is not None
    return codec.decode(Leader, znode.data).node


def runs(world: World, *nodes: str) -> dict[str, list[str]]:
    """Where each VM runs, of these nodes."""
    return {vm: [name for name in nodes if vm in world[name].running] for vm in VMS}


def once(world: World, *nodes: str) -> bool:
    return all(len(places) == 1 for places in runs(world, *nodes).values())


def test_the_vms_of_a_dead_node_run_elsewhere() -> None:
    world, victim, _leader = cluster()
    world[victim].power_cut()
    world.advance(SESSION_TIMEOUT + 0.5)
    assert once(world, *(name for name in world.nodes if name != victim))
    fence = load(world.user).fences[victim].value
    assert fence is not None
    assert (fence.state, fence.proven_by) == ("proven", "storage_cut")
    assert set(fence.moves) == set(VMS)
    told = [sentence for sentence in world.decisions if sentence.node == victim]
    assert [sentence.decision for sentence in told][:2] == [f"fence {victim}", f"{victim} is fenced"]
    assert told[1].evidence == "storage_cut"
    assert {sentence.vm for sentence in told[2:]} >= set(VMS)


def test_the_vms_of_the_leaders_dead_node_run_elsewhere() -> None:
    world, victim, leader = cluster(5)
    world[leader].power_cut()
    world[victim].power_cut()
    world.advance(SESSION_TIMEOUT + 1)
    assert once(world, *(name for name in world.nodes if name not in (victim, leader)))


def test_a_node_that_returns_is_let_in_and_remembered() -> None:
    world, victim, _leader = cluster()
    world[victim].power_cut()
    world.advance(10)
    world[victim].power_on()
    world.advance(10)
    snapshot = load(world.user)
    assert snapshot.fences == {}
    assert world.storage.blocklist == {}
    (name,) = world.user.children(paths.HISTORY) or []
    znode = world.znode(paths.history(name))
    assert znode is not None
    past = codec.decode(Past, znode.data)
    assert (past.node, past.fence.state) == (victim, "lifting")
    assert past.created < past.changed
    assert once(world, *world.nodes)


def crash(world: Watched, after: int, fate: Callable[[Machine], None]) -> list[LeadEffect]:
    """Whoever leads dies after so many effects of leading, once; returns what was carried out until then."""
    done: list[LeadEffect] = []

    def performed(machine: Machine) -> Callable[[object], None]:
        def count(effect: object) -> None:
            # the same order again is a look at whether it still holds
            if isinstance(effect, LeadEffect.__args__) and effect not in done and len(done) < after:  # type: ignore[attr-defined]
                done.append(effect)
                if len(done) == after:
                    fate(machine)
                    raise Dies

        return count

    for machine in world.nodes.values():
        machine.performed = performed(machine)
    return done


FATES: dict[str, Callable[[Machine], None]] = {
    "its agent dies": lambda _machine: None,
    "its machine dies": lambda machine: machine.power_cut(),
}


def pass_time(world: World, seconds: float, *, power: bool = False) -> None:
    """Meanwhile agents that died are started again, as the service manager does; with ``power`` machines, too."""
    for _second in range(int(seconds)):
        world.advance(1)
        for machine in world.nodes.values():
            if power:
                machine.power_on()
            if machine.loop is None and machine.powered:
                machine.start_agent()


@pytest.mark.parametrize("fate", FATES)
def test_whatever_effect_a_leader_dies_after_the_next_one_goes_on(fate: str) -> None:
    """A whole life of a fence: the node dies, its VMs are recovered, it returns, and the fence is lifted."""
    after = 0
    reached: list[LeadEffect] = []
    while len(reached) == after:
        after += 1
        world, victim, _leader = cluster(5)
        reached = crash(world, after, FATES[fate])
        world[victim].power_cut()
        pass_time(world, SESSION_TIMEOUT + 4)
        pass_time(world, 2 * SESSION_TIMEOUT)
        assert once(world, *world.nodes), f"after {reached[-1:]}: {runs(world, *world.nodes)}"
        pass_time(world, 60, power=True)
        context = f"after {len(reached)} effects: {reached[-1:]}"
        assert load(world.user).fences == {}, context
        assert world.storage.blocklist == {}, context
        assert once(world, *world.nodes), context
    kinds = [type(effect).__name__ for effect in reached]
    assert after > 7, kinds
    assert {"BeginFence", "CutStorage", "UpdateFence", "Recover", "RestoreStorage", "EndFence"} <= set(kinds)


def test_a_leader_that_was_frozen_writes_nothing_late() -> None:
    """It decides, stands still for longer than its session, and carries on with what it has decided."""
    world, victim, leader = cluster(5)
    frozen = world[leader]
    late: list[object] = []
    perform = LeadPerformer.perform

    def held(effect: LeadEffect, epoch: int) -> object:
        if isinstance(effect, BeginFence):
            frozen.pause()
            world.advance(2 * SESSION_TIMEOUT)
            frozen.thaw()
        done = perform(frozen.lead_performer, effect, epoch)
        if isinstance(effect, Write):
            late.append(done)
        return done

    frozen.lead_performer.perform = held  # type: ignore[method-assign, assignment]
    world[victim].power_cut()
    world.advance(SESSION_TIMEOUT)
    assert late
    assert "was changed meanwhile" in str(late[0]) or "does not" in str(late[0])
    world.advance(60)
    assert once(world, *(name for name in world.nodes if name != victim))
