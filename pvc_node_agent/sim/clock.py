# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time that passes when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Seconds since the begin of the simulation."""

    def __init__(self, time: float = 0.0) -> None:
        self.time = time

    def now(self) -> float:
        return self.time

    def wall(self) -> str:
        """The same for people, where a daemon would name the time of day."""
        return f"at {self.time:g}"


class MachineClock:
    """What one machine takes for the time: it began elsewhere, and may jump forward.

    Attributes:
        ahead: seconds that it is ahead of the simulation.
    """

    def __init__(self, world: VirtualClock, ahead: float = 0.0) -> None:
        self.world = world
        self.ahead = ahead

    def now(self) -> float:
        return self.world.time + self.ahead

    def wall(self) -> str:
        return self.world.wall()

    def when(self, time: float | None) -> float | None:
        """A time of this clock as one of the simulation."""
        return None if time is None else time - self.ahead
