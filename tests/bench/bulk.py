# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand VMs in one task: described for the first time, and again with nothing to change."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.memory_store import MemoryEnsemble
from ansible_collections.pvc.cluster.plugins.modules import vm

from tests.bench import playbook
from tests.bench.cluster import USER, populate, tree, zookeeper
from tests.bench.figure import Figure
from tests.unit.plugins.modules.harness import run

COUNT = 1000
FIRST_BUDGET = 10.0
AGAIN_BUDGET = 3.0


def vms(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"bench-{number:04}",
            "memory": "1G",
            "vcpus": 2,
            "disks": [{"size": "10G"}],
            "nics": [{"bridge": "br0"}],
            "tags": ["bench", f"rack{number % 10}"],
        }
        for number in range(count)
    ]


def measure() -> list[Figure]:
    return [*on_zookeeper(), *in_memory()]


def on_zookeeper() -> list[Figure]:
    """By ansible-playbook, against a real server; an empty playbook is taken off and stands beside it."""
    first, again, empty = [], [], []
    with zookeeper() as server:
        for turn in range(3):
            with tree(server, f"/bench{turn}") as connection:
                variables = {"bench_vms": vms(COUNT), "bench_connection": connection}
                empty.append(playbook.seconds("empty.yml", variables))
                first.append(playbook.seconds("bulk.yml", {**variables, "bench_changed": True}))
                again.append(playbook.seconds("bulk.yml", {**variables, "bench_changed": False}))
    nothing = median(empty)
    return [
        figure("first, ZooKeeper (beside an empty playbook)", median(first) - nothing, nothing, FIRST_BUDGET),
        figure("again, ZooKeeper (beside an empty playbook)", median(again) - nothing, nothing, AGAIN_BUDGET),
    ]


def in_memory() -> list[Figure]:
    """The module alone, in this process; one VM stands beside the thousand."""
    seconds: dict[tuple[int, str], list[float]] = {}
    for _turn in range(3):
        for count in (1, COUNT):
            ensemble = MemoryEnsemble()
            populate(ensemble.connect(**USER))
            options = {"hosts": ["memory:2181"], "tls": False, **USER, "vms": vms(count), "wait": False}

            def call(options: dict[str, Any] = options, ensemble: MemoryEnsemble = ensemble) -> dict[str, Any]:
                return run(vm, options, connect=lambda _connection: ensemble.connect(**USER))

            for what, changed in (("first", True), ("again", False)):
                seconds.setdefault((count, what), []).append(timed(call, changed))
    return [
        figure(f"{what}, in memory (beside one VM)", median(seconds[COUNT, what]), median(seconds[1, what]), budget)
        for what, budget in (("first", FIRST_BUDGET), ("again", AGAIN_BUDGET))
    ]


def figure(what: str, value: float, reference: float, budget: float) -> Figure:
    return Figure(f"{COUNT} VMs {what}", value, "s", reference, budget)


def timed(call: Callable[[], dict[str, Any]], changed: bool) -> float:
    started = time.monotonic()
    result = call()
    seconds = time.monotonic() - started
    # A figure of something else than what was meant is none.
    if result.get("failed") or result["changed"] is not changed:
        raise RuntimeError(f"the task should have been {'changed' if changed else 'unchanged'}: {result}"[:2000])
    return seconds
