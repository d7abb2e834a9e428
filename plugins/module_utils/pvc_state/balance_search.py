# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes VMs would be on if the nodes were as evenly loaded as a local search can make them. Pure.

The best move first, then the best exchange of two VMs, until none gains enough: a round. Once a round's moves have come to
their end, what has moved may be moved again in the next one, and what it has kept from moving may be free. What counts is where
each VM is in the end.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, cast

from .codec import Stored
from .cpu_fit import misfits
from .node_limits import why_down
from .placement import Placement
from .records import Claim, Vm
from .snapshot import Snapshot
from .spread import Amounts, amounts, spread
from .views import reports_now, vm_status

#: VMs that are moved as one, by name.
Unit = Mapping[str, Vm]

#: How many of the fullest and of the emptiest nodes are looked at first, and how many rounds there are at most.
NARROW = 8
ROUNDS = 6


class Mover(NamedTuple):
    """VMs that may be moved as one, with what they take. origin: where they are. node: where the search has them."""

    unit: Unit
    takes: Amounts
    origin: str
    node: str


class _Candidate(NamedTuple):
    """A move, or an exchange. spread: after it."""

    spread: float
    unit: str
    to: str
    other: str = ""


class Search:
    """The search, and what it has found.

    Args:
        left: how many VMs may be moved. min_gain, even, cold: as of plan_balance.

    Attributes:
        movers: those that may be moved, by the name of the first of each.
        staying: why the others are not, by VM.
    """

    def __init__(self, snapshot: Snapshot, left: int, min_gain: float, even: float, *, cold: bool) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.spread = spread(snapshot)
        self.movers: dict[str, Mover] = {}
        self.staying: dict[str, str] = {}
        self._left, self._even, self._cold = left, even, cold
        self._min_gain = min_gain * min(1.0, 2.0 / max(len(self.placement.open), 1))
        self._on: dict[str, list[str]] = {node: [] for node in self.spread.has}
        self._refused: set[tuple[str, str]] = set()
        self._moved: set[str] = set()
        self._collect()

    def run(self) -> None:
        """Search."""
        for _round in range(ROUNDS):
            before = self.spread.value
            self._improve()
            if self.spread.value >= before * (1.0 - self._min_gain):
                return
            self.placement = Placement(arrived(self.snapshot, self.found()))
            self._refused.clear()
            self._moved.clear()

    def found(self) -> dict[str, str]:
        """The nodes of all VMs that are to move."""
        return {name: mover.node for mover in self.movers.values() if mover.node != mover.origin for name in mover.unit}

    # --- who may be moved -----------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        seen: set[str] = set()
        for name in sorted(self.snapshot.vms):
            claim, vm = _claim(self.snapshot, name), self.snapshot.vms[name].value
            if name in seen or claim is None or vm is None or claim.node not in self._on:
                continue
            unit = self._unit(name, vm)
            seen.update(unit)
            against = self._why_staying(unit)
            if against:
                self.staying.update(dict.fromkeys(unit, against))
                continue
            together = tuple(map(sum, zip(*(self._takes(one, unit[one]) for one in unit), strict=True)))
            self.movers[name] = Mover(unit, together, claim.node, claim.node)
            self._on[claim.node].append(name)

    def _takes(self, name: str, vm: Vm) -> Amounts:
        return amounts(vm, vm_status(self.snapshot, name), self.spread.kinds)

    def _unit(self, name: str, vm: Vm) -> Unit:
        """A VM, and those that are kept together with it."""
        group = self.placement.rules.groups.get(name)
        if group is None or not self.placement.spot(name):
            return {name: vm}
        found = {name: vm}
        for other in sorted(group.vms - {name}):
            stored = self.snapshot.vms.get(other)
            if self.placement.spot(other) and stored is not None and stored.value is not None:
                found[other] = stored.value
        return found

    def _why_staying(self, unit: Unit) -> str:
        """Why VMs are not moved for this; empty: they are."""
        nodes = set()
        for name, vm in unit.items():
            claim, status = _claim(self.snapshot, name), vm_status(self.snapshot, name)
            who = "it" if len(unit) == 1 else name
            if claim is None:
                return f"{who} has no sound claim"
            nodes.add(claim.node)
            if vm.state != "started":
                return f"{who} is {vm.state}"
            if vm.node is not None:
                return f"{who} is bound to {vm.node} by its option node"
            if claim.to:
                return f"{who} is on its way to {claim.to}"
            if claim.home:
                return f"{who} is to return to {claim.home}"
            if why_down(self.snapshot, claim.node) or not reports_now(self.snapshot, claim.node):
                return f"{claim.node} does not report"
            if status is None or status.state != "running" or status.generation < vm.generation:
                return f"{who} does not run as it is wanted"
            if vm.migration.method == "none" or (not vm.live and not self._cold):
                return f"{who} cannot be moved while it runs"
        return "" if len(nodes) == 1 else "those that are kept together with it are elsewhere"

    # --- the search -----------------------------------------------------------------------------------------------------

    def _improve(self) -> None:
        """One round: moves that could be under way together."""
        wide = False
        while self.spread.value > self._even:
            made = self._best_moves(wide=wide) or self._best_exchanges(wide=wide)
            if not made and wide:
                return
            wide = not made

    def _ends(self, *, wide: bool) -> tuple[Sequence[str], Sequence[str]]:
        """The nodes to take from, the fullest first, and those to give to, the emptiest first."""
        nodes = sorted(self._on, key=lambda node: (-self.spread.fullness(node), node))
        if wide:
            return nodes, nodes[::-1]
        return nodes[:NARROW], nodes[: -NARROW - 1 : -1]

    def _free(self, node: str) -> list[str]:
        """Those on a node that have not moved in this round."""
        return [name for name in self._on[node] if name not in self._moved]

    def _costs(self, name: str, to: str) -> int:
        """How many VMs more are to move once these go to a node; negative: fewer."""
        mover = self.movers[name]
        return len(mover.unit) * ((to != mover.origin) - (mover.node != mover.origin))

    def _best_moves(self, *, wide: bool) -> bool:
        sources, targets = self._ends(wide=wide)
        limit = self.spread.value * (1.0 - self._min_gain)
        found = [
            _Candidate(value, name, to)
            for source in sources
            for name in self._free(source)
            for to in targets
            if to != source and (value := self.spread.after(source, to, self.movers[name].takes)) < limit
        ]
        return self._take(sorted(found), self._min_gain, many=wide)

    def _best_exchanges(self, *, wide: bool) -> bool:
        if wide:
            return False
        sources, targets = self._ends(wide=False)
        limit = self.spread.value * (1.0 - 2 * self._min_gain)
        found = [
            _Candidate(value, name, to, other)
            for source, to in _pairs(sources, targets)
            for name in self._free(source)
            for other in self._free(to)
            if (value := self.spread.after(source, to, self.movers[name].takes, self.movers[other].takes)) < limit
        ]
        return self._take(sorted(found), 2 * self._min_gain, many=False)

    def _take(self, found: Sequence[_Candidate], min_gain: float, *, many: bool) -> bool:
        """Make the best of these moves that nothing speaks against, or as many as do not touch each other."""
        touched: set[str] = set()
        for one in found:
            mover, back = self.movers[one.unit], self.movers.get(one.other)
            source = mover.node
            if one.unit in self._moved or source in touched or one.to in touched:
                continue
            costs = self._costs(one.unit, one.to) + (self._costs(one.other, source) if back else 0)
            value = self.spread.after(source, one.to, mover.takes, back.takes if back else ())
            if costs > self._left or value >= self.spread.value * (1.0 - min_gain):
                continue
            if not self._allowed(one.unit, one.to) or (back and not self._allowed(one.other, source)):
                continue
            self._left -= costs
            self._make(one.unit, one.to)
            if back:
                self._make(one.other, source)
            touched |= {source, one.to}
            if not many:
                break
        return bool(touched)

    def _allowed(self, name: str, to: str) -> bool:
        """Whether nothing speaks against a node for VMs, and they would not leave it by themselves."""
        if (name, to) in self._refused:
            return False
        unit, origin = self.movers[name].unit, self.movers[name].origin
        placement = self.placement
        against = placement.ranks(unit, to) > placement.ranks(unit, origin) or any(
            to in (*_tried(self.snapshot, one, vm), _failed(self.snapshot, one)) for one, vm in unit.items()
        )
        if not against and all(vm.live for vm in unit.values()):
            against = to in misfits(self.snapshot, unit)
        against = against or placement.preferred(unit, to) is not None or bool(placement.why_not(unit, to))
        if against:
            self._refused.add((name, to))
        return not against

    def _make(self, name: str, to: str) -> None:
        mover = self.movers[name]
        self._on[mover.node].remove(name)
        self._on[to].append(name)
        self.spread.add(mover.node, mover.takes, -1)
        self.spread.add(to, mover.takes)
        self.placement.put(mover.unit, to)
        self.movers[name] = mover._replace(node=to)
        self._moved.add(name)


def arrived(snapshot: Snapshot, to: Mapping[str, str]) -> Snapshot:
    """The cluster once these VMs are on these nodes."""
    claims = dict(snapshot.claims)
    for name, node in to.items():
        stored = claims[name]
        claim = dataclasses.replace(cast(Claim, stored.value), node=node, to="")  # only sound ones are moved
        claims[name] = Stored(claim, stored.version)
    return dataclasses.replace(snapshot, claims=MappingProxyType(claims))


def _pairs(sources: Sequence[str], targets: Sequence[str]) -> Iterator[tuple[str, str]]:
    for source in sources:
        for to in targets:
            if source != to and (source not in targets or to not in sources or source < to):
                yield source, to


def _claim(snapshot: Snapshot, name: str) -> Claim | None:
    stored = snapshot.claims.get(name)
    return stored.value if stored is not None else None


def _tried(snapshot: Snapshot, name: str, vm: Vm) -> tuple[str, ...]:
    claim = _claim(snapshot, name)
    return claim.tried if claim is not None and claim.generation == vm.generation else ()


def _failed(snapshot: Snapshot, name: str) -> str:
    """The node to which its owner could not move a VM; empty for none."""
    status = vm_status(snapshot, name)
    return status.refused if status is not None else ""
