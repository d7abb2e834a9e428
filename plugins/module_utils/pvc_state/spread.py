# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How unevenly the nodes are loaded, as one number, and what it would be after a move. Pure.

Of each resource, what a node carries is a share of what it has. The spread of a resource is the standard deviation of these
shares over all nodes, divided by their mean; that of the cluster is the mean over the resources: 0 when all nodes carry the
same share, 1 when they differ by as much as they carry on average. The means are those at the begin, so that each move that
is better by the one measure is better by the other.

Of what is measured, processors and memory are shares in use, which can be compared: what is hardly used weighs little. So
there it is the sum of the deviations, divided by the sum of the means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from types import MappingProxyType

from .node_limits import capacity, why_closed
from .records import Vm, VmStatus
from .snapshot import Snapshot
from .views import vm_status

#: What a VM, or several, take of each resource, in the order of the resources.
Amounts = tuple[float, ...]

#: The resources that count, by the settings' placement: what decides where VMs go decides, too, what even means.
RESOURCES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "balanced": ("memory", "vcpus", "vms"),
        "fewest_vms": ("vms",),
        "fewest_vcpus": ("vcpus",),
        "measured_load": ("load", "load_memory"),
    }
)
#: Those of every other placement.
USUAL = ("memory", "vcpus")

#: Those that are shares in use.
IN_USE = frozenset({"load", "load_memory"})

#: How a share of a resource is said: of a node, as the end of a sentence.
_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "memory": "{:.0%} of its memory given away",
        "vcpus": "{:.2f} vCPUs for each processor",
        "vms": "{:g} VMs to run there",
        "load": "{:.0%} of its processors in use",
        "load_memory": "{:.0%} of its memory in use",
    }
)


def resources(snapshot: Snapshot) -> tuple[str, ...]:
    """The resources that count in this cluster."""
    return RESOURCES.get(snapshot.policy.placement, USUAL)


def sizes(snapshot: Snapshot, node: str, kinds: Sequence[str]) -> Amounts:
    """What a node has of these resources."""
    report = snapshot.report(node)
    cpus, memory = (report.cpus, report.memory) if report is not None else (0, 0)
    has = {"memory": capacity(snapshot, node), "vcpus": cpus, "vms": 1, "load": cpus, "load_memory": memory}
    return tuple(float(max(has[kind], 1)) for kind in kinds)


def amounts(vm: Vm, status: VmStatus | None, kinds: Sequence[str]) -> Amounts:
    """What a VM takes of these resources: memory even when it is off, since it is held for it."""
    runs = vm.state == "started"
    load, load_memory = (status.load, status.load_memory) if status is not None else (None, None)
    takes = {
        "memory": vm.memory,
        "vcpus": vm.vcpus if runs else 0,
        "vms": 1 if runs else 0,
        "load": load or 0.0,
        "load_memory": load_memory or 0,
    }
    return tuple(float(takes[kind]) for kind in kinds)


def spread(snapshot: Snapshot) -> Spread:
    """The spread now, over all nodes that take VMs. A VM that is on its way counts where it goes."""
    kinds = resources(snapshot)
    nodes = sorted(node for node in snapshot.nodes if not why_closed(snapshot, node))
    found = Spread(kinds, {node: sizes(snapshot, node, kinds) for node in nodes})
    for name, stored in snapshot.vms.items():
        node = snapshot.target(name) or snapshot.owner(name)
        if stored.value is not None and node is not None:
            found.add(node, amounts(stored.value, vm_status(snapshot, name), kinds))
    found.settle()
    return found


def measured(snapshot: Snapshot) -> bool:
    """Whether what counts is known of every VM that runs: what has just arrived somewhere was not measured there yet."""
    if "load" not in resources(snapshot):
        return True
    found = (vm_status(snapshot, name) for name in snapshot.vms)
    return all(status is None or status.state != "running" or status.load is not None for status in found)


class Spread:
    """What each node carries, kept up to date move by move.

    Args:
        kinds: the resources. has: what each node has of them, by name; the nodes that count.
    """

    def __init__(self, kinds: Sequence[str], has: Mapping[str, Amounts]) -> None:
        self.kinds = tuple(kinds)
        self.has = has
        self._shares = {node: [0.0] * len(self.kinds) for node in has}
        self._sums = [0.0] * len(self.kinds)
        self._squares = [0.0] * len(self.kinds)
        self._weights = [0.0] * len(self.kinds)

    def add(self, node: str, takes: Amounts, sign: int = 1) -> None:
        """VMs that take so much are on a node, or with sign -1 are not any more."""
        shares = self._shares.get(node)
        if shares is None:
            return
        for kind, (amount, size) in enumerate(zip(takes, self.has[node], strict=True)):
            old = shares[kind]
            new = shares[kind] = old + sign * amount / size
            self._sums[kind] += new - old
            self._squares[kind] += new * new - old * old

    def settle(self) -> None:
        """What is there now is the begin: its means are what deviations are compared with."""
        means = [total / max(len(self.has), 1) for total in self._sums]
        if IN_USE.issuperset(self.kinds):
            means = [sum(means) / len(means)] * len(means)
        count = sum(mean > 0.0 for mean in means)
        self._weights = [1.0 / mean / count if mean > 0.0 else 0.0 for mean in means]

    @property
    def value(self) -> float:
        """The spread."""
        return self._of(self._sums, self._squares)

    def after(self, source: str, to: str, takes: Amounts, back: Amounts = ()) -> float:
        """The spread after a move from one node to another, and of something else in the other direction."""
        sums, squares, weights = self._sums, self._squares, self._weights
        first, second = self._shares[source], self._shares[to]
        has, takes_of = self.has[source], self.has[to]
        count, deviation = len(self.has), 0.0
        for kind, amount in enumerate(takes):
            net = amount - back[kind] if back else amount
            old, other = first[kind], second[kind]
            new, more = old - net / has[kind], other + net / takes_of[kind]
            mean = (sums[kind] + new - old + more - other) / count
            square = (squares[kind] + new * new - old * old + more * more - other * other) / count
            rest = square - mean * mean
            if rest > 0.0:
                deviation += weights[kind] * sqrt(rest)
        return deviation

    def shares(self, node: str) -> Mapping[str, float]:
        """What a node carries, as shares of what it has, by resource."""
        return dict(zip(self.kinds, self._shares[node], strict=True))

    def loads(self) -> Mapping[str, Mapping[str, float]]:
        """The shares of every node."""
        return MappingProxyType({node: self.shares(node) for node in self.has})

    def fullness(self, node: str) -> float:
        """What a node carries, all resources together, each in proportion to its mean."""
        return sum(weight * share for weight, share in zip(self._weights, self._shares[node], strict=True))

    def words(self, node: str) -> str:
        """What a node carries, in words."""
        return " and ".join(_WORDS[kind].format(share) for kind, share in self.shares(node).items())

    def _of(self, sums: Sequence[float], squares: Sequence[float]) -> float:
        count = max(len(self.has), 1)
        rests = (square / count - (total / count) ** 2 for total, square in zip(sums, squares, strict=True))
        return sum(weight * sqrt(rest) for weight, rest in zip(self._weights, rests, strict=True) if rest > 0.0)
