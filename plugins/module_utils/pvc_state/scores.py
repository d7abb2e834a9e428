# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decides between nodes that all may run a VM: one class for each of records.PLACEMENTS. Pure.

Only VMs that are wanted started weigh here. That a VM has room is no matter of scores: free memory counts every VM.
Each judges a node by what it will be like with the VMs in question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from operator import add
from types import MappingProxyType
from typing import Protocol

from .node_limits import capacity
from .records import NodeStatus
from .shares import Means, Shares
from .snapshot import Snapshot


class Size:
    """What a VM, or several that are placed together, weigh.

    Attributes:
        load: processors that those use that were measured. guessed: vCPUs of the others.
        used: MiB that they use; as much as they have where they were not measured.
    """

    def __init__(
        self, vms: int = 0, cpus: int = 0, memory: int = 0, load: float | None = None, used: int | None = None
    ) -> None:
        self.vms = vms
        self.cpus = cpus
        self.memory = memory
        self.load = load or 0.0
        self.guessed = cpus if load is None else 0
        self.used = memory if used is None else used

    def grow(self, more: Size) -> None:
        """Add another size to this one."""
        self.vms += more.vms
        self.cpus += more.cpus
        self.memory += more.memory
        self.load += more.load
        self.guessed += more.guessed
        self.used += more.used


class Score(Protocol):
    """Keeps count of what each node carries, and ranks nodes by it."""

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        """VMs of this size run, or are to run, on the node. measured: what they use is part of what it reports."""

    def best(self, nodes: Sequence[str], size: Size) -> str:
        """The best node for VMs of this size; the first of the sequence among equals."""

    def why(self, node: str) -> tuple[str, str]:
        """What the node has that decides, and which end of the scale is the good one: two parts of a sentence."""


class FreeMemory:
    """The most memory that no VM holds, running or not. ``room`` is the occupancy's own count, and kept by it."""

    def __init__(self, room: Mapping[str, int]) -> None:
        self._room = room

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        """Nothing to do: the occupancy counts memory."""

    def best(self, nodes: Sequence[str], size: Size) -> str:
        del size
        return max(nodes, key=self._room.__getitem__)

    def why(self, node: str) -> tuple[str, str]:
        return f"{max(self._room[node], 0)} MiB free", "the most"


class FreeShare:
    """The largest share of memory that no VM holds, running or not, once the VMs are there."""

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str], room: Mapping[str, int]) -> None:
        self._room = room
        self._sizes = _memory(snapshot, nodes)

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        """Nothing to do: the occupancy counts memory."""

    def best(self, nodes: Sequence[str], size: Size) -> str:
        room, sizes, memory = self._room, self._sizes, size.memory
        return max(nodes, key=lambda node: (room[node] - memory) / sizes[node])

    def why(self, node: str) -> tuple[str, str]:
        return f"{max(self._room[node], 0) / self._sizes[node]:.0%} of its memory free", "the most"


class FewestVms:
    """The fewest VMs."""

    def __init__(self, nodes: Sequence[str]) -> None:
        self._vms = dict.fromkeys(nodes, 0)

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        del measured
        if node in self._vms:
            self._vms[node] += size.vms

    def best(self, nodes: Sequence[str], size: Size) -> str:
        del size
        return min(nodes, key=self._vms.__getitem__)

    def why(self, node: str) -> tuple[str, str]:
        return f"{counted(self._vms[node])} to run there", "the fewest"


class FewestVcpus:
    """The fewest vCPUs for each processor, once the VMs are there."""

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str]) -> None:
        self._cpus = _processors(snapshot, nodes)
        self._given = dict.fromkeys(nodes, 0)

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        del measured
        if node in self._given:
            self._given[node] += size.cpus

    def best(self, nodes: Sequence[str], size: Size) -> str:
        given, cpus, more = self._given, self._cpus, size.cpus
        return min(nodes, key=lambda node: (given[node] + more) / cpus[node])

    def why(self, node: str) -> tuple[str, str]:
        return f"{self._given[node]} vCPUs for its {self._cpus[node]} processors", "the fewest"


class ConfiguredSize:
    """The lowest share of processors and memory that is given away.

    Judged by what the whole cluster looks like afterwards: its fullest node counts twice as much as the mean of all,
    and memory, which cannot be shared, five times as much as processors.
    """

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str]) -> None:
        self._cpus = Shares(_processors(snapshot, nodes))
        self._memory = Shares(_memory(snapshot, nodes))

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        del measured
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


class Balanced:
    """The lowest sum of the share of memory, the vCPUs for each processor and the number of VMs, once the VMs are there.

    Each is taken in proportion to what the nodes have of it on average, so that none outweighs the others by its unit.
    Memory, which cannot be shared, counts twice, and the number of VMs half, since it says the least of what is left.
    """

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str]) -> None:
        # with the weight of each
        self._parts = (
            (2.0, Means(_memory(snapshot, nodes))),
            (1.0, Means(_processors(snapshot, nodes))),
            (0.5, Means(dict.fromkeys(nodes, 1))),
        )

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        del measured
        for (_weight, means), amount in zip(self._parts, (size.memory, size.cpus, size.vms), strict=True):
            means.add(node, amount)

    def best(self, nodes: Sequence[str], size: Size) -> str:
        cost = [0.0] * len(nodes)
        for (weight, means), amount in zip(self._parts, (size.memory, size.cpus, size.vms), strict=True):
            factor = weight / max(means.mean(amount), 1e-9)
            amounts, sizes = means.amounts, means.sizes
            steps = [factor * (amounts[node] + amount) / sizes[node] for node in nodes]
            cost = list(map(add, cost, steps))
        return nodes[cost.index(min(cost))]

    def why(self, node: str) -> tuple[str, str]:
        memory, cpus, vms = (shares for _weight, shares in self._parts)
        has = f"{memory.amounts[node] / memory.sizes[node]:.0%} of its memory and {cpus.amounts[node]} vCPUs for its"
        return f"{has} {cpus.sizes[node]} processors given to {counted(vms.amounts[node])}", "the best balance"


