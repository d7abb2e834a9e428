# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which VMs to move so that the nodes are loaded more evenly, one after the other, each with its gain and reason. Pure.

A search finds where the VMs would be (balance_search); what is left to do is to put the moves in order. Every filter of the
placement holds for every move, and a VM counts on both ends of its move until it has arrived. So moves of one stage can be
under way together, in any order; a move that needs the room that another one leaves comes in a later stage, after all of
those before have arrived. No VM is moved twice.

Nothing moves for this that would have to be stopped, that its user has bound, or that would return by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .balance_search import Mover, Search, arrived
from .placement import Placement
from .snapshot import Snapshot
from .spare import worse
from .spread import Spread, spread

#: The share of the spread that a move must gain, and the spread at which nodes count as even, unless told otherwise. A move
#: concerns two nodes, and so it is that share of what two of all the nodes make up.
MIN_GAIN = 0.01
EVEN = 0.01

#: How many stages there are at most.
STAGES = 10


@dataclass(frozen=True)
class BalanceMove:
    """VMs that go from one node to another as one: a single one, or those that are kept together.

    Attributes:
        stage: moves with the same number may be under way at the same time; from 1.
        spread: after this move and all before it. gain: the share of the spread before it that this takes away; of an
            exchange of two VMs, the second move may show the gain of both.
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
        stages: how many there may be.
    """
    search = Search(snapshot, len(snapshot.vms) if max_moves is None else max_moves, min_gain, even, cold=cold)
    before, kinds, loads = search.spread.value, search.spread.kinds, search.spread.loads()
    search.run()
    moves = _in_order(snapshot, [mover for mover in search.movers.values() if mover.node != mover.origin], stages)
    staying = dict(search.staying)
    kept = _with_spare(snapshot, moves)
    for move in moves[kept:]:
        why = f"its move to {move.to} would leave too little room for the loss of a node"
        staying.update(dict.fromkeys(move.vms, why))
    moves = _best_part(before, moves[:kept])
    return Balance(
        kinds,
        before,
        moves[-1].spread if moves else before,
        tuple(moves),
        loads,
        _loads_after(snapshot, search, moves),
        MappingProxyType(staying),
    )


def _loads_after(snapshot: Snapshot, search: Search, moves: Sequence[BalanceMove]) -> Mapping[str, Mapping[str, float]]:
    found = spread(snapshot)
    for move in moves:
        takes = search.movers[move.vms[0]].takes
        found.add(move.source, takes, -1)
        found.add(move.to, takes)
    return found.loads()


def _in_order(snapshot: Snapshot, movers: Sequence[Mover], stages: int) -> list[BalanceMove]:
    """The moves that lead there, the best first, as far as they have room while those before them are under way."""
    found = spread(snapshot)
    waiting = {next(iter(mover.unit)): mover for mover in movers}
    moves: list[BalanceMove] = []
    for stage in range(1, stages + 1):
        placement = Placement(arrived(snapshot, _goes(moves)))
        stuck: dict[str, Mover] = {}
        done = len(moves)
        while waiting:
            name = min(waiting, key=lambda one: (_after(found, waiting[one]), one))
            mover = waiting.pop(name)
            if placement.why_not(mover.unit, mover.node):
                stuck[name] = mover
                continue
            before, here, there = found.value, found.words(mover.origin), found.words(mover.node)
            found.add(mover.origin, mover.takes, -1)
            found.add(mover.node, mover.takes)
            placement.put(mover.unit, mover.node)
            gain = 1.0 - found.value / before if before > 0.0 else 0.0
            why = f"{mover.origin} has {here}, {mover.node} {there}"
            moves.append(BalanceMove(tuple(mover.unit), mover.origin, mover.node, stage, found.value, gain, why))
        if not stuck or len(moves) == done:
            break
        waiting = stuck
    return moves


def _after(found: Spread, mover: Mover) -> float:
    return found.after(mover.origin, mover.node, mover.takes)


def _with_spare(snapshot: Snapshot, moves: Sequence[BalanceMove]) -> int:
    """How many of the moves, from the first, leave as much room for the loss of nodes as there was."""

    def fine(count: int) -> bool:
        return worse(snapshot, arrived(snapshot, _goes(moves[:count]))) is None

    if not moves or fine(len(moves)):
        return len(moves)
    kept, lacking = 0, len(moves)
    while lacking - kept > 1:
        middle = (kept + lacking) // 2
        if fine(middle):
            kept = middle
        else:
            lacking = middle
    return kept


def _best_part(before: float, moves: Sequence[BalanceMove]) -> list[BalanceMove]:
    """The moves up to the one with the smallest spread: what follows was worth it only with more that has no room."""
    best, smallest = 0, before
    for count, move in enumerate(moves, 1):
        if move.spread < smallest:
            best, smallest = count, move.spread
    return list(moves[:best])


def _goes(moves: Sequence[BalanceMove]) -> dict[str, str]:
    return {name: move.to for move in moves for name in move.vms}
