# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of nodes that die and come back: from the fences that stand, and from those that are over. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .fence_report import proven
from .happening import Cursor, Event, Scene
from .plan_recovery import REHOMED, given_up
from .records import Fence, Past

#: Marks of what was told of a fence; of a VM that waits, ``waiting`` and its name.
DEAD, HELD, FENCED, RECOVERED = "node_dead", "held", "fenced", "recovered"
_WAITING = "waiting "


@dataclass(frozen=True)
class _Case:
    """A fence, standing or over.

    Attributes:
        begun, changed: transactions that wrote it first and last.
        past: how it ended, None while it stands. ended: the transaction of that.
        recovered: whether nothing of the node is left to recover.
    """

    node: str
    fence: Fence
    begun: int
    changed: int
    past: Past | None
    ended: int
    recovered: bool


def of_fences(before: Cursor, scene: Scene) -> tuple[list[Event], Mapping[str, tuple[str, ...]]]:
    """What is new, in order for each fence, and the marks of those that stand."""
    events: list[Event] = []
    marks: dict[str, tuple[str, ...]] = {}
    for case in _cases(before, scene):
        told = before.fences.get(case.fence.id, ())
        found = dict(_of_fence(case))
        events += [event for mark, event in found.items() if mark not in told]
        if case.past is None:
            marks[case.fence.id] = (*told, *(mark for mark in found if mark not in told))
    if any(stored.value is None for stored in scene.snapshot.fences.values()):
        # of a damaged record nobody knows which fence it is of
        marks = {**before.fences, **marks}
    return events, marks


def _cases(before: Cursor, scene: Scene) -> Iterator[_Case]:
    for stored in scene.past.values():
        past = stored.value
        # all of a fence whose end was told was told before
        if past is not None and stored.mzxid > before.zxid:
            begun, changed = past.created or stored.mzxid, past.changed or stored.mzxid
            yield _Case(past.node, past.fence, begun, changed, past, stored.mzxid, bool(past.fence.proven_by))
    for node, standing in sorted(scene.snapshot.fences.items()):
        fence = standing.value
        if fence is not None:
            done = fence.state in ("proven", "lifting") and not fence.waiting and not _left(scene, node)
            yield _Case(node, fence, scene.begun.get(node, standing.mzxid), standing.mzxid, None, 0, done)


def _left(scene: Scene, node: str) -> bool:
    """Whether a VM that is to get another node still belongs to this one."""
    snapshot = scene.snapshot
    for name, stored in snapshot.claims.items():
        vm = snapshot.vms[name].value if name in snapshot.vms else None
        here = stored.value is not None and stored.value.node == node
        if here and vm is not None and vm.state in REHOMED and not given_up(snapshot, name):
            return True
    return False


def _of_fence(case: _Case) -> Iterator[tuple[str, Event]]:
    """All that has happened so far, each with its mark."""
    node, fence, past = case.node, case.fence, case.past
    what = {"fence": fence.id, "why": fence.why}

    def event(kind: str, zxid: int, at: str, text: str, **details: Any) -> Event:
        return Event(f"{kind}:{fence.id}", kind, zxid, "node", node, node, at, text, {**what, **details})

    gone = f"{node} is gone: {fence.why.rstrip('.')}."
    yield DEAD, event("node_dead", case.begun, fence.since, gone, state=fence.state)
    if fence.state == "held" and past is None:
        text = f"{node} is gone, and nothing is done about it: {fence.why.rstrip('.')}."
        yield HELD, event("waiting", case.changed, fence.since, text)
    proof = {"proven_by": fence.proven_by, "osdmap_epoch": fence.epoch or None}
    if fence.proven_by:
        yield FENCED, event("fenced", case.changed, fence.proven_at, proven(node, fence), **proof)
    for vm, why in sorted(fence.waiting.items()):
        text = f"{vm} waits for a node since {node} is gone: {why.rstrip('.')}."
        waits = {"fence": fence.id, "why": why}
        yield (
            f"{_WAITING}{vm}",
            Event(f"waiting:{fence.id}:{vm}", "waiting", case.changed, "vm", vm, node, "", text, waits),
        )
    if case.recovered:
        if fence.waiting:
            text = f"{node} is back with the VMs that no other node could take: {', '.join(sorted(fence.waiting))}."
        elif fence.moves:
            text = f"All VMs of {node} belong to other nodes now: {', '.join(sorted(fence.moves))}."
        else:
            text = f"{node} had no VMs to recover."
        zxid = case.ended if fence.waiting else case.changed
        yield RECOVERED, event("recovered", zxid, "", text, **proof, moves=dict(fence.moves))
    if past is not None:
        text = f"The fence of {node} is over: {past.how.rstrip('.') or 'for no reason that was noted'}."
        yield "node_back", event("node_back", case.ended, past.ended, text, how=past.how, **proof)
