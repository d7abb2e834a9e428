# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A document of a thousand VMs in a file: applied for the first time, again with nothing to change, and exported.

By ansible-playbook, against a real ZooKeeper. An empty playbook is taken off each, and stands beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from tests.bench import playbook
from tests.bench.bulk import AGAIN_BUDGET, COUNT, FIRST_BUDGET, vms
from tests.bench.cluster import tree, zookeeper
from tests.bench.figure import Figure

#: No budget of its own: who exports waits for as long as who applies what is there.
EXPORT_BUDGET = AGAIN_BUDGET


def measure() -> list[Figure]:
    seconds: dict[str, list[float]] = {"empty": [], "first": [], "again": [], "export": []}
    with zookeeper() as server, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "document.yml"
        path.write_text(yaml.safe_dump({"document": "bench", "rules": rules(), "vms": vms(COUNT)}), encoding="utf-8")
        for turn in range(3):
            with tree(server, f"/documents{turn}") as connection:
                variables: dict[str, Any] = {
                    "bench_src": str(path),
                    "bench_connection": connection,
                    "bench_count": COUNT,
                }
                seconds["empty"].append(playbook.seconds("empty.yml", variables))
                for what, changed in (("first", True), ("again", False)):
                    seconds[what].append(
                        playbook.seconds("documents.yml", {**variables, "bench_do": "apply", "bench_changed": changed})
                    )
                seconds["export"].append(playbook.seconds("documents.yml", {**variables, "bench_do": "export"}))
    nothing = median(seconds["empty"])
    budgets = {"first": FIRST_BUDGET, "again": AGAIN_BUDGET, "export": EXPORT_BUDGET}
    names = {"first": "applied first", "again": "applied again", "export": "exported"}
    return [
        Figure(
            f"document of {COUNT} VMs {names[what]} (beside an empty playbook)",
            median(seconds[what]) - nothing,
            "s",
            nothing,
            budget,
        )
        for what, budget in budgets.items()
    ]


def rules() -> list[dict[str, Any]]:
    """Every tenth VM is kept apart from its neighbour."""
    return [
        {"name": f"apart-{number:04}", "kind": "apart", "vms": [f"bench-{number:04}", f"bench-{number + 1:04}"]}
        for number in range(0, COUNT, 10)
    ]
