# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the guests of this node use: read from time to time, and told in steps so coarse that an idle node tells nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .env import Clock, NotAnswering, Post
from .events import LoadsSeen

#: Seconds between two looks: what a guest uses is the mean of as long.
INTERVAL = 60.0
#: Steps of processors, and of MiB. What is told changes only when it is off by a step, and by a good share.
STEP, MEMORY_STEP = 0.25, 64
_SHARE = 0.2


@dataclass(frozen=True)
class Used:
    """What a domain has used of processors since it began, in seconds, and the MiB that it uses now."""

    seconds: float
    memory: int


class Meter:
    """Makes loads of what domains have used so far."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, Used]] = {}
        self._told: dict[str, tuple[float, int]] = {}

    def measure(self, now: float, used: Mapping[str, Used]) -> Mapping[str, tuple[float, int]]:
        """The loads by VM, of those that were there the last time, too. Nothing is told of others."""
        told: dict[str, tuple[float, int]] = {}
        for vm, one in used.items():
            then, before = self._last.get(vm, (now, one))
            if now <= then or one.seconds < before.seconds:  # it has just begun, or begun anew
                continue
            load = (one.seconds - before.seconds) / (now - then)
            old = self._told.get(vm)
            told[vm] = (
                _stepped(load, STEP, old[0] if old else None),
                round(_stepped(one.memory, MEMORY_STEP, old[1] if old else None)),
            )
        self._last = {vm: (now, one) for vm, one in used.items()}
        self._told = told
        return told


class LoadWatch:
    """Looks, and posts what has changed.

    Args:
        read: what the domains have used so far, by VM; raises NotAnswering.
    """

    def __init__(self, read: Callable[[], Mapping[str, Used]], clock: Clock, post: Post) -> None:
        self._read = read
        self._clock = clock
        self._post = post
        self._meter = Meter()
        self._told: Mapping[str, tuple[float, int]] = {}

    def watch(self, stopped: threading.Event) -> None:
        """Until told to stop."""
        while not stopped.is_set():
            self.look()
            stopped.wait(INTERVAL)

    def look(self) -> None:
        """Look once."""
        try:
            used = self._read()
        except NotAnswering:
            return  # whoever starts and stops domains says so
        loads = self._meter.measure(self._clock.now(), used)
        if loads != self._told:
            self._told = loads
            self._post(LoadsSeen(loads))


def _stepped(value: float, step: float, old: float | None) -> float:
    """The value in whole steps; the old one while it is near enough."""
    if old is not None and abs(value - old) < max(step, _SHARE * old):
        return old
    return round(value / step) * step
