# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever fails, in whatever order: no VM runs twice, and each that should run does in the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from pvc_node_agent.sim.chaos import Chaos
from pvc_node_agent.sim.stage import SESSION, Stage
from tests.agent.hard_times import SEEDS, STORIES, every_crash, small_scopes

#: Seconds that a machine may stand still without harm, at most: its client is heard of once in a third of its session.
STILL = SESSION * 0.6


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(story: Callable[[], None]) -> None:
    story()


@pytest.mark.parametrize(("evidence", "mood", "loss"), small_scopes())
def test_crash_after_every_effect(evidence: Sequence[str], mood: str, loss: str) -> None:
    every_crash(evidence, mood, loss)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_trouble(seed: int) -> None:
    Chaos(seed).run()


def test_an_hour_of_load_costs_no_node_its_life() -> None:
    """Whole machines stand still again and again, for nearly as long as a session allows, and agents are restarted."""
    stage = Stage()
    stage.advance(30.0)
    runs = {vm: machine.name for machine in stage.nodes.values() for vm in machine.running}
    dice = random.Random(1)
    for _stall in range(720):
        machine = dice.choice(list(stage.nodes.values()))
        if dice.random() < 0.1:
            machine.restart_agent()
        machine.pause()
        stage.advance(dice.uniform(0.2, STILL))
        machine.thaw()
        stage.advance(5.0 - STILL)
    assert not stage.fenced
    assert {vm: machine.name for machine in stage.nodes.values() for vm in machine.running} == runs
    assert stage.starts == dict.fromkeys(runs, 1)