class MeasuredLoad:
    """The least that VMs really use, of processors or of memory, whichever is the scarcer on the node.

    A VM that is to come counts with what it used where it is. One that was not measured anywhere counts with all of its
    memory, and with as much of a processor for each vCPU as the others use on average.
    """

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str]) -> None:
        self._cpus = _processors(snapshot, nodes)
        self._memory = _memory(snapshot, nodes)
        reports = {node: snapshot.report(node) for node in nodes}
        self._used = {node: _load(report) if report else 0.0 for node, report in reports.items()}
        self._used_memory = {node: report.load_memory if report else 0 for node, report in reports.items()}
        self._loaded = sum(self._used.values())
        self._measured = 0
        self._vcpus = dict.fromkeys(nodes, 0)

    def add(self, node: str, size: Size, *, measured: bool) -> None:
        if node not in self._cpus:
            return
        if measured:
            self._measured += size.cpus
        else:
            self._vcpus[node] += size.guessed
            self._used[node] += size.load
            self._used_memory[node] += size.used

    def best(self, nodes: Sequence[str], size: Size) -> str:
        rate, cpus, memory = self._rate(), self._cpus, self._memory
        used, vcpus, used_memory = self._used, self._vcpus, self._used_memory
        best, least = nodes[0], (inf, inf)
        for node in nodes:
            one = (used[node] + size.load + rate * (vcpus[node] + size.guessed)) / cpus[node]
            other = (used_memory[node] + size.used) / memory[node]
            load = (one, other) if one > other else (other, one)
            if load < least:
                best, least = node, load
        return best

    def why(self, node: str) -> tuple[str, str]:
        cpus = (self._used[node] + self._rate() * self._vcpus[node]) / self._cpus[node]
        memory = self._used_memory[node] / self._memory[node]
        return f"{cpus:.0%} of its processors and {memory:.0%} of its memory in use", "the least"

    def _rate(self) -> float:
        """Processors that a vCPU uses, at most a whole one."""
        return min(self._loaded / self._measured, 1.0) if self._measured else 1.0


def _load(report: NodeStatus) -> float:
    """Processors in use on a node: more exactly by its VMs, where it has measured each."""
    return sum(status.load or 0.0 for status in report.vms.values()) or float(report.load)


class Scores:
    """The scores of one pass, each made when it is asked for the first time, and kept up to date from then on."""

    def __init__(self, snapshot: Snapshot, nodes: Sequence[str], room: Mapping[str, int]) -> None:
        self._snapshot = snapshot
        self._nodes = nodes
        self._room = room
        self._carried = {measured: {node: Size() for node in nodes} for measured in (True, False)}
        self._made: dict[str, Score] = {}

    def add(self, node: str, size: Size, *, measured: bool = False) -> None:
        """VMs of this size run, or are to run, on the node. measured: what they use is part of what it reports."""
        carried = self._carried[measured].get(node)
        if carried is not None:
            carried.grow(size)
            for score in self._made.values():
                score.add(node, size, measured=measured)

    def of(self, placement: str = "") -> Score:
        """The score for one of records.PLACEMENTS; for none, the one that the settings name."""
        name = placement or self._snapshot.policy.placement
        score = self._made.get(name)
        if score is None:
            score = self._made[name] = self._make(name)
            for measured, carried in self._carried.items():
                for node, size in carried.items():
                    score.add(node, size, measured=measured)
        return score

    def _make(self, name: str) -> Score:
        make = SCORES.get(name)
        # one that is unknown here counts as free memory
        return make(self._snapshot, self._nodes) if make is not None else self._of_memory(name)

    def _of_memory(self, name: str) -> Score:
        if name == "free_share":
            return FreeShare(self._snapshot, self._nodes, self._room)
        return FreeMemory(self._room)


#: Makers of those scores that keep books of their own.
SCORES: Mapping[str, Callable[[Snapshot, Sequence[str]], Score]] = MappingProxyType(
    {
        "fewest_vms": lambda _snapshot, nodes: FewestVms(nodes),
        "fewest_vcpus": FewestVcpus,
        "configured_size": ConfiguredSize,
        "balanced": Balanced,
        "measured_load": MeasuredLoad,
    }
)


def counted(vms: int) -> str:
    """A number of VMs, in words."""
    return f"{vms or 'no'} VM{'' if vms == 1 else 's'}"


def _memory(snapshot: Snapshot, nodes: Sequence[str]) -> dict[str, int]:
    return {node: max(capacity(snapshot, node), 1) for node in nodes}


def _processors(snapshot: Snapshot, nodes: Sequence[str]) -> dict[str, int]:
    reports = {node: snapshot.report(node) for node in nodes}
    return {node: max(report.cpus, 1) if report else 1 for node, report in reports.items()}
