# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster must live through, one function each; ``python -m tests.agent.hard_times`` runs all until one fails.

Each raises AssertionError when an invariant is violated. tests/agent/test_safety.py runs them one by one; a copy of the
agent with a bug in it runs them all, and must not get through.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pvc_node_agent.sim.chaos import EVIDENCE, Chaos
from pvc_node_agent.sim.machine import Machine
from pvc_node_agent.sim.stage import Stage, fence_devices
from pvc_state import codec, paths
from pvc_state.drain_report import drains
from pvc_state.records import Fence, Node, Rule, Vm
from pvc_state.snapshot import load
from pvc_state.store import Set

#: How a node may go.
LOSSES: dict[str, Callable[[Stage, str], None]] = {
    "power cut": lambda stage, node: stage[node].power_cut(),
    "isolated": lambda stage, node: stage[node].isolate(),
    "store lost": lambda stage, node: stage[node].network(store=False, ceph=True),
    "paused": lambda stage, node: stage[node].pause(),
}
#: What evidence may be like.
MOODS = ("ok", "failed", "lying")
#: Effects of a leader for which evidence fails, all kinds and more than once.
TRIES = 12
#: Seeds of random trouble that every run of the tests plays.
SEEDS = range(1, 26)


def small_scope(evidence: Sequence[str], mood: str, loss: str, effects: int) -> bool:
    """A node with the only VM goes; the leader's agent dies after its n-th effect. Returns whether it did so many."""
    stage = Stage(vms=3, evidence=evidence)
    stage.advance(10.0)
    leader = next(name for name, machine in stage.nodes.items() if machine.lead.view.epoch is not None)
    victim = next(name for name in sorted(stage.nodes, reverse=True) if name != leader)
    if mood == "failed":
        stage.storage.fence_failing = "Ceph's monitors do not answer"
        stage.power.moods[f"bmc-{victim}"] = "refuses"
    elif mood == "lying":
        stage.power.moods[f"bmc-{victim}"] = "lies"
    LOSSES[loss](stage, victim)
    stage.crash_after(leader, effects)
    stage.advance(20.0)
    crashed = stage[leader].loop is None
    stage.advance(20.0)
    proof = mood == "ok" or (mood == "lying" and ("storage_cut" in evidence or loss == "power cut"))
    if proof and not stage.is_down:
        stage.serve()
    if mood != "ok" and loss != "power cut" and evidence == ("powered_off",):
        fence = stage.record(Fence, paths.fence(victim))
        assert fence is None or fence.state == "collecting", f"a fence is {fence} although nothing proves it"
    stage.calm()
    return crashed


def small_scopes() -> list[tuple[Sequence[str], str, str]]:
    return list(itertools.product(EVIDENCE, MOODS, LOSSES))


def every_crash(evidence: Sequence[str], mood: str, loss: str) -> None:
    """Crash after each of the effects, until there are no more."""
    for effects in range(1, 40):
        if not small_scope(evidence, mood, loss, effects):
            assert effects > 2, "the leader did nothing at all"
            return
        if mood == "failed" and effects == TRIES:
            return  # from here on it does the same again and again
    raise AssertionError("the leader's effects never end")


# --- one story each -----------------------------------------------------------------------------------------------


def a_cut_guest_ends_at_once() -> None:
    """Only the store is lost: the storage is cut, and within seconds no guest runs there, although nobody can say so."""
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage["node3"].network(store=False, ceph=True)
    stage.advance(6.5)
    assert stage["node3"].storage_address in stage.storage.blocklist
    stage.advance(2.0 + stage.storage.lag)
    assert not stage["node3"].running, "a guest whose storage is cut still runs"
    stage.advance(2.0)
    stage.serve()
    stage.calm()


def the_last_owner_writes_until_every_osd_knows() -> None:
    """The new owner opens nothing before the OSDs know whom they must refuse."""
    stage = Stage(evidence=("storage_cut",))
    stage.storage.lag = 60.0
    stage.advance(10.0)
    stage["node3"].isolate()
    stage.advance(30.0)
    stage.serve()
    stage.calm()


