# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent with 50 VMs and nothing to do, on a node of the lab: memory, processor time, and writes to ZooKeeper."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.playbook import ROOT, Results


def measure() -> list[Figure]:
    vms = [{"name": f"bench-idle-{number}"} for number in range(1, 51)]
    results = Results("agent_idle.yml", {"bench_vms": vms}, ROOT / "inventory-examples" / "lab")
    seen = results.result_of("Figures")["msg"]
    memory, processor = seen["memory"], seen["processor"]
    return [
        Figure("idle agent: memory (beside a bare Python)", memory, "MB", seen["memory_of_bare_python"], 60.0),
        Figure(
            "idle agent: processor (beside ZooKeeper)", processor, "% of a core", seen["processor_of_zookeeper"], 1.0
        ),
        Figure("idle cluster: writes to ZooKeeper per minute", float(seen["writes"]), "writes", 0.0, 0.0),
    ]
