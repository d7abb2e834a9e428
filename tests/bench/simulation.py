# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator: how fast it is, and how soon the VMs of a dead node are claimed in it, with real placement."""

from __future__ import annotations

import time

from pvc_node_agent.events import StorageSeen
from pvc_node_agent.sim.stage import Stage
from tests.bench.figure import Figure

STEPS = 10_000
VMS = 200
#: What one transaction of a leader takes: more than on the lab's slow disks.
WRITE_SECONDS = 0.05


def measure() -> list[Figure]:
    taken = stepping()
    virtual, processor = recovering()
    return [
        Figure(f"{STEPS} node-steps in the simulator", taken, "s", 1.0, 1.0),
        Figure(f"{VMS} VMs of a dead node claimed after the evidence", virtual + processor, "s", processor, 2.0),
    ]


def stepping() -> float:
    """Processor time of so many steps of agents with ten VMs each, of which every one is told something."""
    stage = Stage(5, vms=50)
    stage.advance(10.0)
    stage.steps, turns = 0, 0
    began = time.process_time()
    while stage.steps < STEPS:
        turns += 1
        for machine in stage.nodes.values():
            machine.inbox.put(StorageSeen(machine.storage_address, f"look {turns}"))
        stage.advance(1.0)
    return time.process_time() - began


def recovering(vms: int = VMS) -> tuple[float, float]:
    """Seconds from the proof to the last claim: those of the virtual clock, and the processor's for all of it."""
    # four nodes share what the fifth leaves behind
    stage = Stage(5, vms=vms, on=("node5",), write_seconds=WRITE_SECONDS, memory=1 << 20)
    stage.advance(10.0)
    stage["node5"].power_cut()
    began = time.process_time()
    stage.advance(60.0)
    taken = time.process_time() - began
    proven = next(one["t"] for one in stage.timeline if one["ev"] == "fence_confirmed")
    claimed = [one["t"] for one in stage.timeline if one["ev"] == "recover"]
    assert len(claimed) == vms, f"{len(claimed)} of {vms} VMs were recovered"
    stage.check()
    return max(claimed) - proven, taken
