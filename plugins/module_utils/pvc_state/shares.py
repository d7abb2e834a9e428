# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much of one resource each node carries, kept up to date for scores. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt


class Means:
    """How much of one thing each node carries, and the mean share over all."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes
        self.amounts = dict.fromkeys(sizes, 0)
        self._shares = 0.0
        self._unit = sum(1 / size for size in sizes.values())

    def add(self, node: str, amount: int) -> None:
        if node in self.amounts:
            self.amounts[node] += amount
            self._shares += amount / self.sizes[node]

    def mean(self, more: int) -> float:
        """The mean share once so much more is on an average node."""
        count = max(len(self.sizes), 1)
        return (self._shares + more * self._unit / count) / count


class Shares:
    """Which share of one resource is given away, by node. Called for a thousand nodes and ten thousand VMs."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.of = dict.fromkeys(sizes, 0.0)
        self._sizes = sizes
        self._squares = 0.0
        self._highest = 0.0

    def add(self, node: str, amount: int) -> None:
        if node in self.of:
            old = self.of[node]
            new = self.of[node] = old + amount / self._sizes[node]
            self._squares += new * new - old * old
            self._highest = max(self._highest, new) if amount >= 0 else max(self.of.values())

    def fullness(self, nodes: Sequence[str], more: int) -> list[float]:
        """How full the cluster is once one of these nodes carries so much more: the mean, and twice the fullest."""
        of, sizes, highest, count = self.of, self._sizes, self._highest, len(self.of)
        squares = max(self._squares, 0.0)
        found = []
        for node in nodes:
            old = of[node]
            step = more / sizes[node]
            new = old + step
            mean = sqrt((squares + step * (old + new)) / count)
            found.append(mean + 2 * (new if new > highest else highest))
        return found
