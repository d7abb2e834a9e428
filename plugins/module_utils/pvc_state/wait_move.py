# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far moves are, waiting for their end, and beginning so many at a time that no more are under way than asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from . import paths
from .commit import NOBODY, commit
from .errors import PvcError, WaitTimeout
from .node_limits import why_down
from .plan import Plan
from .plan_move import Journey, journeys, plan_move
from .records import Author
from .requests import MoveRequest
from .snapshot import Snapshot, load
from .store import Store, Watch
from .views import settled, vm_status
from .wait import until

#: How far a move can be, with what each means.
STAGES: Mapping[str, str] = {
    "planned": "it has yet to begin",
    "prepared": "its owner's agent knows where to, and waits for its turn",
    "running": "its guest is being moved, or stopped for the move",
    "switched": "it belongs to the new node, and does not run there yet",
    "done": "it is there, as wanted",
    "refused": "it did not come about, or was given up",
}
#: Stages that do not change any more.
ENDED = ("done", "refused")


@dataclass(frozen=True)
class Progress:
    """How far a move is. stage: one of STAGES. why: in words. took: how long it took, in words, where that is known."""

    journey: Journey
    stage: str
    why: str
    took: str = ""


class MovesFailed(WaitTimeout):
    """Not all moves came about, or not in time; ``moves`` says how far each is."""

    def __init__(self, moves: Sequence[Progress], problem: str, remedy: str, cause: PvcError | None = None) -> None:
        where = (cause.obj, cause.option) if cause is not None else ("", "")
        super().__init__(problem, obj=where[0], option=where[1], remedy=remedy)
        self.moves = tuple(moves)


def progress(snapshot: Snapshot, journey: Journey) -> Progress:
    """How far a move is that was under way before."""
    name, origin, to, why = journey
    stored = snapshot.claims.get(name)
    if stored is None:
        return Progress(journey, "refused", "it was deleted meanwhile")
    claim, observed = stored.value, vm_status(snapshot, name)
    if claim is None:
        return Progress(journey, "refused", f"its claim is damaged ({stored.invalid})")
    said = observed.reason if observed is not None else ""
    if claim.node == to:
        took = observed.moved if observed is not None else ""
        if settled(snapshot, name) and not claim.to:
            return Progress(journey, "done", said, took)
        if observed is not None and observed.state == "failed":
            return Progress(journey, "refused", f"it is on {to}, but: {said}", took)
        return Progress(journey, "switched", said or _unseen(snapshot, to), took)
    if claim.node != origin:
        return Progress(journey, "refused", f"it went to {claim.node} instead")
    if claim.to != to:
        instead = f"it goes to {claim.to} instead" if claim.to else f"it stays on {origin}"
        last = observed.moved if observed is not None and observed.moved.startswith("not ") else ""
        return Progress(journey, "refused", f"{instead}: {last}" if last else instead)
    if observed is None:
        return Progress(journey, "prepared", _unseen(snapshot, origin))
    if observed.refused == to:
        return Progress(journey, "refused", said)
    waits = observed.state not in ("moving", "stopping") or said.startswith("is to move")
    return Progress(journey, "prepared" if waits else "running", said or why)


def _unseen(snapshot: Snapshot, node: str) -> str:
    return f"{node} {why_down(snapshot, node) or 'has not told of it yet'}"


@dataclass
class _Tour:
    """Moves that were asked for: those to begin, and those that have begun."""

    store: Store
    waiting: list[MoveRequest]
    begun: dict[str, Journey]
    last: dict[str, Progress] = field(default_factory=dict)

    def look(self, snapshot: Snapshot) -> None:
        """Take note of how far they are; what has ended has ended."""
        for name, journey in self.begun.items():
            if name not in self.last or self.last[name].stage not in ENDED:
                self.last[name] = progress(snapshot, journey)

    def under_way(self) -> list[str]:
        return [name for name in self.begun if name not in self.last or self.last[name].stage not in ENDED]

    def next(self, at_once: int, per_node: int) -> list[MoveRequest]:
        """Of those that wait, the first that may begin now."""
        under_way = self.under_way()
        left = at_once - len(under_way) if at_once else len(self.waiting)
        return within(self.waiting, left, per_node, Counter(self.begun[name].to for name in under_way))

    def refused(self) -> list[Progress]:
        return [one for one in self.last.values() if one.stage == "refused"]

    def moves(self) -> list[Progress]:
        return list(self.last.values())


