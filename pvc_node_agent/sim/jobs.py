# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What threads would do some time."""

from __future__ import annotations

from collections.abc import Callable

from ..env import Clock


class Later:
    """Jobs that wait until they are run by hand.

    Attributes:
        delay: seconds that each takes before it has its effect.
    """

    def __init__(self, clock: Clock, delay: float = 0.0) -> None:
        self.delay = delay
        self._clock = clock
        self._jobs: list[tuple[float, Callable[[], None]]] = []

    def submit(self, job: Callable[[], None]) -> None:
        self._jobs.append((self._clock.now() + self.delay, job))

    def take(self) -> list[Callable[[], None]]:
        """The jobs whose time has come."""
        if not self._jobs:
            return []
        now = self._clock.now()
        due = [job for time, job in self._jobs if time <= now]
        self._jobs = [(time, job) for time, job in self._jobs if time > now]
        return due

    def next_at(self) -> float | None:
        """When the next job's time comes; None for those whose time has come already."""
        now = self._clock.now()
        return min((time for time, _job in self._jobs if time > now), default=None)
