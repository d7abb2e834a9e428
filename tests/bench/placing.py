# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing VMs under rules, beside reading the same records: how long deciding takes, and not writing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import Stored, decode, encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.placement import Choice, Placement
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.plan_moves import plan_moves
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.plan_recovery import plan_recovery
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import (
    PLACEMENTS,
    Alive,
    Claim,
    Disk,
    Nic,
    Node,
    NodeStatus,
    Rule,
    Schema,
    Settings,
    Vm,
)
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import Snapshot
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.spare import lacks

from tests.bench.figure import Figure

STATUS = NodeStatus("0", "bench", 512 << 10, 64, ("vms",), ("br0",))


def measure() -> list[Figure]:
    figures = []
    for vms, nodes, budget, runs in ((1_000, 100, 1.0, 3), (10_000, 1_000, 15.0, 1)):
        for placement in PLACEMENTS:
            empty = cluster(vms, nodes, placement, placed=False)
            taken = median(seconds(lambda empty=empty: place_all(empty)) for _run in range(runs))  # type: ignore[misc]
            name = f"{vms} VMs on {nodes} nodes placed: {placement}"
            figures.append(Figure(name, taken, "s", seconds(lambda empty=empty: reread(empty)), budget))  # type: ignore[misc]
    full = cluster(1_000, 5, "free_memory", placed=True)
    reading = seconds(lambda: reread(full))
    recovering = median(seconds(lambda: recover(full)) for _run in range(3))
    figures.append(Figure("200 VMs of a dead node: where each goes", recovering, "s", reading, 0.5))
    for vms, nodes, budget in ((1_000, 100, 0.5), (10_000, 1_000, 10.0)):
        ruled = arrived(cluster(vms, nodes, "free_memory", placed=False))
        name = f"{vms} VMs on {nodes} nodes with rules: room for the loss of each"
        taken = seconds(lambda ruled=ruled: lacks(ruled))  # type: ignore[misc]
        figures.append(Figure(name, taken, "s", seconds(lambda ruled=ruled: reread(ruled)), budget))  # type: ignore[misc]
    steady = cluster(1_000, 100, "free_memory", placed=True)
    idle = median(seconds(lambda: plan_moves(steady)) for _run in range(3))
    figures.append(Figure("1000 VMs on 100 nodes: what is to move", idle, "s", reading, 0.5))
    return figures


def seconds(what: Callable[[], object]) -> float:
    """CPU time: others share the machine, and deciding waits for nothing."""
    began = time.process_time()
    what()
    return time.process_time() - began


def reread(snapshot: Snapshot) -> None:
    """What every load does with the records of VMs: the reference."""
    for stored in snapshot.vms.values():
        decode(Vm, encode(stored.value))


def place_all(snapshot: Snapshot) -> None:
    placement = Placement(snapshot)
    for name, stored in snapshot.vms.items():
        assert stored.value is not None
        unit = {name: stored.value}
        found = placement.find(unit)
        assert isinstance(found, Choice), found
        placement.put(unit, found.node)


def arrived(snapshot: Snapshot) -> Snapshot:
    """The cluster once its VMs are where they were placed."""
    placement, claims = Placement(snapshot), {}
    for name, stored in snapshot.vms.items():
        assert stored.value is not None
        found = placement.find({name: stored.value})
        assert isinstance(found, Choice), found
        placement.put({name: stored.value}, found.node)
        claims[name] = Stored(Claim(found.node, 1), 0)
    return replace(snapshot, claims=claims)


def recover(snapshot: Snapshot) -> None:
    recovery = plan_recovery(snapshot, "node0001")
    assert len(recovery.moves) == 200, recovery.waiting


def cluster(vms: int, nodes: int, placement: str, *, placed: bool) -> Snapshot:
    """Of fifty VMs ten are kept apart, five together, and ten prefer nodes; of those that have a node, none has rules."""
    names = [f"node{number:04}" for number in range(1, nodes + 1)]
    status = {name: Stored(STATUS, 0) for name in names}
    records: dict[str, Stored[Vm]] = {}
    claims: dict[str, Stored[Claim]] = {}
    for number in range(vms):
        name = f"vm{number:05}"
        disk, nic = Disk("vms", f"{name}-disk0"), Nic("br0", f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}")
        records[name] = Stored(Vm(name, 256 + number % 7 * 64, disks=(disk,), nics=(nic,)), 0)
        if placed:
            claims[name] = Stored(Claim(names[number % nodes], 1), 0)
    return Snapshot(
        Schema(1, "bench", "bench"),
        0,
        0,
        {name: Stored(Node(), 0) for name in names},
        status,
        {name: Stored(Alive("bench", "bench"), 0) for name in names},
        {},
        records,
        claims,
        Stored(Settings(placement=placement), 0),
        {} if placed else rules(list(records), names),
    )


def rules(vms: list[str], nodes: list[str]) -> dict[str, Stored[Rule]]:
    found: dict[str, Stored[Rule]] = {}
    for index, first in enumerate(range(0, len(vms) - 29, 50)):
        wanted = {nodes[(index + step) % len(nodes)]: step for step in range(5)}
        found[f"apart-{index}"] = Stored(Rule("apart", tuple(vms[first : first + 10])), 0)
        found[f"together-{index}"] = Stored(Rule("together", tuple(vms[first + 10 : first + 15])), 0)
        preferring = tuple(vms[first + 20 : first + 30])
        found[f"preference-{index}"] = Stored(Rule("node_preference", preferring, wanted, index % 2 == 0), 0)
    return found