def within(
    waiting: Sequence[MoveRequest], at_once: int, per_node: int, to: Mapping[str, int] | None = None
) -> list[MoveRequest]:
    """The first ``at_once`` of these moves, but no more than ``per_node`` to one node (0: any number).

    Args:
        to: how many are on their way to each node already.
    """
    found: list[MoveRequest] = []
    going = Counter(to or {})
    for one in waiting:
        if len(found) < at_once and not (per_node and one.to and going[one.to] >= per_node):
            found.append(one)
            going[one.to] += 1
    return found


def carry_out(
    store: Store,
    begun: Sequence[Journey],
    rest: Sequence[MoveRequest],
    at_once: int,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
    per_node: int = 0,
    author: Author = NOBODY,
) -> tuple[list[Progress], dict[str, str]]:
    """Wait until all moves have ended; returns how each did, and by VM why those that were begun here go where they go.

    Args:
        begun: those that are under way.
        rest: what is to begin when others have ended, so that no more than ``at_once`` are under way (0: any number),
            and no more than ``per_node`` to one node.
        author: who the commits name that begin those.

    Raises MovesFailed when time is up, or when one did not come about: then no more are begun, and what is under way
    is waited for.
    """
    tour = _Tour(store, list(rest), {one.vm: one for one in begun})
    said: dict[str, str] = {}
    deadline = clock() + timeout
    cause: PvcError | None = None
    while tour.under_way() or (tour.waiting and cause is None and not tour.refused()):
        batch = tour.next(at_once, per_node)
        if batch and cause is None and not tour.refused():
            tour.waiting = [one for one in tour.waiting if one not in batch]
            try:
                plan = _begin(store, batch, author)
            except PvcError as err:
                cause, tour.waiting = err, [*batch, *tour.waiting]
                continue
            said.update(plan.why)
            tour.begun.update((one.vm, one) for one in journeys(plan))
        else:
            _wait(tour, max(0.0, deadline - clock()), timeout, clock)
    if cause is not None or tour.refused():
        raise _failed(tour, cause)
    return tour.moves(), said


def _begin(store: Store, batch: Sequence[MoveRequest], author: Author) -> Plan:
    return commit(store, lambda snapshot: plan_move(snapshot, batch), author=author).plan


def _wait(tour: _Tour, remaining: float, timeout: float, clock: Callable[[], float]) -> None:
    """Until one more has ended."""
    before = set(tour.under_way())

    def read(_last: Snapshot | None, wake: Watch) -> Snapshot:
        return _scene(tour.store, [tour.begun[name] for name in sorted(before)], wake)

    def reached(snapshot: Snapshot) -> bool | None:
        tour.look(snapshot)
        return True if set(tour.under_way()) < before else None

    def late(_snapshot: Snapshot) -> WaitTimeout:
        missing = [f"vm {name}: {tour.last[name].stage}, {tour.last[name].why}" for name in tour.under_way()]
        missing += [f"vm {one.name} has yet to begin" for one in tour.waiting]
        return MovesFailed(
            tour.moves(),
            f"not all moved within {timeout:g} s: {_listed(missing)}",
            "what has begun goes on; wait longer, or cancel it with state cancelled",
        )

    until(tour.store, read, reached, remaining, late, clock)


def _failed(tour: _Tour, cause: PvcError | None) -> MovesFailed:
    parts = [f"vm {one.journey.vm}: {one.why}" for one in tour.refused()]
    parts += [str(cause)] if cause is not None else []
    parts += [f"vm {one.name} was not begun" for one in tour.waiting]
    remedy = "remove the cause and run it again: what has moved is left as it is"
    return MovesFailed(tour.moves(), f"not all moves came about: {_listed(parts)}", remedy, cause)


def _scene(store: Store, moves: Collection[Journey], wake: Watch) -> Snapshot:
    """All that these moves depend on, with a watch on each of it."""
    for move in moves:
        store.get(paths.claim(move.vm), wake)
    for node in sorted({node for move in moves for node in (move.origin, move.to)}):
        store.get(paths.status(node), wake)
        store.get(paths.alive(node), wake)
    # read after the watches were left, so that nothing changes unseen
    return load(store, [move.vm for move in moves])


def planned(plan: Plan, stage: str) -> list[Progress]:
    """The moves of a plan, of which nobody has looked yet how far they are."""
    return [Progress(one, stage, one.why) for one in journeys(plan)]


def view(one: Progress) -> dict[str, str]:
    """As results show it."""
    return {
        "vm": one.journey.vm,
        "from": one.journey.origin,
        "to": one.journey.to,
        "stage": one.stage,
        "why": one.why,
        "took": one.took,
    }


def _listed(texts: Sequence[str]) -> str:
    return "; ".join(texts[:5]) + (f"; and {len(texts) - 5} more" if len(texts) > 5 else "")
