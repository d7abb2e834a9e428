# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam to everything outside but the store, which has its own protocol in ``pvc_state.store``.

Calls block and raise EffectFailed; the daemon makes them from worker threads, a simulator makes them at once. What
happens by itself arrives as events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pvc_state.records import Disk, Vm

from .events import Event
from .view import Sentence

Post = Callable[[Event], None]


class EffectFailed(Exception):
    """The outside world refused; the text is one sentence that says what and why, and what would help."""


class Clock(Protocol):
    """The agent's own clock."""

    def now(self) -> float:
        """Seconds since some moment in the past; also counts while the machine sleeps."""


class Hypervisor(Protocol):
    """The domains of this node. When a call returns, the events that tell of its effect have been posted."""

    def start(self, vm: str, record: Vm, epoch: int) -> None:
        """Start a transient domain for the VM, marked with the claim's epoch."""

    def shutdown(self, vm: str, uuid: str) -> None:
        """Ask the guest to power off. A domain that is gone is fine."""

    def destroy(self, vm: str, uuid: str) -> None:
        """End the domain at once. A domain that is gone is fine."""

    def resume(self, vm: str, uuid: str) -> None:
        """Let a paused domain run on."""


class Storage(Protocol):
    """The volumes of VMs."""

    def ensure(self, disks: Sequence[Disk]) -> None:
        """Make the volumes exist: create what is missing if the disk says how large, fail otherwise."""

    def remove(self, disks: Sequence[Disk]) -> None:
        """Remove the volumes. One that is gone is fine."""


class Voice(Protocol):
    """Where the agent says what it does and why."""

    def say(self, sentence: Sentence) -> None:
        """Record a decision."""

    def trouble(self, text: str) -> None:
        """Record what went wrong with the agent itself or its surroundings."""
