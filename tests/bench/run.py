# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make bench`: runs the benchmarks one after the other, prints a table, and writes build/bench.json.

`run.py NAME...` runs these only, and leaves the others' figures in the file. It fails when a figure is over its budget or could not
be measured; the others are measured and written all the same.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import (
    agent_idle,
    balancing,
    bulk,
    database,
    documents,
    fabric,
    failover,
    inventory,
    migration,
    module_call,
    placing,
    simulation,
    site,
)
from tests.bench.figure import Figure

OUTPUT = Path(__file__).resolve().parents[2] / "build" / "bench.json"

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "module_call": module_call.measure,
    "bulk": bulk.measure,
    "documents": documents.measure,
    "agent_idle": agent_idle.measure,
    "site": site.measure,
    "inventory": inventory.measure,
    "database": database.measure,
    "fabric": fabric.measure,
    "failover": failover.measure,
    "migration": migration.measure,
    "placing": placing.measure,
    "balancing": balancing.measure,
    "simulation": simulation.measure,
}

#: Those that take too long to be run unasked.
BY_HAND = {"failover"}


def row(one: Figure) -> str:
    ratio = "-" if one.ratio is None else f"{one.ratio:.2f}"
    verdict = "" if one.ok else "  OVER BUDGET"
    return f"{one.name:<52}{one.value:>10.3f}{one.reference:>12.3f}{ratio:>8}{one.budget:>10.3f}  {one.unit}{verdict}"


def main(names: Sequence[str]) -> int:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"bench: no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    failed: list[str] = []
    print(f"{'figure':<52}{'value':>10}{'reference':>12}{'ratio':>8}{'budget':>10}  unit", flush=True)
    for name in names or [name for name in BENCHMARKS if name not in BY_HAND]:
        try:
            measured = BENCHMARKS[name]()
        except Exception:
            # One that cannot be measured must not take the others' figures with it; it fails the run below.
            traceback.print_exc()
            failed.append(name)
            continue
        figures += measured
        for one in measured:
            print(row(one), flush=True)
    OUTPUT.parent.mkdir(exist_ok=True)
    written = [one.as_json() for one in figures]
    if names and OUTPUT.exists():
        mine = {one["name"] for one in written}
        written = [one for one in json.loads(OUTPUT.read_text()) if one["name"] not in mine] + written
    OUTPUT.write_text(json.dumps(written, indent=2) + "\n")
    over = [one.name for one in figures if not one.ok]
    print(f"bench: {len(figures)} figures in {OUTPUT}, {len(over)} over budget, {len(failed)} benchmarks could not run")
    return 1 if over or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
