# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of nodes that are lost, frozen, or let go, and of what must not be touched meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import replace

from pvc_node_agent.sim.chaos import EVIDENCE
from pvc_node_agent.sim.stage import Stage
from pvc_state import codec, paths
from pvc_state.records import Vm
from pvc_state.store import Set


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
