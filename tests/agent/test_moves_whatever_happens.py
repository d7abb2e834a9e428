# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest moves, and something happens to a machine at each stage of that: one copy runs, and the records end."""

from __future__ import annotations

import pytest

from tests.agent.stories.moves import TROUBLES, a_move_goes_on, moving

#: Seconds after a move was asked for: it is prepared, under way, about to end; it has ended.
MOMENTS = (0.0, 1.0, 3.999, 4.001)
#: What leads, and is the target; what does neither; the source.
VICTIMS = ("node1", "node2", "node3")


@pytest.mark.parametrize("cancel", [False, True], ids=["", "called off"])
@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_while_a_guest_moves(trouble: str, victim: str, cancel: bool) -> None:
    for after in MOMENTS:
        a_move_goes_on(moving(), after, TROUBLES[trouble], victim, cancel)


@pytest.mark.parametrize("cancel", [False, True], ids=["", "called off"])
@pytest.mark.parametrize("victim", ["node1", "node3"])
@pytest.mark.parametrize("effects", range(1, 7))
def test_an_agent_dies_after_each_effect_of_a_move(victim: str, effects: int, cancel: bool) -> None:
    stage = moving()
    stage.crash_after(victim, effects)
    a_move_goes_on(stage, 1.0 if cancel else 5.0, TROUBLES["nothing"], victim, cancel)


def test_a_move_that_libvirt_never_ends_ends_with_its_machine() -> None:
    a_move_goes_on(moving(1e6), 1000.0, TROUBLES["the power goes"], "node3", cancel=False)
