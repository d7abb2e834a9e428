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