def a_cut_that_fails_is_no_proof() -> None:
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage.storage.fence_failing = "Ceph's monitors do not answer"
    stage["node3"].isolate()
    stage.advance(60.0)
    assert not stage.fenced, "a cut that was never made counts as one"
    stage.calm()


def a_node_is_let_back_only_when_it_is_clean() -> None:
    """Its libvirt does not answer, so that nobody can end the guest that runs there."""
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage["node3"].hypervisor.stop_answering()
    stage["node3"].isolate()
    stage.advance(30.0)
    stage["node3"].reconnect()
    stage.advance(60.0)
    assert stage["node3"].storage_address in stage.storage.blocklist, "a node was let back with a guest that runs"
    stage.calm()


def an_old_decision_has_no_effect() -> None:
    """What was decided is carried out after the VM has gone to another node."""
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage.want("vm3", "stopped")
    stage.advance(5.0)
    stage["node3"].jobs_run = False
    stage.want("vm3", "started")
    stage.advance(0.5)
    stage["node3"].network(store=False, ceph=True)
    stage.advance(20.0)
    stage["node3"].jobs_run = True
    stage.advance(1.0)
    stage["node3"].reconnect()
    stage.calm()


def maintenance_fences_nobody() -> None:
    stage = Stage()
    stage.advance(10.0)
    stage.maintenance(True)
    stage.advance(1.0)
    stage["node3"].power_cut()
    stage.advance(200.0)
    assert not stage.fenced, "a node was fenced in maintenance"
    assert not stage.storage.blocklist
    stage.calm()


def a_storm_is_held() -> None:
    """Two of five at once are more than may be fenced: that looks like a switch."""
    stage = Stage(5, vms=5, storm_limit=1)
    stage.advance(10.0)
    for node in ("node4", "node5"):
        stage[node].isolate()
    stage.advance(60.0)
    assert not stage.fenced, "a storm was fenced"
    stage["node5"].reconnect()
    stage.advance(60.0)
    assert list(stage.fenced) == ["node4"], "what is left of a storm was not fenced"
    stage.serve()
    stage.calm()


def a_healthy_cluster_is_left_alone() -> None:
    stage = Stage(5, 2, vms=7)
    stage.advance(10.0)
    starts = dict(stage.starts)
    for node in stage.nodes.values():
        node.restart_agent()
        stage.advance(3.0)
    stage.store(False)
    stage.advance(60.0)
    stage.store(True)
    stage.advance(600.0)
    assert not stage.fenced, "a healthy node was fenced"
    assert stage.starts == starts, "a VM was started anew although nothing had happened"
    stage.calm()


def a_vm_beyond_ceph_waits_for_power_off() -> None:
    stage = Stage()
    znode = stage.user.get(paths.vm("vm3"))
    assert znode is not None
    record = codec.decode(Vm, znode.data)
    record = replace(record, ha=replace(record.ha, power_off=True))
    stage.user.commit([Set(paths.vm("vm3"), codec.encode(record), znode.version)])
    stage.advance(10.0)
    stage.power.moods["bmc-node3"] = "lies"
    stage["node3"].isolate()
    stage.advance(60.0)
    owner = stage.desired("vm3")[1].node
    assert owner == "node3", f"a VM that needs power-off was given to {owner} although the node has its power"
    stage.power.moods.clear()
    stage.advance(60.0)
    assert stage.desired("vm3")[1].node != "node3", (
        "a VM that needs power-off was not recovered although that is proven"
    )
    stage.serve()
    stage.calm()


def total_loss_of_power() -> None:
    """All goes dark; when all is back, all runs again, once."""
    stage = Stage(3, 2, vms=5)
    stage.advance(10.0)
    for node in stage.nodes.values():
        node.power_cut()
    stage.advance(300.0)
    for node in stage.nodes.values():
        node.power_on()
        stage.advance(2.0)
    stage.advance(60.0)
    assert not stage.fenced
    stage.calm()


def a_quick_reboot_is_a_death_too() -> None:
    """The node is back before its session ends: another boot, so nothing runs there any more."""
    stage = Stage()
    stage.advance(10.0)
    stage["node3"].power_cut()
    stage.advance(1.0)
    stage["node3"].power_on()
    stage.calm()


