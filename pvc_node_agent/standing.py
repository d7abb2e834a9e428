# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the node as a whole may do to its VMs: its fence, its storage, and whether it is shutting down. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pvc_state.records import Fence

from .view import Leaving, Seen, Settings, View


@dataclass(frozen=True)
class Standing:
    """The node's standing. Every field is empty in normal life.

    Attributes:
        sweep: why every domain on this node ends, whoever holds its claim and whatever its user wants.
        gently: whether the guests are asked first, and until when they are given time.
        halt: why nothing is started here.
        fixed: why nothing is resumed or moved either.
        unasked: whether domains end also out of the store's sight.
        frozen: whether the VMs wait for this node to come back.
    """

    sweep: str = ""
    gently: float | None = None
    halt: str = ""
    fixed: str = ""
    unasked: bool = False
    frozen: bool = False


_NORMAL = Standing()


def standing(view: View) -> Standing:
    """What the node may do. The order matters: the strictest comes first."""
    if view.storage.cut:
        why = f"the storage of this node is cut: {view.storage.cut}"
        return Standing(sweep=why, halt=why, fixed=why, unasked=True)
    fence = fenced(view)
    if fence is not None:
        why = f"this node has a fence ({fence.id}, {fence.state}): {fence.why}"
        return Standing(sweep=why, halt=why, fixed=why)
    if view.fence is not None and view.fence.value is None:
        why = f"the fence of this node is damaged ({view.fence.invalid})"
        return Standing(halt=why, fixed=why)
    leaving = view.leaving
    if leaving is not None:
        why = "this node reboots" if leaving.reboot else "this node shuts down"
        if leaving.stopping_since is None:
            return Standing(halt=why)
        until = leaving.stopping_since + view.settings.stop_within
        return Standing(sweep=why, gently=until, halt=why, fixed=why, unasked=True, frozen=not recovers(leaving))
    return _NORMAL


def fenced(view: View) -> Fence | None:
    """The node's fence, if it is one that takes its VMs away: not one that is merely held."""
    fence = view.fence.value if view.fence is not None else None
    return fence if fence is not None and fence.state != "held" else None


def recovers(leaving: Leaving) -> bool:
    """Whether the VMs that are stopped here are to run elsewhere, instead of waiting for this node."""
    if leaving.policy == "freeze":
        return False
    return leaving.policy == "failover" or not leaving.reboot


def onward(now: float, view: View) -> Leaving | None:
    """How far the machine's shutdown has come: whether the time to move VMs away is over."""
    leaving = view.leaving
    if leaving is None or leaving.stopping_since is not None:
        return leaving
    on_their_way = any(_on_its_way(vm, seen, view) for vm, seen in view.seen.items())
    if on_their_way:
        leaving = replace(leaving, moving_at=now)
    gone = not view.domains and not view.busy and not on_their_way
    if leaving.policy != "migrate" or gone or now >= moves_until(leaving, view.settings):
        return replace(leaving, stopping_since=now)
    return leaving


def moves_until(leaving: Leaving, settings: Settings) -> float:
    """When the time to move VMs away is over, should nothing happen meanwhile."""
    return min(leaving.since + settings.move_within, leaving.moving_at + settings.quiet_within)


def _on_its_way(vm: str, seen: Seen, view: View) -> bool:
    """Whether a VM of this node is to be moved away, and that has not been given up."""
    claim = seen.claim
    if claim is None or claim.value is None or claim.value.node != view.node or not claim.value.to:
        return False
    memory = view.memory.get(vm)
    return memory is None or memory.refused != claim.version


def clean(view: View) -> str:
    """Id of the node's fence once nothing runs here any more; empty before, and without a fence.

    libvirt must answer, and nothing may be under way: what is being started now may run a moment later.
    """
    fence = fenced(view)
    empty = view.hypervisor.up and not view.domains and not view.busy
    return fence.id if fence is not None and empty else ""
