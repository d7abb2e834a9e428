# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What guests use: measured between two looks, told in coarse steps, published with each VM and for the node."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvc_node_agent.env import NotAnswering
from pvc_node_agent.events import Event, LoadsSeen
from pvc_node_agent.load_watch import INTERVAL, LoadWatch, Meter, Used
from pvc_node_agent.sim.clock import VirtualClock
from pvc_node_agent.step import with_load
from pvc_node_agent.view import View
from pvc_state.records import VmStatus


def test_a_load_is_what_was_used_between_two_looks() -> None:
    meter = Meter()
    assert meter.measure(0.0, {"web1": Used(100.0, 512)}) == {}, "nothing is known of what was before"
    assert meter.measure(60.0, {"web1": Used(190.0, 512), "new": Used(5.0, 64)}) == {"web1": (1.5, 512)}
    assert meter.measure(120.0, {"web1": Used(280.0, 512), "new": Used(5.0, 64)}) == {
        "web1": (1.5, 512),
        "new": (0.0, 64),
    }


def test_a_guest_that_began_anew_is_measured_anew() -> None:
    meter = Meter()
    meter.measure(0.0, {"web1": Used(100.0, 512)})
    assert meter.measure(60.0, {"web1": Used(3.0, 512)}) == {}
    assert meter.measure(120.0, {"web1": Used(63.0, 512)}) == {"web1": (1.0, 512)}


@pytest.mark.parametrize(
    ("load", "memory", "told"),
    [
        (1.2, 540, (1.0, 512)),
        (0.8, 470, (1.0, 512)),
        (1.25, 640, (1.25, 640)),
        (0.7, 400, (0.75, 384)),
    ],
)
def test_small_changes_are_not_told(load: float, memory: int, told: tuple[float, int]) -> None:
    meter = Meter()
    meter.measure(0.0, {"web1": Used(0.0, 512)})
    assert meter.measure(60.0, {"web1": Used(60.0, 512)}) == {"web1": (1.0, 512)}
    assert meter.measure(120.0, {"web1": Used(60.0 + 60 * load, memory)}) == {"web1": told}


def test_only_what_has_changed_is_posted() -> None:
    clock = VirtualClock(0.0)
    posted: list[Event] = []
    used = {"web1": Used(0.0, 128)}

    def read() -> dict[str, Used]:
        if not used:
            raise NotAnswering("libvirt does not answer")
        return dict(used)

    watch = LoadWatch(read, clock, posted.append)
    for _look in range(4):
        watch.look()
        clock.time += INTERVAL
        used["web1"] = replace(used["web1"], seconds=used["web1"].seconds + INTERVAL / 2)
    assert posted == [LoadsSeen({"web1": (0.5, 128)})]
    used.clear()
    watch.look()
    assert len(posted) == 1


def test_what_does_not_run_here_uses_nothing_here() -> None:
    view = View("node1", loads={"gone": (2.0, 512)})
    status = VmStatus("stopped", 1, 1, load=2.0, load_memory=512)
    assert with_load(view, "gone", status) == VmStatus("stopped", 1, 1)
