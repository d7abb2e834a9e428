# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database of the lab: how long writes stop when its leader dies, beside a planned switchover; and its memory."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import Results


def measure() -> list[Figure]:
    require_lab()
    results = Results("database.yml", {}, INVENTORY)
    planned, failover, both = (
        result["ansible_facts"]["database_result"]["longest_pause"] for result in results.results_of("Result")
    )
    memory, zookeeper = (int(line) / 1024 for line in results.result_of("Memory of processes")["stdout_lines"])
    return [
        Figure("database: leader lost its power (beside a switchover)", failover, "s", planned, 15.0),
        Figure("database: ZooKeeper's leader, too (beside a switchover)", both, "s", planned, 20.0),
        Figure("database: memory of an idle node (beside ZooKeeper)", memory, "MB", zookeeper, 200.0),
    ]
