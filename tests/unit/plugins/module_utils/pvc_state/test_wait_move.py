# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a move is, from what the records say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pvc_state.codec import Stored
from pvc_state.plan_move import Journey
from pvc_state.wait_move import STAGES, progress
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation

JOURNEY = Journey("a", "node1", "node2", "a user moves it")


def here(made: Situation, to: str = "node2") -> None:
    made.vm("a", "node1", to=to)


def there(made: Situation) -> None:
    made.vm("a", "node2", epoch=2)


def seen(made: Situation, state: str, reason: str = "", **fields: str) -> None:
    made.observe("a", state, reason, **fields)


CASES: dict[str, tuple[Callable[[Situation], object], str, str]] = {
    "nobody has told of it": (here, "prepared", "node1 has not told of it yet"),
    "its node is gone": (
        lambda made: (here(made), made.die("node1")),
        "prepared",
        "node1 is down: its agent has no session",
    ),
    "it runs as if nothing were": (lambda made: (here(made), seen(made, "running", "runs")), "prepared", "runs"),
    "it waits for others": (
        lambda made: (here(made), seen(made, "moving", "is to move to node2; waits until others have been moved")),
        "prepared",
        "is to move to node2; waits until others have been moved",
    ),
    "its guest is on its way": (
        lambda made: (here(made), seen(made, "moving", "its guest moves to node2: a user moves it")),
        "running",
        "its guest moves to node2: a user moves it",
    ),
    "it is being stopped": (lambda made: (here(made), seen(made, "stopping", "asked")), "running", "asked"),
    "it could not be moved": (
        lambda made: (here(made), seen(made, "running", "was not moved", refused="node2")),
        "refused",
        "was not moved",
    ),
    "it was given up": (
        lambda made: (here(made, ""), seen(made, "running", "runs", moved="not to node2: no")),
        "refused",
        "it stays on node1: not to node2: no",
    ),
    "it was called off": (lambda made: here(made, ""), "refused", "it stays on node1"),
    "it goes elsewhere": (lambda made: here(made, "node3"), "refused", "it goes to node3 instead"),
    "it is elsewhere": (lambda made: made.vm("a", "node3"), "refused", "it went to node3 instead"),
    "it was deleted": (lambda _made: None, "refused", "it was deleted meanwhile"),
    "nobody there has told of it": (there, "switched", "node2 has not told of it yet"),
    "its guest has arrived": (
        lambda made: (there(made), seen(made, "moving", "has arrived here")),
        "switched",
        "has arrived here",
    ),
    "it runs there": (lambda made: (there(made), seen(made, "running", "runs")), "done", "runs"),
    "it does not start there": (
        lambda made: (there(made), seen(made, "failed", "no bridge")),
        "refused",
        "it is on node2, but: no bridge",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_how_far_a_move_is(case: str) -> None:
    make, stage, why = CASES[case]
    made = situation()
    make(made)
    found = progress(made.snapshot, JOURNEY)
    assert (found.stage, found.why) == (stage, why)
    assert found.stage in STAGES


def test_a_claim_that_is_damaged_is_no_way() -> None:
    made = situation()
    here(made)
    made.claims["a"] = Stored(None, 0, 0, "no JSON")
    assert progress(made.snapshot, JOURNEY).why == "its claim is damaged (no JSON)"


def test_how_long_it_took_is_told() -> None:
    made = situation()
    there(made)
    seen(made, "running", moved="from node1 in 4.1 s; its guest stood still for 130 ms")
    assert progress(made.snapshot, JOURNEY).took.startswith("from node1 in 4.1 s")
