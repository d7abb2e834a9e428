# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of running guests on the lab: for how long each stands still, and how soon a node with ten of them is empty."""

from __future__ import annotations

import re
from statistics import median

from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import Results

#: Seconds that a guest may stand still: what a client of a service in it hardly notices. And for a node to be empty.
STANDS_STILL = 1.0
DRAINED = 120.0

_STOOD = re.compile(r"in ([0-9.]+) s; its guest stood still for ([0-9]+) ms")


def measure() -> list[Figure]:
    require_lab()
    results = Results("migration.yml", {}, INVENTORY)
    moves = results.result_of("One after the other")["moves"]
    told = [found for move in moves if (found := _STOOD.search(move["took"]))]
    if len(told) != len(moves):
        raise RuntimeError(f"of {len(moves)} moves only {len(told)} say how long they took")
    still = [int(one[2]) / 1000 for one in told]
    whole = median(float(one[1]) for one in told)
    raw = [int(text) / 1000 for text in results.result_of("Raw")["msg"]]
    (drained,) = results.seconds_of("Drain")
    return [
        Figure("move: guest stands still, median (libvirt alone)", median(still), "s", median(raw), STANDS_STILL),
        Figure("move: guest stands still, longest (libvirt alone)", max(still), "s", max(raw), 2 * STANDS_STILL),
        Figure("drain of a node with ten guests (ten moves, one by one)", drained, "s", 10 * whole, DRAINED),
    ]
