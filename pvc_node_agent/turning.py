# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A loop that takes events and turns, and beside it a thread that pumps the source of the events.

The agent has one for its own node, and a coordinator's agent another for the cluster. Neither ever waits for anything
but its queue.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, Protocol, TypeVar

from pvc_state.errors import PvcError

from .env import Clock

E = TypeVar("E")


class Source(Protocol):
    """Where events come from: a tie to the store.

    Attributes:
        work: set when there is work for pump().
    """

    work: threading.Event

    def pump(self) -> float | None:
        """Do all work there is; returns when to come again although nothing happens, None for never."""

    def doubt(self, reason: str) -> None:
        """The session may have ended unnoticed: nothing counts until it has been verified. From any thread."""


class Turning(ABC, Generic[E]):
    """The loop.

    Args:
        name: of the source's thread.
        inbox: where events arrive, from any thread; None only wakes the loop.
        session_timeout: seconds after which the store ends a session that it does not hear of, as it is now. A pause of the
            loop by half of that may have ended the session unnoticed; so it turns often enough to notice one.
        idle: seconds between two turns at most.
    """

    def __init__(
        self,
        name: str,
        inbox: SimpleQueue[E | None],
        clock: Clock,
        source: Source,
        *,
        session_timeout: Callable[[], float],
        idle: float,
    ) -> None:
        self._name = name
        self._inbox = inbox
        self._clock = clock
        self._source = source
        self._session_timeout = session_timeout
        self._idle = idle
        self._stopping = False
        self._fatal: PvcError | None = None

    @abstractmethod
    def turn(self, events: list[E]) -> float | None:
        """Absorb the events, decide, and have the effects carried out; returns when to turn again, None for never."""

    @abstractmethod
    def frozen(self, reason: str) -> E:
        """The event that says that this process stood still."""

    @abstractmethod
    def turned(self) -> None:
        """Called after each turn, and so at least every ``idle`` seconds."""

    def stop(self) -> None:
        """End the loop, from any thread. What is under way goes on in its thread until the process ends."""
        self._stopping = True
        self._inbox.put(None)

    def run(self) -> None:
        """Turn until stop(). Raises what the source has ended with, such as Superseded."""
        threading.Thread(target=self._run_source, name=self._name, daemon=True).start()
        wake_at: float | None = None
        while not self._stopping:
            now, timeout = self._clock.now(), self._session_timeout()
            expected = now + min(self._idle, timeout / 3)
            if wake_at is not None:
                expected = max(now, min(expected, wake_at))
            events = self._wait(expected - now)
            slept_until = self._clock.now()
            if slept_until > expected + timeout / 2:
                reason = f"this agent did not run for {slept_until - expected:.0f} s"
                # after whatever waited meanwhile: that may be older than the pause
                events.append(self.frozen(reason))
                self._source.doubt(reason)
            wake_at = self.turn(events)
            self.turned()
        if self._fatal is not None:
            raise self._fatal

    def _wait(self, timeout: float) -> list[E]:
        events: list[E] = []
        try:
            first = self._inbox.get(timeout=timeout)
            while True:
                if first is not None:
                    events.append(first)
                first = self._inbox.get_nowait()
        except Empty:
            return events

    def _run_source(self) -> None:
        source = self._source
        while True:
            source.work.clear()
            try:
                again = source.pump()
            except PvcError as err:
                self._fatal = err
                self.stop()
                return
            source.work.wait(None if again is None else max(0.0, again - self._clock.now()))
