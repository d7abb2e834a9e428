# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Spreading VMs, beside Ganeti's hbal, and how many VMs fit, beside its hspace: the same clusters, judged by hbal's own score."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import Stored
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.placement import Choice, Placement
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.plan_balance import Balance, plan_balance
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import (
    Alive,
    Claim,
    Node,
    NodeStatus,
    Schema,
    Settings,
    Vm,
    VmStatus,
)
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import Snapshot
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.spare import lacks

from tests.bench import htools
from tests.bench.figure import Figure

#: Which of our placements is meant by which of hbal's scores.
SCORES: dict[str, tuple[str, Sequence[str]]] = {
    "its memory and vCPUs": ("free_memory", htools.MEMORY_AND_PROCESSORS),
    "its defaults": ("balanced", ()),
}
#: Seconds after which hbal is stopped where it only shows how long it takes.
LIMIT = 30.0


def measure() -> list[Figure]:
    htools.need()
    figures = []
    for nodes, vms in ((3, 30), (10, 100), (20, 200)):
        for name, (placement, options) in SCORES.items():
            figures += compare(uneven(nodes, vms, placement), f"{vms} VMs, {nodes} nodes, {name}", options)
    large = uneven(100, 1_000, "free_memory")
    _plan, taken = balance(large)
    theirs = htools.hbal(large, htools.MEMORY_AND_PROCESSORS, LIMIT)
    name = "1000 VMs on 100 nodes" if theirs else f"1000 VMs on 100 nodes, hbal stopped after {LIMIT:g} s"
    figures.append(Figure(f"{name}: balance", taken, "s", theirs.seconds if theirs else LIMIT, 10.0))
    for nodes, memory in ((3, 4096), (10, 3000), (20, 5000)):
        empty = uneven(nodes, 0, "free_memory")
        ours, theirs_fit = capacity(empty, memory), htools.hspace(empty, memory, 1)
        name = f"VMs of {memory} MiB on {nodes} nodes: hspace's / ours"
        figures.append(Figure(name, theirs_fit / ours, "share", 1.0, 1.0))
    return figures


def compare(snapshot: Snapshot, name: str, options: Sequence[str]) -> list[Figure]:
    """Ours beside hbal's, by its score: when both make all the moves that they want, and when ours are as few as its."""
    theirs = htools.hbal(snapshot, options)
    if theirs is None:
        raise RuntimeError(f"hbal has found no end with {name}")
    plan, taken = balance(snapshot)
    full = htools.score(snapshot, goes(plan), options)
    figures = [
        Figure(f"{name}: score ({len(goes(plan))} moves, {theirs.moves})", full, "score", theirs.after, theirs.after),
        Figure(f"{name}: balance", taken, "s", theirs.seconds, 5.0),
    ]
    if options:  # by its defaults one VM too many outweighs all else, and so it is what its first moves are about
        few = htools.score(snapshot, goes(plan_balance(snapshot, max_moves=theirs.moves)), options)
        figures.append(Figure(f"{name}: score, as few moves", few, "score", theirs.after, 1.5 * theirs.after))
    return figures


def balance(snapshot: Snapshot) -> tuple[Balance, float]:
    """Our plan, and the processor seconds that it took."""
    began = time.process_time()
    plan = plan_balance(snapshot)
    return plan, time.process_time() - began


def goes(plan: Balance) -> dict[str, str]:
    return {name: move.to for move in plan.moves for name in move.vms}


def uneven(nodes: int, vms: int, placement: str) -> Snapshot:
    """VMs of many sizes that run mostly on the first nodes; the same ones in every run."""
    dice = random.Random(7)
    names = [f"node{number:03}" for number in range(nodes)]
    room = dict.fromkeys(names, 65536 - 1024)
    records: dict[str, Stored[Vm]] = {}
    claims: dict[str, Stored[Claim]] = {}
    seen: dict[str, dict[str, VmStatus]] = {node: {} for node in names}
    for number in range(vms):
        name, memory = f"vm{number:04}", dice.choice((512, 1024, 2048, 4096, 8192))
        node = names[int(nodes * dice.random() ** 2)]
        while room[node] < memory:
            node = dice.choice(names)
        room[node] -= memory
        records[name] = Stored(Vm(name, memory, dice.choice((1, 2, 4, 8))), 0)
        claims[name] = Stored(Claim(node, 1), 0)
        seen[node][name] = VmStatus("running", 1, 1)
    status = NodeStatus("0", "bench", 65536, 32)
    return Snapshot(
        Schema(1, "bench", "bench"),
        0,
        0,
        {name: Stored(Node(), 0) for name in names},
        {name: Stored(replace(status, vms=seen[name]), 0) for name in names},
        {name: Stored(Alive("bench", "bench"), 0) for name in names},
        {},
        records,
        claims,
        Stored(Settings(placement=placement), 0),
    )


def capacity(snapshot: Snapshot, memory: int) -> int:
    """How many VMs of one size fit, so that the loss of any node leaves room for its VMs: what admission goes by."""
    most, least = sum(65536 // memory for _node in snapshot.nodes) + 1, 0
    while most - least > 1:
        middle = (most + least) // 2
        filled = fill(snapshot, memory, middle)
        if filled is not None and not lacks(filled):
            least = middle
        else:
            most = middle
    return least


def fill(snapshot: Snapshot, memory: int, count: int) -> Snapshot | None:
    """The cluster with so many VMs more, each where the engine puts it; None: it has no room."""
    placement = Placement(snapshot)
    records, claims = dict(snapshot.vms), dict(snapshot.claims)
    for number in range(count):
        name, vm = f"new{number:04}", Vm("new", memory)
        found = placement.find({name: vm})
        if not isinstance(found, Choice):
            return None
        placement.put({name: vm}, found.node)
        records[name], claims[name] = Stored(vm, 0), Stored(Claim(found.node, 1), 0)
    return replace(snapshot, vms=records, claims=claims)
