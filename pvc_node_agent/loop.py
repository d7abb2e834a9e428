# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's own loop: takes events, steps, and hands the effects to threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol

from pvc_state.vm_records import STUCK

from .absorb import absorb
from .effects import (
    ArrangeSnapshots,
    AskUnasked,
    CancelMove,
    ChangeDomain,
    DeleteVolumes,
    Depart,
    DestroyDomain,
    DestroyStray,
    DestroyUnasked,
    Effect,
    EnsureVolumes,
    GrowDisks,
    HandOver,
    MigrateDomain,
    Publication,
    ReleaseDomain,
    RemoveRecords,
    ResetDomain,
    ResumeDomain,
    RollBack,
    ShutdownDomain,
    StartDomain,
    VmEffect,
    WriteHealth,
    WriteStatus,
)
from .env import Clock, Voice
from .events import Blinded, Done, Event, Failure, Overdue
from .feed import Feed
from .perform import Performer
from .step import step
from .turning import Turning
from .view import View

#: Seconds after which an effect counts as overdue. It is not given up: a call into libvirt cannot be taken back, and
#: nothing else is done to its VM until it has returned. But its VM's status says what it waits for.
DEADLINES: dict[type, tuple[float, str]] = {
    StartDomain: (60.0, "libvirt has not started it within 60 s"),
    ShutdownDomain: (30.0, "libvirt has not passed the request to power off on within 30 s"),
    DestroyDomain: (30.0, "libvirt has not destroyed it within 30 s"),
    DestroyStray: (30.0, "libvirt has not destroyed it within 30 s"),
    DestroyUnasked: (30.0, "libvirt has not destroyed it within 30 s"),
    AskUnasked: (30.0, "libvirt has not passed the request to power off on within 30 s"),
    MigrateDomain: (660.0, f"{STUCK} within 11 minutes"),
    ResumeDomain: (30.0, "libvirt has not resumed it within 30 s"),
    ChangeDomain: (120.0, "libvirt has not changed its hardware within 2 minutes"),
    ResetDomain: (30.0, "libvirt has not reset it within 30 s"),
    ReleaseDomain: (30.0, "libvirt has not let its guest go within 30 s"),
    GrowDisks: (60.0, "libvirt has not made its disks larger within 60 s"),
    ArrangeSnapshots: (120.0, "Ceph has not brought its snapshots into order within 120 s"),
    RollBack: (600.0, "Ceph has not taken its disks back within 10 minutes"),
    EnsureVolumes: (60.0, "Ceph has not made its volumes ready within 60 s"),
    DeleteVolumes: (600.0, "Ceph has not removed its volumes within 10 minutes"),
    HandOver: (30.0, "the store has not taken the new claim within 30 s"),
    RemoveRecords: (30.0, "the store has not removed its records within 30 s"),
}


#: Events from every thread; None only wakes the loop.
Inbox = SimpleQueue[Event | None]


class Submit(Protocol):
    """Somewhere to carry out a blocking job."""

    def submit(self, job: Callable[[], None]) -> None:
        """Do the job when a thread is free."""


@dataclass(frozen=True)
class Pools:
    """Who carries out what: a store, a libvirt or a Ceph that hangs must not keep the others waiting.

    Attributes:
        moves: for what takes minutes, with a thread for each job. urgent: for what must not wait for anything. Both may
            be shared with hypervisor.
    """

    hypervisor: Submit
    storage: Submit
    store: Submit
    moves: Submit | None = None
    urgent: Submit | None = None

    def of(self, effect: Effect) -> Submit:
        if isinstance(effect, (AskUnasked, DestroyUnasked)):
            return self.urgent or self.hypervisor
        if isinstance(effect, (MigrateDomain, CancelMove)):
            return self.moves or self.hypervisor
        if isinstance(effect, (EnsureVolumes, DeleteVolumes, ArrangeSnapshots, RollBack)):
            return self.storage
        if isinstance(effect, (Publication, HandOver, RemoveRecords)):
            return self.store
        return self.hypervisor


class Loop(Turning[Event]):
    """The agent, once everything outside is at hand. run() raises Superseded when another agent has taken the node over.

    Args: as of Turning, and
        sign_of_life: called at least every ``idle`` seconds while the loop turns.
        before_departure: called before the node is signed off, from the thread that does it.
    """

    def __init__(
        self,
        view: View,
        inbox: Inbox,
        clock: Clock,
        feed: Feed,
        performer: Performer,
        pools: Pools,
        voice: Voice,
        *,
        session_timeout: Callable[[], float],
        idle: float,
        sign_of_life: Callable[[View], None],
        before_departure: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__("feed", inbox, clock, feed, session_timeout=session_timeout, idle=idle)
        self.view = view
        self._feed = feed
        self._performer = performer
        self._pools = pools
        self._voice = voice
        self._sign_of_life = sign_of_life
        self._before_departure = before_departure
        self._due: dict[str, tuple[float, VmEffect]] = {}

    def frozen(self, reason: str) -> Event:
        return Blinded(reason)

    def turned(self) -> None:
        self._sign_of_life(self.view)

    def turn(self, events: list[Event]) -> float | None:
        now = self._clock.now()
        view = self.view
        for event in [*events, *self._overdue(now)]:
            view = absorb(now, view, event)
            if isinstance(event, Done):
                self._note_done(event)
        outcome = step(now, view)
        for sentence in outcome.sentences:
            self._voice.say(sentence)
        self.view = view.after(outcome)
        self._feed.follow(self.view.domains)
        for effect in outcome.effects:
            if not isinstance(effect, Publication | CancelMove):
                self._due[effect.vm] = (now + DEADLINES[type(effect)][0], effect)
            self._pools.of(effect).submit(lambda effect=effect: self._inbox.put(self._perform(effect)))  # type: ignore[misc]
        times = [due for due, _what in self._due.values()]
        if outcome.wake_at is not None:
            times.append(outcome.wake_at)
        if self.view.leaving is not None and self.view.leaving.over:
            self.stop()
        return min(times, default=None)

    def _perform(self, effect: Effect) -> Done:
        if not isinstance(effect, Depart):
            return self._performer.perform(effect)
        self._before_departure()
        # the feed would take the end of its ephemeral for somebody else's doing, and join again
        self._feed.rest(True)
        done = self._performer.perform(effect)
        if done.failure is not None:
            self._feed.rest(False)
        return done

    def _overdue(self, now: float) -> list[Event]:
        late = [effect for due, effect in self._due.values() if due <= now]
        for effect in late:
            del self._due[effect.vm]
        return [Overdue(effect, DEADLINES[type(effect)][1]) for effect in late]

    def _note_done(self, done: Done) -> None:
        effect = done.effect
        if not isinstance(effect, Publication) and self._due.get(effect.vm, (0.0, effect))[1] is effect:
            self._due.pop(effect.vm, None)
        if done.failure is Failure.BLIND:
            self._feed.doubt(done.reason)
        elif isinstance(effect, (WriteStatus, Depart)):
            if done.failure is not None:
                self._feed.doubt(f"the status of this node was not written: {done.reason}")
        elif isinstance(effect, WriteHealth):
            return  # the step asks for it again
        elif done.failure is Failure.REFUSED or isinstance(effect, (HandOver, RemoveRecords)):
            self._feed.reread(effect.vm)
