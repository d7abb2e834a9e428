# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of the leader in the making: what it asks for, what it says, and when it wants to look again."""

from __future__ import annotations

from dataclasses import replace

from pvc_state.records import Settings
from pvc_state.snapshot import Snapshot

from ..view import Sentence
from .effects import LeadEffect, key
from .view import Evenness, LeadOutcome, LeadView


class Work:
    """Collects the outcome of a step.

    Attributes:
        now: seconds. view: what the step decides from. snapshot: the tree. policy: the cluster's settings.
        damaged: what is wrong with the settings; then the cluster counts as in maintenance.
        doubted: nodes with a session that are to be fenced all the same.
        evenness: of the nodes' loads, to be remembered.
    """

    def __init__(self, now: float, view: LeadView, snapshot: Snapshot) -> None:
        self.now = now
        self.view = view
        self.snapshot = snapshot
        self.damaged = ""
        self.policy: Settings = snapshot.policy
        if snapshot.settings is not None and snapshot.settings.value is None:
            # what is not known may have been a hold, or asked for better evidence
            self.policy = replace(self.policy, maintenance=True)
            self.damaged = f"/settings is damaged ({snapshot.settings.invalid}), so that it counts as in maintenance"
        self.doubted: frozenset[str] = frozenset()
        self.evenness: Evenness = view.evenness
        self._effects: list[LeadEffect] = []
        self._sentences: list[Sentence] = []
        self._said: dict[str, str] = {}
        self._wake_at: float | None = None
        self._begun: set[str] = set()

    def free(self, name: str) -> bool:
        """Whether an effect of this key may begin: none is under way, and no pause after a failure lasts."""
        if name in self.view.busy or name in self._begun:
            return False
        attempt = self.view.attempts.get(name)
        if attempt is None or attempt.retry_at <= self.now:
            return True
        self.wake(attempt.retry_at)
        return False

    def ask(self, effect: LeadEffect) -> bool:
        """Ask for an effect if it may begin; returns whether it does."""
        name = key(effect)
        if not self.free(name):
            return False
        self._begun.add(name)
        self._effects.append(effect)
        return True

    def say(
        self, subject: str, decision: str, reason: str, vm: str = "", *, node: str = "", evidence: str = ""
    ) -> None:
        """Say a decision, unless it is what was said last about the subject: ``node NAME``, ``vm NAME``, ``cluster …``."""
        kind, _space, name = subject.partition(" ")
        sentence = Sentence(vm, decision, reason, node or (name if kind not in ("vm", "cluster") else ""), evidence)
        self._said[subject] = str(sentence)
        if self.view.said.get(subject) != str(sentence):
            self._sentences.append(sentence)

    def keep(self, subject: str) -> None:
        """What was said about the subject still holds."""
        if subject in self.view.said:
            self._said.setdefault(subject, self.view.said[subject])

    def wake(self, at: float) -> None:
        """Look again at that time at the latest."""
        self._wake_at = at if self._wake_at is None else min(self._wake_at, at)

    def outcome(self) -> LeadOutcome:
        return LeadOutcome(tuple(self._effects), tuple(self._sentences), self._said, self._wake_at, self.evenness)