def a_frozen_leader_writes_nothing_more() -> None:
    """It decides, stands still, is replaced, and runs on with what it had decided."""
    for seconds in (1.0, 8.0, 30.0):
        stage = Stage()
        stage.advance(10.0)
        leader = next(name for name, machine in stage.nodes.items() if machine.lead.view.epoch is not None)
        victim = next(name for name in sorted(stage.nodes, reverse=True) if name != leader)
        stage[victim].power_cut()
        stage.advance(5.9)
        stage.jobs_run = False
        stage.advance(0.2)
        stage[leader].pause()
        stage.jobs_run = True
        stage.advance(seconds)
        stage[leader].thaw()
        stage.advance(30.0)
        stage.serve()
        stage.calm()


def a_start_that_stands_still_harms_nobody() -> None:
    """The store has said yes, and then the machine freezes, for as long as another one needs to take over."""
    for evidence, seconds in itertools.product(EVIDENCE, (3.0, 30.0)):
        stage = Stage(evidence=evidence)
        stage.advance(10.0)
        stage.want("vm3", "stopped")
        stage.advance(5.0)
        stage.stall("node3", seconds)
        stage.want("vm3", "started")
        stage.advance(60.0)
        stage.calm()


def late_watches() -> None:
    """Nobody is told of anything for a while."""
    for wait in (0.5, 7.0, 20.0):
        stage = Stage()
        stage.advance(10.0)
        stage.ensemble.late(True)
        stage["node3"].isolate()
        stage.advance(wait)
        stage["node3"].reconnect()
        stage.advance(wait)
        stage.ensemble.late(False)
        stage.calm()


def every_way_to_shut_down() -> None:
    for policy, reboot in itertools.product(("conditional", "freeze", "failover", "migrate"), (True, False)):
        stage = Stage(shutdown_policy=policy)
        stage.advance(10.0)
        stage["node3"].leave(reboot=reboot)
        stage.advance(60.0)
        assert not stage.fenced, f"a node that signed off was fenced ({policy})"
        stage.calm()


def a_fenced_node_out_of_sight_shuts_down() -> None:
    """It knows of its fence and cannot get clean, then loses sight: its shutdown does not wait for ever, nor spin."""
    stage = Stage(evidence=("powered_off",))
    stage.advance(10.0)
    stage.power.moods["bmc-node3"] = "lies"
    stage["node3"].hypervisor.stop_answering()
    stage["node3"].isolate()
    stage.advance(20.0)
    stage["node3"].reconnect()
    stage.advance(10.0)
    stage["node3"].isolate()
    stage["node3"].leave(reboot=False)
    stage.advance(400.0)
    assert not stage["node3"].powered, "the shutdown of a node without sight never ends"
    stage.calm()


def a_drain_ends() -> None:
    stage = Stage()
    stage.advance(10.0)
    stage.node_state("node3", "drained")
    stage.advance(60.0)
    assert not stage["node3"].running
    assert stage.starts == {"vm1": 1, "vm2": 1, "vm3": 1}, "a drain restarted something"
    stage.calm()


def drains_are_told_as_they_are() -> None:
    """Two nodes are emptied at once, and something happens. Nobody says that they are empty while a guest runs there."""

    def leader_is_gone(stage: Stage) -> None:
        stage[stage.leader()].kill_agent()

    def target_is_gone(stage: Stage) -> None:
        stage["node1"].power_cut()

    def one_is_gone(stage: Stage) -> None:
        stage["node4"].power_cut()

    for trouble in (lambda _stage: None, leader_is_gone, target_is_gone, one_is_gone):
        stage = Stage(3, 2, vms=10, rules=[Rule("apart", ("vm4", "vm5"))], orders={"move": 2.5})
        stage.advance(10.0)
        empty = ("node4", "node5")
        for node in empty:
            stage.node_state(node, "drained")
        stage.advance(0.2)
        trouble(stage)
        for _second in range(90):
            stage.advance(1.0)
            if stage.is_down:
                continue
            told = drains(load(stage.user), empty)
            for node in empty:
                there = stage[node].running if stage[node].powered else set()
                assert told.nodes[node].left or not there, f"{node} is said to be empty, and runs {there}"
        assert not told.left, f"the drain never ended: {told.left}"
        stage.calm()


