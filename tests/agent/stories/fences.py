# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of a person's word, held fences, and what changes meanwhile."""

from __future__ import annotations

import itertools

from pvc_node_agent.sim.stage import Stage, fence_devices
from pvc_state import paths
from pvc_state.records import Fence, Node
from pvc_state.store import Set


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
