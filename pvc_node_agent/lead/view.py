# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step of the leader sees, and what it returns. Times are seconds of the agent's own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pvc_state.snapshot import Snapshot

from ..view import Sentence
from .effects import LeadEffect


@dataclass(frozen=True)
class Presence:
    """What this agent knows of the sessions of the others; kept by every candidate.

    Attributes:
        alive: nodes with a session. seen: nodes that had one since this agent began.
        missing_since: when each of those that had one was first found without.
        sighted_at: since when the store has been within reach without a break; None while it is not.
        began_at: when this agent first saw the store.
    """

    alive: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
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
class LeadView:
    """Everything that a step of the leader decides from.

    Attributes:
        node: of this agent.
        epoch: under which it leads; None while it does not.
        snapshot: the tree; None until it has been read.
        presence: of the other nodes.
        busy: effects under way, by their subject: ``write SUBJECT``, ``cut NODE``, ``power NODE DEVICE``, …
        attempts: by the same keys.
        results: what devices have answered and is not in the store yet, by key.
        said: the last sentence about each subject, so that it is not repeated.
        wall: the wall clock, for people (ISO 8601, UTC).
    """

    node: str
    epoch: int | None = None
    snapshot: Snapshot | None = None
    presence: Presence = Presence()
    busy: Mapping[str, LeadEffect] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    results: Mapping[str, object] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    wall: str = ""


@dataclass(frozen=True)
class LeadOutcome:
    """What a step of the leader returns.

    Attributes:
        effects: what is to be done now. sentences: decisions that are new, each with its reason.
        said: replaces what was said. wake_at: when to step again although nothing happens.
    """

    effects: tuple[LeadEffect, ...]
    sentences: tuple[Sentence, ...]
    said: Mapping[str, str]
    wake_at: float | None