def moves_survive_the_death_of_either_end() -> None:
    for victim, broken in itertools.product(("node1", "node3"), (False, True)):
        for effects in range(1, 5):
            stage = Stage()
            stage.advance(10.0)
            stage["node3"].hypervisor.breaks = broken
            stage.crash_after("node3", effects)
            stage.move("vm3", "node1")
            stage.advance(0.5)
            stage[victim].power_cut()
            stage.advance(30.0)
            if not stage.is_down:
                stage.serve()
            stage.calm()


def moving(seconds: float = 4.0) -> Stage:
    """vm3 is about to move from node3 to node1, which takes its time."""
    stage = Stage(orders={"move": seconds})
    stage.advance(10.0)
    assert stage.move("vm3", "node1")
    return stage


def a_move_goes_on(stage: Stage, after: float, trouble: Callable[[Machine], object], victim: str, cancel: bool) -> None:
    """Trouble some time after a move was asked for, and perhaps a user who has changed their mind just before or after."""
    stage.advance(after)
    if cancel and after < 2.0:
        stage.cancel("vm3")
    trouble(stage[victim])
    if cancel and after >= 2.0:
        stage.cancel("vm3")
    stage.advance(40.0)
    stage.calm()


#: What may happen to a machine while a guest moves.
TROUBLES: Mapping[str, Callable[[Machine], object]] = {
    "nothing": lambda _machine: None,
    "the power goes": lambda machine: machine.power_cut(),
    "its agent is killed": lambda machine: machine.restart_agent(),
    "its agent is gone": lambda machine: machine.kill_agent(),
    "it is cut off": lambda machine: machine.isolate(),
    "it stands still": lambda machine: machine.pause(),
    "its libvirt is gone": lambda machine: machine.hypervisor.stop_answering(),
}


def moves_are_called_off_whatever_happens() -> None:
    for trouble, victim in itertools.product(("the power goes", "its agent is killed"), ("node1", "node3")):
        a_move_goes_on(moving(), 1.0, TROUBLES[trouble], victim, cancel=True)
    for effects in (1, 2, 3):
        stage = moving()
        stage.crash_after("node3", effects)
        a_move_goes_on(stage, 1.0, TROUBLES["nothing"], "node3", cancel=True)


def an_operator_may_change_the_policy_meanwhile() -> None:
    stage = Stage(evidence=("powered_off",))
    stage.advance(10.0)
    stage.power.moods["bmc-node3"] = "unreachable"
    stage["node3"].isolate()
    stage.advance(20.0)
    stage.set(evidence=("storage_cut",))
    stage.advance(60.0)
    stage.serve()
    stage.calm()


# --- a person's word, held fences, and what changes meanwhile -----------------------------------------------------


def a_word_does_not_count_against_a_node_that_lives() -> None:
    """Somebody believes that it is off; it comes back with its guest running, before any leader has read that word."""
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage.storage.fence_failing = "Ceph's monitors do not answer"
    stage["node3"].network(store=False, ceph=True)
    stage.advance(20.0)
    for machine in stage.nodes.values():
        machine.stop_leading()
    stage.advance(1.0)
    assert stage.declare_dead("node3")
    stage["node3"].hypervisor.stop_answering()
    stage["node3"].reconnect()
    stage.advance(3.0)
    assert not stage.declare_dead("node3"), "a node with a session was declared dead"
    for machine in stage.nodes.values():
        machine.start_leading()
    stage.advance(60.0)
    owner = stage.desired("vm3")[1].node
    assert owner == "node3", f"a VM went to {owner} on a person's word, while its node lives and is not clean"
    stage.calm()


def a_word_is_enough_for_a_node_that_is_off() -> None:
    """No evidence can be had, so that only an operator can help."""
    stage = Stage(evidence=("storage_cut",))
    stage.advance(10.0)
    stage.storage.fence_failing = "Ceph's monitors do not answer"
    stage["node3"].power_cut()
    stage.advance(60.0)
    assert not stage.fenced
    assert stage.declare_dead("node3")
    stage.advance(10.0)
    stage.serve()
    stage.calm()


