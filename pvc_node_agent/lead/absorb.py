# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fold one event into the leader's view. Pure: no decision is made here, only what is known changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from .effects import BeginFence, ChangeClaim, key, power_key
from .events import (
    AliveSeen,
    Blinded,
    Deposed,
    DeviceResult,
    Elected,
    LeadEvent,
    MarkedDown,
    PowerRead,
    StorageCut,
    StorageRestored,
    TreeSeen,
    Written,
)
from .view import Attempt, Evenness, LeadView, Presence
from .written import made, over, standing

T = TypeVar("T")

#: Seconds before what failed is tried again: the first time, and at most. Twice as long after each failure.
_PAUSES = {
    "write": (0.1, 5.0),
    "cut": (0.5, 10.0),
    "power": (1.0, 30.0),
    "restore": (1.0, 30.0),
    "mark": (1.0, 30.0),
    "move": (5.0, 120.0),
}


#: Seconds after which a storage cut that holds is looked at again.
_CHECK = 15.0
#: Seconds in which a node whose session lives is fenced once at most: a suspicion that comes back needs a person.
_DOUBT = 300.0


def absorb(now: float, view: LeadView, event: LeadEvent) -> LeadView:
    """The view after the event."""
    match event:
        case AliveSeen():
            return replace(view, presence=_present(now, view.presence, event.nodes))
        case Blinded():
            presence = replace(view.presence, sighted_at=None, sighted=frozenset())
            return replace(view, presence=presence, epoch=None, snapshot=None, written={})
        case Elected():
            # what was tried under another leader's eyes may work now
            doubts = {name: attempt for name, attempt in view.attempts.items() if name.startswith("doubt ")}
            fresh = replace(view, epoch=event.epoch, elected_at=now, attempts=doubts)
            return replace(fresh, said={}, written={}, evenness=Evenness())
        case Deposed():
            return replace(view, epoch=None, snapshot=None, written={})
        case TreeSeen():
            written = standing(view.written, now, event.snapshot)
            return replace(view, written=written, snapshot=over(written, event.snapshot))
        case Written():
            return _written(now, view, event)
    return _answered(now, view, event)


def pause(kind: str, failures: int) -> float:
    """Seconds to wait after so many failures in a row of one kind of effect, the first word of its key."""
    first, most = _PAUSES[kind]
    return min(most, first * 2.0 ** min(failures - 1, 16))


def _present(now: float, before: Presence, alive: frozenset[str]) -> Presence:
    known = before.known | alive
    return Presence(
        alive=alive,
        sighted=before.sighted | alive,
        known=known,
        missing_since={node: before.missing_since.get(node, now) for node in known - alive},
        sighted_at=now if before.sighted_at is None else before.sighted_at,
        began_at=now if before.began_at is None else before.began_at,
    )


def _written(now: float, view: LeadView, event: Written) -> LeadView:
    effect = event.effect
    view = replace(view, busy=_without(view.busy, key(effect)))
    if event.refused:
        return _failed(now, view, key(effect), event.refused)
    view = replace(view, attempts=_without(view.attempts, key(effect)))
    if isinstance(effect, BeginFence) and effect.alive is not None:
        doubt = Attempt(1, now + _DOUBT, effect.fence.why)
        view = replace(view, attempts={**view.attempts, f"doubt {effect.subject.partition(' ')[2]}": doubt})
    if isinstance(effect, ChangeClaim) and effect.old_to and not effect.claim.to:
        # given up: whoever wishes the same move must wait a little
        view = _failed(now, view, f"move {effect.vm}", "its owner could not move it")
    if view.snapshot is None:
        return view
    # the mirror tells of it a moment later
    mine = made(now, effect)
    return replace(view, written={**view.written, **mine}, snapshot=over(mine, view.snapshot))


def _answered(now: float, view: LeadView, event: DeviceResult) -> LeadView:
    name, why = _outcome(event)
    view = replace(view, busy=_without(view.busy, name), results={**view.results, name: event})
    if isinstance(event, StorageCut):
        again = Attempt(0, now + _CHECK, "it was looked at a moment ago")
        view = replace(view, attempts={**view.attempts, f"check {event.node}": again})
    if why:
        return _failed(now, view, name, why)
    return replace(view, attempts=_without(view.attempts, name))


def _outcome(event: DeviceResult) -> tuple[str, str]:
    """The key of the effect that has ended, and why it failed."""
    match event:
        case StorageCut():
            return f"cut {event.node}", event.error
        case StorageRestored():
            return f"restore {event.node}", event.error
        case PowerRead():
            return power_key(event.node, event.device), "" if event.off else event.why
        case MarkedDown():
            return f"mark down {event.node}", ""


def _failed(now: float, view: LeadView, name: str, why: str) -> LeadView:
    before = view.attempts.get(name)
    failures = 1 if before is None else before.failures + 1
    attempt = Attempt(failures, now + pause(name.partition(" ")[0], failures), why)
    return replace(view, attempts={**view.attempts, name: attempt})


def _without(mapping: Mapping[str, T], name: str) -> Mapping[str, T]:
    return {other: value for other, value in mapping.items() if other != name}
