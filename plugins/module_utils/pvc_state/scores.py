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
        self._cpus = {node: max(report.cpus, 1) if report else 1 for node, report in reports.items()}
        self._memory = {node: max(capacity(snapshot, node), 1) for node in nodes}
        self._cpu_share = dict.fromkeys(nodes, 0.0)
        self._memory_share = dict.fromkeys(nodes, 0.0)

    def add(self, node: str, size: Size) -> None:
        if node in self._cpus:
            self._cpu_share[node] += size.cpus / self._cpus[node]
            self._memory_share[node] += size.memory / self._memory[node]

    def best(self, nodes: Sequence[str], size: Size) -> str:
        cpu = _Spread(self._cpu_share, self._cpus, size.cpus)
        memory = _Spread(self._memory_share, self._memory, size.memory)
        return min(nodes, key=lambda node: round(cpu(node) + 5 * memory(node), 9))

    def why(self, node: str) -> tuple[str, str]:
        cpu, memory = self._cpu_share[node], self._memory_share[node]
        return f"{cpu:.0%} of its processors and {memory:.0%} of its memory given away", "the least"


class _Spread:
    """How full the cluster is once a node carries so much more: the mean of all nodes, and twice the fullest."""

    def __init__(self, shares: Mapping[str, float], sizes: Mapping[str, int], more: int) -> None:
        self._shares = shares
        self._sizes = sizes
        self._more = more
        self._squares = sum(share * share for share in shares.values())
        self._highest = max(shares.values(), default=0.0)

    def __call__(self, node: str) -> float:
        old = self._shares[node]
        new = old + self._more / self._sizes[node]
        squares = max(self._squares - old * old + new * new, 0.0)
        return sqrt(squares / len(self._shares)) + 2 * max(self._highest, new)


def score(snapshot: Snapshot, nodes: Sequence[str], room: Mapping[str, int]) -> Score:
    """The score that the cluster's settings name; one that is unknown here counts as free memory."""
    placement = snapshot.policy.placement
    if placement == "fewest_vms":
        return FewestVms(nodes)
    if placement == "configured_size":
        return ConfiguredSize(snapshot, nodes)
    return FreeMemory(room)
