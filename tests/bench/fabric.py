# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fabric between the lab's nodes: how soon all sessions are up after a start, and how soon a cut cable is noticed."""

from __future__ import annotations

from pathlib import Path

from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import ROOT, Results

PLAYBOOK = ROOT / "molecule" / "shared" / "fabric.yml"

#: After this long BGP gives a silent neighbour up, unless told otherwise (RFC 4271).
HOLD_SECONDS = 90.0
#: What BFD is set to: three signs of life are missing, one every 250 ms.
BFD_SECONDS = 0.75


def measure(inventory: Path = INVENTORY) -> list[Figure]:
    require_lab()
    results = Results(str(PLAYBOOK), {"fabric_stages": ["restart", "cut"]}, inventory)
    start, cut = (
        float(results.result_of(f"Seconds from the {what}")["msg"])
        for what in ("start to the last session", "cut to the end of the session")
    )
    return [
        Figure("fabric: start to all sessions (beside BGP's hold time)", start, "s", HOLD_SECONDS, 10.0),
        Figure("fabric: cable cut to end of session (beside BFD's limit)", cut, "s", BFD_SECONDS, 1.0),
    ]