def a_held_node_comes_back_as_its_fence_is_released() -> None:
    """Under a fence that is merely held an agent starts VMs: what the leader has decided a moment ago must not hit them.

    Its effects take a second; the node is back in the midst of it.
    """
    for how, wait in itertools.product(("maintenance", "storm", "declared"), (0.0, 0.5, 0.9, 1.5)):
        stage = Stage(5, vms=5, evidence=("storage_cut",), storm_limit=1, write_seconds=1.0)
        stage.advance(20.0)
        if how == "maintenance":
            stage.maintenance(True)
        else:
            stage["node4"].isolate()
        stage["node5"].network(store=False, ceph=True)
        stage.advance(60.0)
        fence = stage.record(Fence, paths.fence("node5"))
        assert fence.state == "held", fence
        if how == "maintenance":
            stage.maintenance(False)
        elif how == "storm":
            stage["node4"].reconnect()
        else:
            assert stage.declare_dead("node5")
        stage.advance(wait)
        stage["node5"].reconnect()
        stage.advance(30.0)
        stage.calm()


def a_held_node_has_its_time_again_after_an_outage() -> None:
    """The store was out of reach, and gives every session its whole time again: also to nodes that are held."""
    stage = Stage(5, vms=5, storm_limit=1)
    stage.advance(10.0)
    for node in ("node4", "node5"):
        stage[node].isolate()
    stage.advance(60.0)
    stage.store(False)
    stage.advance(30.0)
    for node in ("node4", "node5"):
        stage[node].reconnect()
    stage["node5"].pause()
    stage.advance(1.0)
    stage.store(True)
    stage.advance(2.0)
    stage["node5"].thaw()
    stage.advance(30.0)
    begun = [event for event in stage.timeline if event["ev"] == "fence_collecting"]
    assert not begun, f"a node that comes back two seconds after the store was fenced: {begun}"
    stage.calm()


def ceph_refuses_too_many_nodes() -> None:
    """Someone has put four of five living nodes on the blocklist: that is no reason to fence them all."""
    stage = Stage(5, vms=5)
    stage.set(storm_limit=0)
    stage.advance(10.0)
    wrong = [stage[f"node{number}"].storage_address for number in range(2, 6)]
    for address in wrong:
        stage.storage.blocklist[address] = stage.storage.commit()
    stage.storage.changed()
    for _second in range(20):
        stage.advance(1.0)
        found = {node: stage.record(Fence, paths.fence(node)) for node in stage.nodes}
        fenced = {node for node, fence in found.items() if fence is not None and fence.state != "held"}
        assert len(fenced) <= 2, f"at most two of five may be fenced at once, and {fenced} are"
        assert all(machine.powered for machine in stage.nodes.values()), "a node that answers has lost its power"
    for number in range(2, 6):
        node = f"node{number}"
        told = any(f"| {what} {node}" in line for line in stage.story for what in ("hold", "leave", "fence"))
        assert told, f"nobody was told what is about {node}"
    for address in wrong:
        stage.storage.blocklist.pop(address, None)
    stage.storage.commit()
    stage.storage.changed()
    stage.calm()


def an_old_fence_is_no_storm() -> None:
    """One is gone since a week, and recovered; the leader's connection is renewed, and then another one dies."""
    stage = Stage(3, 1, vms=4, rejoin="ready")
    stage.set(storm_limit=0)
    stage.advance(10.0)
    stage["node4"].power_cut()
    stage.advance(300.0)
    stage.serve()
    stage.store(False)
    stage.advance(2.0)
    stage.store(True)
    stage.advance(8.0)
    victim = next(name for name in ("node3", "node2") if name != stage.leader())
    stage[victim].power_cut()
    stage.advance(60.0)
    stage.serve()
    stage.calm()


