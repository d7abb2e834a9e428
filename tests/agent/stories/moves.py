# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stories of guests on their way to other nodes, and of nodes that are emptied."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from pvc_node_agent.sim.machine import Machine
from pvc_node_agent.sim.stage import Stage
from pvc_state.drain_report import drains
from pvc_state.records import Rule
from pvc_state.snapshot import load


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
