# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop of leading: takes events, steps while this agent leads, and hands the effects to threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue

from ..env import Clock, Voice
from ..loop import Submit
from ..turning import Turning
from ..view import Sentence
from .absorb import absorb
from .candidate import Candidate
from .effects import CutStorage, LeadEffect, MarkDown, PowerOff, RestoreStorage
from .events import Blinded, Deposed, Elected, LeadEvent
from .perform import LeadPerformer
from .step import step
from .view import LeadView

#: Events from every thread; None only wakes the loop.
LeadInbox = SimpleQueue[LeadEvent | None]


@dataclass(frozen=True)
class LeadPools:
    """Who carries out what: a Ceph or a fence device that hangs must not keep the other evidence waiting."""

    ceph: Submit
    power: Submit
    store: Submit

    def of(self, effect: LeadEffect) -> Submit:
        if isinstance(effect, (CutStorage, RestoreStorage, MarkDown)):
            return self.ceph
        return self.power if isinstance(effect, PowerOff) else self.store


class LeadLoop(Turning[LeadEvent]):
    """A coordinator's part in leading, once everything outside is at hand.

    Args: as of Turning, and
        wall: the wall clock, for people (ISO 8601, UTC).
        shown: called after each turn.
    """

    def __init__(
        self,
        view: LeadView,
        inbox: LeadInbox,
        clock: Clock,
        candidate: Candidate,
        performer: LeadPerformer,
        pools: LeadPools,
        voice: Voice,
        *,
        wall: Callable[[], str],
        session_timeout: Callable[[], float],
        idle: float,
        shown: Callable[[LeadView], None] = lambda _view: None,
    ) -> None:
        super().__init__("candidate", inbox, clock, candidate, session_timeout=session_timeout, idle=idle)
        self.view = view
        self._performer = performer
        self._pools = pools
        self._voice = voice
        self._wall = wall
        self._shown = shown

    def frozen(self, reason: str) -> LeadEvent:
        return Blinded(reason)

    def turned(self) -> None:
        self._shown(self.view)

    def turn(self, events: list[LeadEvent]) -> float | None:
        now = self._clock.now()
        view = self.view
        for event in events:
            self._tell(event, view)
            view = absorb(now, view, event)
        view = replace(view, wall=self._wall())
        if view.epoch is None or view.snapshot is None:
            self.view = view
            return None
        outcome = step(now, view)
        for sentence in outcome.sentences:
            self._voice.say(sentence)
        self.view = view.after(outcome)
        for effect in outcome.effects:
            self._submit(effect, view.epoch)
        return outcome.wake_at

    def _submit(self, effect: LeadEffect, epoch: int) -> None:
        self._pools.of(effect).submit(lambda: self._inbox.put(self._performer.perform(effect, epoch)))

    def _tell(self, event: LeadEvent, before: LeadView) -> None:
        match event:
            case Elected():
                self._voice.say(Sentence("", "lead", f"this agent leads the cluster, under epoch {event.epoch}"))
            case Deposed() | Blinded() if before.epoch is not None:
                self._voice.say(Sentence("", "lead no more", event.reason))
