# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this leader has written, until a tree shows it. Pure.

The mirror reads beside the leader's writes, so that a tree may come in that was read before the last of them. Believed, it
would have the same decided, asked for and told once more; the store would refuse it, since versions have moved on. So each
record that was written stands over every tree that holds an older one of it, for a few seconds at most: should the store
say something else for longer than that, it is right.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pvc_state.codec import Stored
from pvc_state.records import Claim, Fence
from pvc_state.snapshot import Snapshot

from .effects import BeginFence, ChangeClaim, EndFence, Recover, StoreEffect, UpdateFence

T = TypeVar("T")

#: Seconds for which a record that was written stands over a tree that does not show it.
STANDS = 5.0


@dataclass(frozen=True)
class WrittenClaim:
    """A claim as it was written, and until when it stands."""

    vm: str
    claim: Stored[Claim]
    until: float

    def shown(self, snapshot: Snapshot) -> bool:
        """Whether the tree is as new as this; a VM whose claim is gone has been removed since."""
        seen = snapshot.claims.get(self.vm)
        return seen is None or seen.version >= self.claim.version

    def over(self, snapshot: Snapshot) -> Snapshot:
        return dataclasses.replace(snapshot, claims={**snapshot.claims, self.vm: self.claim})


@dataclass(frozen=True)
class WrittenFence:
    """A fence as it was written, and until when it stands. ended: it was removed."""

    node: str
    fence: Stored[Fence]
    until: float
    ended: bool = False

    def shown(self, snapshot: Snapshot) -> bool:
        """Whether the tree is as new as this: nobody else writes fences, so that another one is an older one."""
        seen = snapshot.fences.get(self.node)
        same = seen is not None and seen.value is not None and _id(seen) == _id(self.fence)
        if self.ended:
            return not same
        return same and seen is not None and seen.version >= self.fence.version

    def over(self, snapshot: Snapshot) -> Snapshot:
        others = {node: fence for node, fence in snapshot.fences.items() if node != self.node}
        return dataclasses.replace(snapshot, fences=others if self.ended else {**others, self.node: self.fence})


#: By what it is a record of: one per claim and per fence, the newest.
Writes = Mapping[str, WrittenClaim | WrittenFence]


def made(now: float, effect: StoreEffect) -> Writes:
    """The writes of an effect that was carried out just now."""
    return dict(_of(effect, now + STANDS))


def standing(writes: Writes, now: float, tree: Snapshot) -> Writes:
    """Those of the writes that a tree does not show yet."""
    return {name: write for name, write in writes.items() if write.until > now and not write.shown(tree)}


def over(writes: Writes, snapshot: Snapshot) -> Snapshot:
    """The snapshot with these writes."""
    for write in writes.values():
        snapshot = write.over(snapshot)
    return snapshot


def _of(effect: StoreEffect, until: float) -> Iterator[tuple[str, WrittenClaim | WrittenFence]]:
    node = effect.subject.partition(" ")[2]
    match effect:
        case BeginFence():
            yield f"fence {node}", WrittenFence(node, Stored(effect.fence, 0), until)
        case UpdateFence():
            yield f"fence {node}", WrittenFence(node, Stored(effect.fence, effect.version + 1), until)
        case EndFence():
            yield f"fence {node}", WrittenFence(node, Stored(effect.past.fence, effect.version), until, ended=True)
        case Recover():
            # it may have taken more than one transaction: then the tree is newer, and stands over this
            yield f"fence {node}", WrittenFence(node, Stored(effect.fence, effect.version + 1), until)
            for one in effect.claims:
                yield f"claim {one.vm}", WrittenClaim(one.vm, Stored(one.after, one.version + 1), until)
        case ChangeClaim():
            yield f"claim {effect.vm}", WrittenClaim(effect.vm, Stored(effect.claim, effect.version + 1), until)


def _id(stored: Stored[Fence]) -> str:
    return stored.value.id if stored.value is not None else ""
