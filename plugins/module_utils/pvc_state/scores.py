# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decides between nodes that all may run a VM: one class for each of records.PLACEMENTS. Pure.

Only VMs that are wanted started weigh here. That a VM has room is no matter of scores: free memory counts every VM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Protocol

from .node_limits import capacity
from .snapshot import Snapshot


class Size:
    """What a VM, or several that are placed together, weigh."""

    def __init__(self, vms: int = 0, cpus: int = 0, memory: int = 0) -> None:
        self.vms = vms
        self.cpus = cpus
        self.memory = memory


class Score(Protocol):
    """Keeps count of what each node carries, and ranks nodes by it."""

    def add(self, node: str, size: Size) -> None:
        """VMs of this size run, or are to run, on the node."""

    def best(self, nodes: Sequence[str], size: Size) -> str:
        """The best node for VMs of this size; the first of the sequence among equals."""

    def why(self, node: str) -> tuple[str, str]:
        """What the node has that decides, and which end of the scale is the good one: two parts of a sentence."""


class FreeMemory:
    """The most memory that no VM holds, running or not. ``room`` is the placement's own count, and kept by it."""

    def __init__(self, room: Mapping[str, int]) -> None:
        self._room = room

    def add(self, node: str, size: Size) -> None:
        """Nothing to do: the placement counts memory."""

    def best(self, nodes: Sequence[str], size: Size) -> str:
        del size
        return max(nodes, key=self._room.__getitem__)

    def why(self, node: str) -> tuple[str, str]:
        return f"{max(self._room[node], 0)} MiB free", "the most"


class FewestVms:
    """The fewest VMs."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._vms = dict.fromkeys(nodes, 0)

    def add(self, node: str, size: Size) -> None:
        if node in self._vms:
            self._vms[node] += size.vms

    def best(self, nodes: Sequence[str], size: Size) -> str:
        del size
        return min(nodes, key=self._vms.__getitem__)

    def why(self, node: str) -> tuple[str, str]:
        count = self._vms[node]
        return f"{count or 'no'} VM{'' if count == 1 else 's'} to run there", "the fewest"


class ConfiguredSize:
    """The lowest share of processors and memory that is given away.

    Judged by what the whole cluster looks like afterwards: its fullest node counts twice as much as the mean of all,
    and memory, which cannot be shared, five times as much as processors.
    """

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str]) -> None:
        reports = {node: snapshot.report(node) for node in nodes}
        self._cpus = _Shares({node: max(report.cpus, 1) if report else 1 for node, report in reports.items()})
        self._memory = _Shares({node: max(capacity(snapshot, node), 1) for node in nodes})

    def add(self, node: str, size: Size) -> None:
        self._cpus.add(node, size.cpus)
        self._memory.add(node, size.memory)

    def best(self, nodes: Sequence[str], size: Size) -> str:
        cpus = self._cpus.fullness(nodes, size.cpus)
        memory = self._memory.fullness(nodes, size.memory)
        fullness = [round(one + 5 * other, 9) for one, other in zip(cpus, memory, strict=True)]
        return nodes[fullness.index(min(fullness))]

    def why(self, node: str) -> tuple[str, str]:
        cpus, memory = self._cpus.of[node], self._memory.of[node]
        return f"{cpus:.0%} of its processors and {memory:.0%} of its memory given away", "the least"


class _Shares:
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
            self._highest = max(self._highest, new)

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


def score(snapshot: Snapshot, nodes: Sequence[str], room: Mapping[str, int]) -> Score:
    """The score that the cluster's settings name; one that is unknown here counts as free memory."""
    placement = snapshot.policy.placement
    if placement == "fewest_vms":
        return FewestVms(nodes)
    if placement == "configured_size":
        return ConfiguredSize(snapshot, nodes)
    return FreeMemory(room)
