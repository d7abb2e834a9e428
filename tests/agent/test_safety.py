# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever fails, in whatever order: no VM runs twice, and each that should run does in the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pvc_node_agent.sim.chaos import Chaos
from tests.agent.hard_times import SEEDS, STORIES, every_crash, small_scopes


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_story(story: Callable[[], None]) -> None:
    story()


@pytest.mark.parametrize(("evidence", "mood", "loss"), small_scopes())
def test_crash_after_every_effect(evidence: Sequence[str], mood: str, loss: str) -> None:
    every_crash(evidence, mood, loss)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_trouble(seed: int) -> None:
    Chaos(seed).run()
