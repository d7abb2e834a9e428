# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A loop of the agent and the source of its events, turned by hand instead of by threads."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

from ..env import Clock
from ..turning import Source, Turning

E = TypeVar("E")


class Turned(Generic[E]):
    """One loop, its inbox and its source.

    Attributes:
        turns: how often the loop has turned.
    """

    def __init__(self, loop: Turning[E], inbox: SimpleQueue[E | None], source: Source, clock: Clock) -> None:
        self.turns = 0
        self._loop = loop
        self._inbox = inbox
        self._source = source
        self._clock = clock
        self._pump_at: float | None = 0.0
        self._wake_at: float | None = None

    def turn(self) -> bool:
        """Pump the source, and turn the loop if it has something to do; returns whether there was anything."""
        now = self._clock.now()
        if self._idle(now):
            return False
        pumped = self._source.work.is_set() or (self._pump_at is not None and now >= self._pump_at)
        if pumped:
            self._source.work.clear()
            self._pump_at = self._source.pump()
        events: list[E] = []
        try:
            while True:
                event = self._inbox.get_nowait()
                if event is not None:
                    events.append(event)
        except Empty:
            pass
        due = self._wake_at is not None and now >= self._wake_at
        if events or due:
            self.turns += 1
            self._wake_at = self._loop.turn(events)
        return bool(events or due or self._source.work.is_set())

    def _idle(self, now: float) -> bool:
        return (
            self._inbox.empty()
            and (self._wake_at is None or now < self._wake_at)
            and (self._pump_at is None or now < self._pump_at)
            and not self._source.work.is_set()
        )

    def next_at(self) -> float | None:
        """When it has something to do although nothing happens."""
        return min((time for time in (self._pump_at, self._wake_at) if time is not None), default=None)
