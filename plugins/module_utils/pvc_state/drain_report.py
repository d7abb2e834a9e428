# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that are to be empty: what is left on each, where that goes, and what keeps it. Pure.

It is the leader's own plan of moves, and what the plan does not know: that a node is down, or a claim damaged. Nothing counts
as gone that may still be there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from .codec import Stored
from .node_limits import why_closed, why_down
from .plan_moves import MOVABLE, Moves, plan_moves
from .records import Claim
from .snapshot import Snapshot
from .spare import worse
from .views import vm_status


@dataclass(frozen=True)
class Left:
    """A VM that has yet to leave a node.

    Attributes:
        to: where it goes; empty: nowhere.
        why: what it waits for, or for what reason it goes there: one sentence.
        stuck: nothing about it changes by itself.
    """

    vm: str
    to: str
    why: str
    stuck: bool = False


@dataclass(frozen=True)
class Drain:
    """A node that is to be empty.

    Attributes:
        left: what has yet to leave it; none: it is empty, but for what stays.
        staying: VMs that are nobody's to move, each with the reason.
    """

    node: str
    left: tuple[Left, ...]
    staying: Mapping[str, str]


@dataclass(frozen=True)
class Drains:
    """Nodes that are to be empty, by name. stuck: VMs are left on them, and nothing will change about that by itself."""

    nodes: Mapping[str, Drain]
    stuck: bool

    @property
    def left(self) -> tuple[Left, ...]:
        """What has yet to leave any of them, each VM once."""
        found = {one.vm: one for drain in self.nodes.values() for one in drain.left}
        return tuple(found[vm] for vm in sorted(found))


def drains(snapshot: Snapshot, nodes: Collection[str]) -> Drains:
    """What is left on these nodes, as far as they exist."""
    work = _Work(snapshot)
    found = {node: work.drain(node) for node in sorted(nodes) if node in snapshot.nodes}
    left = [one for drain in found.values() for one in drain.left]
    return Drains(MappingProxyType(found), bool(left) and all(one.stuck for one in left) and not work.under_way)


def drain_view(drain: Drain) -> dict[str, Any]:
    """The report on a node as plain data, for results."""
    return {
        "node": drain.node,
        "empty": not drain.left,
        "left": [{"vm": one.vm, "to": one.to or None, "why": one.why} for one in drain.left],
        "staying": [{"vm": vm, "why": why} for vm, why in drain.staying.items()],
    }


class _Work:
    """Reports that share one plan of moves."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.held = why_held(snapshot)
        self.moves = Moves((), {}) if self.held else plan_moves(snapshot)
        self.wishes = {wish.vm: wish for wish in self.moves.wishes}
        moving = (claim.value for claim in snapshot.claims.values() if claim.value is not None and claim.value.to)
        self.under_way = bool(self.wishes) or any(not why_down(snapshot, claim.node) for claim in moving)

    def drain(self, node: str) -> Drain:
        left = [*self._of_claims(node), *self._of_damage(node)]
        staying = {
            name: f"it is {stored.value.state}"
            for name, stored in sorted(self.snapshot.vms.items())
            if stored.value is not None
            and stored.value.state not in (*MOVABLE, "absent")
            and self.snapshot.owner(name) == node
        }
        return Drain(node, tuple(sorted(left, key=lambda one: one.vm)), MappingProxyType(staying))

    def _of_claims(self, node: str) -> Iterator[Left]:
        for name, stored in self.snapshot.vms.items():
            claim = self.snapshot.claims.get(name)
            if claim is None or claim.value is None or node not in (claim.value.node, claim.value.to):
                continue
            if stored.value is None:
                yield Left(name, "", f"its record is damaged ({stored.invalid}): nobody knows what it needs", True)
            elif stored.value.state in MOVABLE:
                yield self._left(name, claim.value)
            elif stored.value.state == "absent":
                yield Left(name, "", f"it is being deleted on {claim.value.node}", False)

    def _of_damage(self, node: str) -> Iterator[Left]:
        """VMs that a node has told of, and whose claims nobody can read."""
        report = self.snapshot.report(node)
        for name in report.vms if report is not None else ():
            claim = self.snapshot.claims.get(name)
            if name in self.snapshot.vms and (claim is None or claim.value is None):
                damage = f"damaged ({claim.invalid})" if claim is not None else "missing"
                yield Left(name, "", f"its claim is {damage}: nobody knows who may run it", True)

    def _left(self, name: str, claim: Claim) -> Left:
        down = why_down(self.snapshot, claim.node)
        if down:
            return self._on_dead(name, claim, down)
        if claim.to:
            return Left(name, claim.to, f"it is on its way from {claim.node} to {claim.to}")
        if self.held:
            return Left(name, "", self.held, True)
        wish, against = self.wishes.get(name), self.moves.blocked.get(name, "")
        if wish is not None:
            return Left(name, wish.to, wish.why)
        status = vm_status(self.snapshot, name)
        tried = status is not None and bool(status.refused)  # the leader tries again after a pause
        return Left(name, "", against or f"it is on {claim.node} still", bool(against) and not tried)

    def _on_dead(self, name: str, claim: Claim, down: str) -> Left:
        """A VM whose node is down: it leaves when that is fenced, or not before it is back."""
        status, stored = self.snapshot.report(claim.node), self.snapshot.fences.get(claim.node)
        fence = stored.value if stored is not None else None
        if fence is not None and name in fence.waiting:
            return Left(name, "", fence.waiting[name], True)
        kept = status is not None and status.signed_off is not None and not status.signed_off.recover and fence is None
        stuck = kept or bool(self.held) or (fence is not None and fence.state == "held")
        return Left(name, claim.to, f"{claim.node} {down}", stuck)


def why_held(snapshot: Snapshot) -> str:
    """Why the leader moves nothing at all; empty: it does."""
    if snapshot.settings is not None and snapshot.settings.value is None:
        return "the settings are damaged, and so nothing is moved"
    return "the cluster is in maintenance, and so nothing is moved" if snapshot.policy.maintenance else ""


def exposed(before: Snapshot, after: Snapshot) -> str:
    """Why the loss of one more node would cost VMs once the wished moves are made, and did not before; empty: it would not."""
    settled = _arrived(after)
    ready = [node for node in settled.nodes if not why_closed(settled, node)]
    if len(ready) == 1 and any(stored.value and stored.value.state == "started" for stored in settled.vms.values()):
        return f"{ready[0]} is the only node left that takes VMs: with it, all of them would be lost"
    lack = worse(before, settled)
    return lack.sentence if lack is not None else ""


def _arrived(snapshot: Snapshot) -> Snapshot:
    """The cluster once all that is wished or under way has arrived."""
    claims = dict(snapshot.claims)
    going = {name: stored.value.to for name, stored in claims.items() if stored.value is not None and stored.value.to}
    going |= {wish.vm: wish.to for wish in plan_moves(snapshot).wishes}
    for name, to in going.items():
        claim = claims[name].value
        if claim is not None:
            claims[name] = Stored(replace(claim, node=to, to=""), claims[name].version)
    return replace(snapshot, claims=MappingProxyType(claims))
