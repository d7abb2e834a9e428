# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent with 50 VMs and nothing to do, on a node of the lab: memory, processor time, and writes to ZooKeeper."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import Results


def measure() -> list[Figure]:
    require_lab()
    vms = [{"name": f"bench-idle-{number}"} for number in range(1, 51)]
    results = Results("agent_idle.yml", {"bench_vms": vms}, INVENTORY)
    before, idle = (results.result_of("Figures")["msg"][when] for when in ("before", "idle"))
    memory, processor = idle["memory"], idle["processor"]
    making = float(idle["writes_before"] - before["writes_before"])
    return [
        Figure("idle agent: memory (beside a bare Python)", memory, "MB", idle["memory_of_bare_python"], 60.0),
        Figure(
            "idle agent: processor (beside ZooKeeper)", processor, "% of a core", idle["processor_of_zookeeper"], 1.0
        ),
        Figure("idle cluster: writes (beside making 50 VMs)", float(idle["writes"]), "writes", making, 0.0),
    ]
