# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that has a fence, as the steps about it see it, and what they write. Pure."""

from __future__ import annotations

from dataclasses import replace

from pvc_state import paths
from pvc_state.records import Evidence, Fence, Node, Past

from .effects import EndFence, UpdateFence
from .evidence import gathered
from .work import Work


def new_id(work: Work, node: str) -> str:
    """Unique: one leader has one clock, and no other has its epoch."""
    return f"{node}-{work.view.epoch}-{round(work.now * 1000)}"


def collecting(work: Work, node: str, begun: Fence) -> Fence:
    """The fence with all evidence still to come."""
    blank = replace(begun, state="collecting", evidence=(), proven_by="", proven_at="", epoch=0)
    return noted(blank, gathered(work.view, work.snapshot, node, blank, work.policy))


def noted(fence: Fence, evidence: tuple[Evidence, ...]) -> Fence:
    """The fence with this evidence. What is to be undone later is written before it is done."""
    cuts = [one for one in evidence if one.kind == "storage_cut"]
    epoch = max((one.epoch for one in cuts if one.state == "proven"), default=0)
    ordered = any(one.state == "collecting" for one in cuts)
    return replace(fence, evidence=evidence, cut=fence.cut or ordered, epoch=max(epoch, fence.epoch))


class Fenced:
    """One node that has a fence.

    Attributes:
        version: of the fence. record: of the node; None for one that was removed, or is damaged.
        alive, status: what the node's agent says, None for nothing.
    """

    def __init__(self, work: Work, node: str, fence: Fence, version: int) -> None:
        self.work = work
        self.node = node
        self.fence = fence
        self.version = version
        self.subject = f"node {node}"
        stored = work.snapshot.nodes.get(node)
        self.record = stored.value if stored is not None else None
        self.alive = work.snapshot.alive.get(node)
        self.status = work.snapshot.status.get(node)

    def gathered(self) -> tuple[Evidence, ...]:
        return gathered(self.work.view, self.work.snapshot, self.node, self.fence, self.work.policy)

    def declaration(self) -> tuple[tuple[str, int], ...]:
        declared = self.work.snapshot.declared.get(self.node)
        return ((paths.declared(self.node), declared.version),) if declared is not None else ()

    def clean(self) -> bool:
        return self.status is not None and self.status.value is not None and self.status.value.clean == self.fence.id

    def presence(self) -> tuple[tuple[str, int], ...]:
        """What a node's word rests on: that its agent lives, and has said so."""
        words = ((paths.alive(self.node), self.alive), (paths.status(self.node), self.status))
        return tuple((path, stored.version) for path, stored in words if stored is not None)

    def write(self, fence: Fence, rests_on: tuple[tuple[str, int], ...] = (), *, absent: bool = False) -> bool:
        return self.work.ask(UpdateFence(self.subject, rests_on, fence, self.version, absent))

    def end(self, how: str, rests_on: tuple[tuple[str, int], ...] = ()) -> None:
        declared = self.work.snapshot.declared.get(self.node)
        past = Past(self.node, self.fence, self.work.view.wall, how)
        effect = EndFence(
            self.subject,
            rests_on or self.presence(),
            self.version,
            past,
            declared.version if declared is not None else None,
            self._drained(),
        )
        if self.work.ask(effect):
            self.work.say(self.subject, f"the fence of {self.node} ends", how)

    def _drained(self) -> tuple[Node, int] | None:
        stored = self.work.snapshot.nodes.get(self.node)
        if self.work.policy.rejoin != "drained" or not self.fence.proven_by or self.fence.proven_by == "signed_off":
            return None
        if stored is None or stored.value is None or stored.value.state != "ready":
            return None
        return replace(stored.value, state="drained", generation=stored.value.generation + 1), stored.version