def damaged_settings_fence_nobody() -> None:
    """Maintenance was on, and then the record got a field that nobody here knows."""
    for maintenance in (True, False):
        stage = Stage()
        stage.advance(10.0)
        stage.maintenance(maintenance)
        stage.advance(1.0)
        znode = stage.user.get(paths.SETTINGS)
        assert znode is not None
        stage.user.commit([Set(paths.SETTINGS, znode.data[:-1] + b',"of_another_version":1}', znode.version)])
        stage.advance(1.0)
        stage["node3"].isolate()
        stage.advance(60.0)
        assert not stage.fenced, "a node was fenced, although nobody can read whether that is allowed"
        assert not stage.storage.blocklist
        assert stage["node3"].powered
        stage.user.commit([Set(paths.SETTINGS, znode.data, znode.version + 1)])
        stage.calm()


def a_reboot_that_never_ends_is_declared_dead() -> None:
    """It has signed off, to come back, with its VMs: only a person can know that it does not."""
    for policy in ("conditional", "freeze", "migrate"):
        stage = Stage(shutdown_policy=policy)
        stage.advance(10.0)
        stage.stays_off = True
        stage["node3"].leave(reboot=True)
        stage.advance(3600.0)
        if policy != "migrate":
            assert stage.desired("vm3")[1].node == "node3"
        stage.declare_dead("node3")
        stage.advance(60.0)
        stage.serve()
        stage.stays_off = False
        stage.calm()


def a_cut_is_allowed_while_a_fence_stands() -> None:
    stage = Stage(evidence=("powered_off",))
    stage.advance(10.0)
    stage.power.moods["bmc-node3"] = "unreachable"
    stage["node3"].isolate()
    stage.advance(20.0)
    assert not stage.fenced
    assert stage.set(evidence=("storage_cut", "powered_off"))
    stage.advance(30.0)
    stage.serve()
    stage.calm()


def a_device_is_added_while_a_fence_stands() -> None:
    stage = Stage(evidence=("powered_off",))
    stage.advance(10.0)
    stage.power.moods["bmc-node3"] = "unreachable"
    stage["node3"].isolate()
    stage.advance(20.0)
    assert not stage.fenced
    assert stage._change(paths.node("node3"), Node, fence=tuple(fence_devices("node3", 2)))
    stage.advance(60.0)
    assert not stage["node3"].powered, "a fence device that was added is not used"
    stage.serve()
    stage.calm()


# --- orders that take their time ----------------------------------------------------------------------------------


def slow_orders_end_with_their_fence() -> None:
    """An order is on its way when its node comes back: what it does then, it does under the fence that it was given for."""
    orders = {"power": 10.0, "cut": 3.0, "restore": 3.0}
    for evidence, away in itertools.product(EVIDENCE, (6.2, 7.0, 9.5, 14.0, 18.0)):
        stage = Stage(evidence=evidence, orders=orders)
        stage.advance(10.0)
        stage["node3"].network(store=False, ceph=True)
        stage.advance(away)
        stage["node3"].reconnect()
        stage.advance(60.0)
        stage.calm()


def slow_orders_outlive_their_leader() -> None:
    """The leader's agent is killed while its order is on its way; the node comes back under the eyes of the next one."""
    orders = {"power": 10.0, "cut": 3.0, "restore": 3.0}
    for evidence, away in itertools.product(EVIDENCE, (0.2, 2.5, 6.2)):
        stage = Stage(5, vms=5, evidence=evidence, orders=orders)
        stage.advance(10.0)
        leader = stage.leader()
        victim = next(name for name in sorted(stage.nodes, reverse=True) if name != leader)
        stage[victim].network(store=False, ceph=True)
        stage.advance(6.2)
        stage[leader].restart_agent()
        stage.advance(away)
        stage[victim].reconnect()
        stage.advance(60.0)
        stage.calm()


def two_supplies_are_off_together() -> None:
    """Each device switches one supply, so that only both together prove anything."""
    stage = Stage(evidence=("powered_off",), devices=2, together=True)
    stage.advance(10.0)
    stage.power.moods["bmc2-node3"] = "refuses"
    stage["node3"].isolate()
    stage.advance(60.0)
    assert not stage.fenced, "a node with one supply left counts as powered off"
    stage.power.moods.clear()
    stage.advance(60.0)
    assert not stage["node3"].powered
    stage.serve()
    stage.calm()


