# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of orders that take their time, and of suspicion that comes early."""

from __future__ import annotations

import itertools

from pvc_node_agent.sim.chaos import EVIDENCE
from pvc_node_agent.sim.stage import Stage


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
