# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which VMs to move so that the nodes are loaded more evenly, one after the other, each with its gain and reason. Pure.

It is a local search: the best move first, then the best exchange of two VMs. Every filter of the placement holds for every
move, and a VM counts on both ends of its move until it has arrived. So moves of one stage can be under way together, in any
order; a move that needs the room that another one leaves comes in a later stage, after all of those before have arrived.

Nothing moves for this that would have to be stopped, that its user has bound, or that would return by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from .codec import Stored
from .cpu_fit import misfits
from .node_limits import why_down
from .placement import Placement
from .records import Claim, Vm
from .snapshot import Snapshot
from .spare import worse
from .spread import Amounts, amounts, spread
from .views import reports_now, vm_status

#: VMs that are moved as one, by name.
Unit = Mapping[str, Vm]

#: The share of the spread that a move must gain, and the spread at which nodes count as even, unless told otherwise. A move
#: concerns two nodes, and so it is that share of what two of all the nodes make up.
MIN_GAIN = 0.01
EVEN = 0.01

#: How many of the fullest and of the emptiest nodes are looked at first, and how many stages there are at most.
NARROW = 8
STAGES = 10


@dataclass(frozen=True)
class BalanceMove:
    """VMs that go from one node to another as one: a single one, or those that are kept together.

    Attributes:
        stage: moves with the same number may be under way at the same time; from 1.
        spread: after this move and all before it. gain: how much of the spread before it that takes away, 0 to 1.
        why: one sentence.
    """

    vms: tuple[str, ...]
    source: str
    to: str
    stage: int
    spread: float
    gain: float
    why: str


@dataclass(frozen=True)
class Balance:
    """A plan.

    Attributes:
        kinds: the resources that count. before, after: the spread now, and after all moves.
        loads: of each node that counts, its shares of these resources now; loads_after: after all moves.
        staying: VMs of these nodes that are not moved for this, each with the reason.
    """

    kinds: tuple[str, ...]
    before: float
    after: float
    moves: tuple[BalanceMove, ...]
    loads: Mapping[str, Mapping[str, float]]
    loads_after: Mapping[str, Mapping[str, float]]
    staying: Mapping[str, str]


def plan_balance(
    snapshot: Snapshot,
    *,
    max_moves: int | None = None,
    min_gain: float = MIN_GAIN,
    even: float = EVEN,
    cold: bool = False,
    stages: int = STAGES,
) -> Balance:
    """The moves that make the spread smaller.

    Args:
        max_moves: how many VMs are moved at most. even: the spread from which on nothing is to be done.
        min_gain: the share of the spread that a move must gain if there were two nodes; with more, the share of two of
            them. Twice as much for an exchange.
        cold: whether VMs that must be stopped for it are moved, too.
        stages: how many times moves may wait for those before them.
    """
    work = _Work(snapshot, min_gain, even, cold)
    left = len(snapshot.vms) if max_moves is None else max_moves
    loads = work.loads()
    before = work.spread.value
    for stage in range(1, stages + 1):
        done = len(work.moves)
        work.improve(stage, left)
        left -= sum(len(move.vms) for move in work.moves[done:])
        if len(work.moves) == done or not work.short_of_room or left <= 0:
            break
        work.arrive()
    work.keep_spare()
    return Balance(
        work.spread.kinds,
        before,
        work.spread.value,
        tuple(work.moves),
        loads,
        work.loads(),
        MappingProxyType(work.staying),
    )


class _Candidate(NamedTuple):
    """A move, or an exchange. spread: after it."""

    spread: float
    unit: str
    to: str
    other: str = ""


class _Mover(NamedTuple):
    """VMs that may be moved as one, with what they take."""

    unit: Unit
    takes: Amounts
    node: str


