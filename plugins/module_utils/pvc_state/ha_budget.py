# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long it takes at worst until a VM of a dead node runs elsewhere, and what follows from a wish for it. Pure.

    budget = session_timeout + 1.5 ticks   the servers end the session
             + fence                       the quickest kind of evidence that the settings accept is there
             + recover                     the leader places the VMs and commits their claims
             + start                       the first QEMU of each node runs

from the power cut of a node that led nothing: neither ZooKeeper, nor Ceph's monitors, nor the agents. All times in seconds.

The servers look at sessions once a tick, and hear of a client of a follower half a tick late: so 1.5 ticks come on top.
The other parts are ceilings of what was measured, see docs/safety.md; only the session's time can be chosen.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .records import Settings

#: What role zookeeper deploys: tickTime and maxSessionTimeout. The servers grant no session beyond the latter.
TICK = 0.5
LONGEST_SESSION = 8.0
#: The servers grant sessions from 2 ticks. A client notices after two thirds of it that its own server is dead, and has the
#: last third to find another one: four times the least leaves it more than a second.
MARGIN = 4.0
SHORTEST_SESSION = 2 * TICK * MARGIN

#: From the end of the session until a kind of evidence is there: Ceph's monitors have a quorum, the device answers.
FENCE: Mapping[str, float] = MappingProxyType({"storage_cut": 1.5, "powered_off": 6.0})
RECOVER = 0.3
START = 1.45


@dataclass(frozen=True)
class Budget:
    """The worst case in its parts."""

    detect: float
    fence: float
    recover: float = RECOVER
    start: float = START

    @property
    def total(self) -> float:
        return round(self.detect + self.fence + self.recover + self.start, 3)


def of(settings: Settings) -> Budget:
    """What these settings amount to."""
    return Budget(detect=settings.session_timeout + 1.5 * TICK, fence=_fence(settings.evidence))


def session_timeout(budget: float, evidence: Collection[str]) -> float:
    """The session's time that keeps a budget; it may be none that is safe."""
    return round(budget - Budget(detect=1.5 * TICK, fence=_fence(evidence)).total, 3)


def least(evidence: Collection[str]) -> float:
    """The smallest budget that is safe."""
    return Budget(SHORTEST_SESSION + 1.5 * TICK, _fence(evidence)).total


def most(evidence: Collection[str]) -> float:
    """The largest budget that makes a difference."""
    return Budget(LONGEST_SESSION + 1.5 * TICK, _fence(evidence)).total


def why_unsafe(session: float) -> str:
    """Why a session's time is not safe, as a sentence; empty: it is."""
    if session < SHORTEST_SESSION:
        return (
            f"sessions of {session:g} s are too short: a node whose ZooKeeper server dies would be taken for dead before "
            "it has found another one"
        )
    if session > LONGEST_SESSION:
        return f"sessions of {session:g} s are too long: the ZooKeeper servers grant {LONGEST_SESSION:g} s at most"
    return ""


def _fence(evidence: Collection[str]) -> float:
    return min((FENCE[kind] for kind in evidence if kind in FENCE), default=max(FENCE.values()))