def an_early_suspicion_fences_in_a_second() -> None:
    """A majority of its neighbours has lost it, long before its session ends."""
    stage = Stage(5, vms=5, early_suspicion=True)
    stage.advance(10.0)
    stage["node5"].power_cut()
    stage.advance(3.0)
    assert list(stage.fenced) == ["node5"], "nobody has believed its neighbours"
    stage.advance(5.0)
    stage.serve()
    stage.calm()


def a_suspicion_outlives_all_agents() -> None:
    """Every agent is restarted while a suspected node is collected evidence of: whoever leads then has never seen it."""
    stage = Stage(5, vms=5, evidence=("powered_off",), early_suspicion=True)
    stage.advance(10.0)
    stage.power.moods["bmc-node5"] = "unreachable"
    stage["node5"].isolate()
    stage.advance(2.0)
    for node in ("node1", "node2", "node3", "node4"):
        stage[node].restart_agent()
    stage.advance(10.0)
    stage.power.moods.clear()
    stage.advance(90.0)
    stage.serve()
    stage.calm()


def old_news_is_no_suspicion() -> None:
    """Its neighbours had lost it when the store went out of reach; since then it is back, and nobody could say so."""
    stage = Stage(5, vms=5, early_suspicion=True, write_seconds=0.5)
    stage.advance(20.0)
    stage["node5"].isolate()
    stage.advance(0.9)
    stage.store(False)
    stage.advance(1.0)
    stage["node5"].reconnect()
    stage.advance(20.0)
    stage.store(True)
    stage.advance(30.0)
    begun = [event for event in stage.timeline if event["ev"] == "fence_collecting"]
    assert not begun, f"a healthy node was fenced on news of half a minute ago: {begun}"
    stage.calm()


def what_has_proven_is_no_longer_enough() -> None:
    """Power counts no more once the settings say so: a VM that is to run then needs the cut, under the same fence."""
    stage = Stage(evidence=("powered_off",))
    stage.advance(10.0)
    stage.want("vm3", "disabled")
    stage.advance(5.0)
    stage["node3"].power_cut()
    stage.advance(30.0)
    stage.set(evidence=("storage_cut",))
    stage.want("vm3", "started")
    stage.advance(60.0)
    stage.serve()
    stage.calm()


STORIES: Sequence[Callable[[], None]] = (
    a_healthy_cluster_is_left_alone,
    a_cut_guest_ends_at_once,
    the_last_owner_writes_until_every_osd_knows,
    a_cut_that_fails_is_no_proof,
    a_node_is_let_back_only_when_it_is_clean,
    an_old_decision_has_no_effect,
    maintenance_fences_nobody,
    a_storm_is_held,
    a_vm_beyond_ceph_waits_for_power_off,
    total_loss_of_power,
    a_quick_reboot_is_a_death_too,
    a_frozen_leader_writes_nothing_more,
    a_start_that_stands_still_harms_nobody,
    late_watches,
    every_way_to_shut_down,
    a_fenced_node_out_of_sight_shuts_down,
    a_drain_ends,
    drains_are_told_as_they_are,
    moves_survive_the_death_of_either_end,
    moves_are_called_off_whatever_happens,
    an_operator_may_change_the_policy_meanwhile,
    a_word_does_not_count_against_a_node_that_lives,
    a_word_is_enough_for_a_node_that_is_off,
    a_held_node_comes_back_as_its_fence_is_released,
    a_held_node_has_its_time_again_after_an_outage,
    ceph_refuses_too_many_nodes,
    an_old_fence_is_no_storm,
    damaged_settings_fence_nobody,
    a_reboot_that_never_ends_is_declared_dead,
    a_cut_is_allowed_while_a_fence_stands,
    a_device_is_added_while_a_fence_stands,
    slow_orders_end_with_their_fence,
    slow_orders_outlive_their_leader,
    two_supplies_are_off_together,
    an_early_suspicion_fences_in_a_second,
    a_suspicion_outlives_all_agents,
    old_news_is_no_suspicion,
    what_has_proven_is_no_longer_enough,
)


def main() -> int:
    """All of it, the quickest first; ends with the first that fails."""
    for story in STORIES:
        story()
    for evidence, mood, loss in small_scopes():
        every_crash(evidence, mood, loss)
    for seed in SEEDS:
        Chaos(seed).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