class _Work:
    """A plan in the making.

    Attributes:
        short_of_room: whether a move would have been better that has no room while those before it are under way.
    """

    def __init__(self, snapshot: Snapshot, min_gain: float, even: float, cold: bool) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.moves: list[BalanceMove] = []
        self._taken: list[Amounts] = []
        self.staying: dict[str, str] = {}
        self.short_of_room = False
        self._even, self._cold = even, cold
        self._min_gain = min_gain * min(1.0, 2.0 / max(len(self.placement.open), 1))
        self.spread = spread(snapshot)
        self._movers: dict[str, _Mover] = {}
        self._on: dict[str, list[str]] = {node: [] for node in self.spread.has}
        self._refused: set[tuple[str, str]] = set()
        self._collect()

    def loads(self) -> Mapping[str, Mapping[str, float]]:
        return MappingProxyType({node: self.spread.shares(node) for node in self.spread.has})

    def improve(self, stage: int, left: int) -> None:
        """Make moves that can be under way together until none is worth it."""
        self.short_of_room = False
        self._refused.clear()
        wide = False
        while left > 0 and self.spread.value > self._even:
            made = self._best_moves(stage, left, wide=wide) or self._best_exchanges(stage, left, wide=wide)
            left -= made
            if not made and wide:
                return
            wide = not made

    def arrive(self) -> None:
        """All moves so far have come to their end."""
        self.placement = Placement(_arrived(self.snapshot, self.moves))

    def keep_spare(self) -> None:
        """Take back what leaves less room for the loss of nodes than there was: the fewest of the last moves."""
        if not self.moves or worse(self.snapshot, _arrived(self.snapshot, self.moves)) is None:
            return
        fine, lacking = 0, len(self.moves)
        while lacking - fine > 1:
            middle = (fine + lacking) // 2
            if worse(self.snapshot, _arrived(self.snapshot, self.moves[:middle])) is None:
                fine = middle
            else:
                lacking = middle
        for move, takes in zip(self.moves[fine:], self._taken[fine:], strict=True):
            self.spread.add(move.source, takes)
            self.spread.add(move.to, takes, -1)
            why = f"its move to {move.to} would leave too little room for the loss of a node"
            self.staying.update(dict.fromkeys(move.vms, why))
        del self.moves[fine:]

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
            self._movers[name] = _Mover(unit, together, claim.node)
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

    def _ends(self, *, wide: bool) -> tuple[Sequence[str], Sequence[str]]:
        """The nodes to take from, the fullest first, and those to give to, the emptiest first."""
        nodes = sorted(self._on, key=lambda node: (-self.spread.fullness(node), node))
        if wide:
            return nodes, nodes[::-1]
        return nodes[:NARROW], nodes[: -NARROW - 1 : -1]

    def _best_moves(self, stage: int, left: int, *, wide: bool) -> int:
        sources, targets = self._ends(wide=wide)
        limit = self.spread.value * (1.0 - self._min_gain)
        found = [
            _Candidate(value, name, to)
            for source in sources
            for name in self._on[source]
            if len(self._movers[name].unit) <= left
            for to in targets
            if to != source and (value := self.spread.after(source, to, self._movers[name].takes)) < limit
        ]
        return self._take(sorted(found), stage, left, self._min_gain, many=wide)

    def _best_exchanges(self, stage: int, left: int, *, wide: bool) -> int:
        sources, targets = self._ends(wide=False)
        if wide or left < 2:
            return 0
        limit = self.spread.value * (1.0 - 2 * self._min_gain)
        found = [
            _Candidate(value, name, to, other)
            for source, to in self._pairs(sources, targets)
            for name in self._on[source]
            for other in self._on[to]
            if len(self._movers[name].unit) + len(self._movers[other].unit) <= left
            and (value := self.spread.after(source, to, self._movers[name].takes, self._movers[other].takes)) < limit
        ]
        return self._take(sorted(found), stage, left, 2 * self._min_gain, many=False)

    def _pairs(self, sources: Sequence[str], targets: Sequence[str]) -> Iterator[tuple[str, str]]:
        for source in sources:
            for to in targets:
                if source != to and (source not in targets or to not in sources or source < to):
                    yield source, to

    def _take(self, found: Sequence[_Candidate], stage: int, left: int, min_gain: float, *, many: bool) -> int:
        """Make the best of these moves that nothing speaks against, or as many as do not touch each other."""
        touched: set[str] = set()
        made = 0
        for one in found:
            mover, back = self._movers.get(one.unit), self._movers.get(one.other)
            if mover is None or mover.node in touched or one.to in touched:
                continue
            size = len(mover.unit) + (len(back.unit) if back else 0)
            value = self.spread.after(mover.node, one.to, mover.takes, back.takes if back else ())
            if size > left - made or value >= self.spread.value * (1.0 - min_gain):
                continue
            if not self._allowed(one.unit, one.to) or (back and not self._allowed(one.other, mover.node)):
                continue
            if back:
                self._make(one.unit, one.to, stage, f"in exchange for {_names(back.unit)}")
                self._make(one.other, mover.node, stage, f"in exchange for {_names(mover.unit)}")
            else:
                self._make(one.unit, one.to, stage)
            made += size
            touched |= {mover.node, one.to}
            if not many:
                break
        return made

    def _allowed(self, name: str, to: str) -> bool:
        """Whether nothing speaks against a node for VMs, and they would not leave it by themselves."""
        if (name, to) in self._refused:
            return False
        unit, _takes, node = self._movers[name]
        placement = self.placement
        against = placement.ranks(unit, to) > placement.ranks(unit, node) or any(
            to in (*_tried(self.snapshot, one, vm), _failed(self.snapshot, one)) for one, vm in unit.items()
        )
        if not against and all(vm.live for vm in unit.values()):
            against = to in misfits(self.snapshot, unit)
        against = against or placement.preferred(unit, to) is not None
        if not against and placement.why_not(unit, to):
            against = self.short_of_room = True
        if against:
            self._refused.add((name, to))
        return not against

    def _make(self, name: str, to: str, stage: int, how: str = "") -> None:
        unit, takes, node = self._movers.pop(name)
        before, here, there = self.spread.value, self.spread.words(node), self.spread.words(to)
        self._on[node].remove(name)
        self.spread.add(node, takes, -1)
        self.spread.add(to, takes)
        self.placement.put(unit, to)
        value = self.spread.value
        gain = 1.0 - value / before if before > 0.0 else 0.0
        why = f"{node} has {here}, {to} {there}" + (f"; {how}" if how else "")
        self._taken.append(takes)
        self.moves.append(BalanceMove(tuple(unit), node, to, stage, value, gain, why))


def _arrived(snapshot: Snapshot, moves: Sequence[BalanceMove]) -> Snapshot:
    """The cluster once these moves have come to their end."""
    claims = dict(snapshot.claims)
    for move in moves:
        for name in move.vms:
            stored = claims[name]
            assert stored.value is not None
            claims[name] = Stored(dataclasses.replace(stored.value, node=move.to, to=""), stored.version)
    return dataclasses.replace(snapshot, claims=MappingProxyType(claims))


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


def _names(unit: Unit) -> str:
    return " and ".join(unit)
