# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step of the leader sees, and what it returns. Times are seconds of the agent's own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pvc_state.snapshot import Snapshot

from ..view import Sentence
from .effects import LeadEffect, key
from .events import DeviceResult
from .written import Writes


@dataclass(frozen=True)
class Presence:
    """What this agent knows of the sessions of all nodes; kept by every candidate, so that it is at hand when it leads.

    A ZooKeeper that has lost its quorum lets no session end, and gives each its whole time again afterwards. So what was
    seen before a blindness says little about who should be there after it.

    Attributes:
        alive: nodes with a session.
        sighted: nodes that had one since the store came into reach the last time. known: since this agent began.
        missing_since: when each node of ``known`` was first found without one.
        sighted_at: since when the store has been within reach; None while it is not.
        began_at: when it first was.
    """

    alive: frozenset[str] = frozenset()
    sighted: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    missing_since: Mapping[str, float] = field(default_factory=dict)
    sighted_at: float | None = None
    began_at: float | None = None


@dataclass(frozen=True)
class Attempt:
    """Something outside that failed, to be tried again.

    Attributes:
        failures: in a row. retry_at: not before. why: what went wrong last.
    """

    failures: int
    retry_at: float
    why: str


@dataclass(frozen=True)
class Evenness:
    """What the leader remembers of how evenly the nodes are loaded. Losing it costs time only.

    Attributes:
        snapshot: the tree that was looked at last; None: none yet. spread: what was found.
        uneven_since: since when the nodes have been too unevenly loaded without a break; None: they are not.
        passed_at: when moves were last begun for that.
    """

    snapshot: Snapshot | None = None
    spread: float = 0.0
    uneven_since: float | None = None
    passed_at: float | None = None


@dataclass(frozen=True)
class LeadView:
    """Everything that a step of the leader decides from.

    Attributes:
        node: of this agent.
        epoch: under which it leads; None while it does not. elected_at: since when, or when last.
        snapshot: the tree; None until it has been read.
        presence: of the other nodes.
        busy: effects under way, by their key (``effects.key``).
        attempts: what failed and is tried again later, by the same keys.
        results: what devices have answered, by the same keys; each names the fence that it belongs to.
        written: what this leader has written and no tree has shown yet.
        said: the last sentence about each subject, so that it is not repeated.
        evenness: of the nodes' loads.
        wall: the wall clock, for people (ISO 8601, UTC); set before each step.
    """

    node: str
    epoch: int | None = None
    elected_at: float = 0.0
    snapshot: Snapshot | None = None
    presence: Presence = Presence()
    busy: Mapping[str, LeadEffect] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    results: Mapping[str, DeviceResult] = field(default_factory=dict)
    written: Writes = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    evenness: Evenness = Evenness()
    wall: str = ""

    def after(self, outcome: LeadOutcome) -> LeadView:
        """The view once the effects of a step have been handed out."""
        busy = {**self.busy, **{key(effect): effect for effect in outcome.effects}}
        return replace(self, busy=busy, said=outcome.said, evenness=outcome.evenness)


@dataclass(frozen=True)
class LeadOutcome:
    """What a step of the leader returns.

    Attributes:
        effects: what is to be done now. sentences: decisions that are new, each with its reason.
        said: replaces what was said. wake_at: when to step again although nothing happens. evenness: to be remembered.
    """

    effects: tuple[LeadEffect, ...]
    sentences: tuple[Sentence, ...]
    said: Mapping[str, str]
    wake_at: float | None
    evenness: Evenness = Evenness()
