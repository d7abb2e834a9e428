# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A call of a module that has nothing to do, beside ansible.builtin.ping over the same connection."""

from __future__ import annotations

from statistics import median

from tests.bench.cluster import tree, zookeeper
from tests.bench.figure import Figure
from tests.bench.playbook import Results

TIMES_PING = 1.3


def measure() -> list[Figure]:
    with zookeeper() as server, tree(server, "/bench") as connection:
        results = Results("module_call.yml", {"bench_connection": connection})
    ping = median(results.seconds_of("Ping"))
    return [
        Figure(f"no-op call of {module} (beside ping)", median(results.seconds_of(task)), "s", ping, TIMES_PING * ping)
        for module, task in (("vm_info", "Read a VM"), ("vm", "Describe a VM as it is"))
    ]
