# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a decision about a VM of this node is put together: what is remembered, what is published, and why. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pvc_state.records import Claim, Disk, Vm, VmStatus

from .case import Case, Verdict, pause, react
from .domain_devices import console_log
from .effects import Right, StartDomain, VmEffect
from .view import Domain, Memory

#: How the reason of a state begins that an agent keeps to after its own restart: it does not try any more.
GIVEN_UP = "given up"


class Answer:
    """One decision: the case, and the memory as far as the decision has come."""

    def __init__(self, case: Case, claim: Claim, claim_version: int, record: Vm, record_version: int) -> None:
        self.case = case
        self.claim = claim
        self.record = record
        self.epoch = claim.epoch
        self.right = Right(claim.epoch, claim_version, record_version, case.enrolment)
        memory = case.memory
        if memory.swept:
            memory = replace(memory, swept="", stopping_since=None)
        if memory.record_version != record_version:
            # the user has spoken: what failed before may work now
            stopping = record.state != "started" or bool(memory.restarting)
            restarted = memory.record_version == -1
            memory = Memory(
                record_version=record_version,
                epoch=memory.epoch,
                running_since=memory.running_since,
                stopping_since=memory.stopping_since if stopping else None,
                volumes=memory.volumes,
                barrier=memory.barrier,
                press_at=memory.press_at,
                restarts=memory.restarts if restarted else 0,
                given_up=memory.given_up if restarted else "",
                failures=memory.failures if restarted else 0,
                failed=memory.failed,
                refused=memory.refused,
                refusal=memory.refusal,
                moved=memory.moved,
                called_off=memory.called_off,
                origin=memory.origin,
                journey=memory.journey,
                said=memory.said,
                restarting=memory.restarting,
                snapshots=memory.snapshots,
                rollback=memory.rollback,
            )
        if memory.moved and (case.domain is not None or isinstance(case.busy, StartDomain)):
            # another guest than the one that was moved
            memory = replace(memory, moved="")
        if memory.epoch != claim.epoch:
            # it has been elsewhere meanwhile, or somebody has decided that it is to be tried here again
            if memory.epoch != -1:
                memory = replace(
                    memory,
                    moved="",
                    journey="",
                    failures=0,
                    failed=0,
                    given_up="",
                    attempts=0,
                    retry_at=0.0,
                    snapshots=None,
                )
            memory = replace(memory, epoch=claim.epoch)
        self.memory = memory

    def _pause(self, state: str, generation: int | None = None) -> Verdict | None:
        """The answer while a pause after a failure lasts; None when there is none."""
        self.memory, wake_at = react(self.case._replace(memory=self.memory))
        if wake_at is None:
            return None
        seconds = pause(self.case.settings, self.memory.attempts)
        reason = f"{self.memory.reason}; tried again after {seconds:g} s"
        shown = self._old_generation() if generation is None else generation
        return self._verdict(state, shown, reason, None, "wait", reason, wake_at)

    def _by(self, at: float, verdict: Verdict) -> Verdict:
        """The verdict, with the VM looked at again at that time at the latest, should it be yet to come."""
        if at <= self.case.now:
            return verdict
        return verdict._replace(wake_at=at if verdict.wake_at is None else min(at, verdict.wake_at))

    def _remember(self, **changes: Any) -> None:
        # most decisions change nothing, and a copy is what they would cost most
        if any(getattr(self.memory, name) != value for name, value in changes.items()):
            self.memory = replace(self.memory, **changes)

    def _note_trouble(self, trouble: str) -> None:
        """A guest that has run well for a while starts with a clean slate when something happens to it."""
        since = self.memory.running_since
        steady = since is not None and self.case.now - since >= self.case.settings.steady_after
        if steady:
            self._remember(attempts=0, failures=0)
        self._remember(trouble=trouble)

    def _generation(self, domain: Domain) -> int:
        """The generation that is true while a domain runs: its hardware as far as that can be had without a start."""
        return self.record.generation if self._is_changed(domain) else self._old_generation()

    def _is_changed(self, domain: Domain) -> bool:
        """Whether all that can change while it runs is as its record says."""
        return self.record.definition in (domain.definition, domain.applied)

    def _old_generation(self) -> int:
        """The generation that was true last, while a change is under way."""
        published = self.case.published
        return published.generation if published is not None else 0

    def _unknown(self) -> Verdict:
        """libvirt does not answer: what was true last is the best that can be said."""
        domain = self.case.domain
        state = "running" if domain is not None else "backoff"
        generation = self._old_generation()
        last = "it ran when libvirt last answered" if domain is not None else "nothing is started or stopped meanwhile"
        return self._verdict(state, generation, f"{self.case.hypervisor}; {last}")

    def _verdict(
        self,
        state: str,
        generation: int,
        reason: str,
        effect: VmEffect | None = None,
        decision: str = "",
        why: str = "",
        wake_at: float | None = None,
    ) -> Verdict:
        if self._refused():
            # told until it has gone after all: whoever waits for it may look later than the leader gives it up
            self._remember(journey=f"not to {self.claim.to}: {self.memory.refusal}")
        domain = self.case.domain
        has_console = domain is not None or isinstance(effect, StartDomain)
        status = VmStatus(
            state,
            self.epoch,
            generation,
            reason,
            restarts=self.memory.restarts,
            failures=self.memory.failed,
            console=console_log(self.case.vm) if has_console else self._old_console(),
            definition=domain.definition if domain is not None else 0,
            refused=self.claim.to if self._refused() else "",
            restart=self._restarted(),
            reset=self._was_reset(),
            snapshots=self._known_snapshots(),
            rollback=self._rolled_back(),
            pending=domain.pending if domain is not None and domain.applied == self.record.definition else (),
            screen=domain.screen if domain is not None else "",
            moved=self.memory.journey,
        )
        return Verdict(status, self.memory, effect, decision, why, wake_at)

    def _restarted(self) -> int:
        """Requests for a restart that are done: a start does all of them, and what is to be off needs none."""
        if self.case.domain is not None:
            return self.case.domain.restart
        return self._old().restart if self.record.state == "started" else self.record.restart

    def _was_reset(self) -> int:
        if self.case.domain is not None:
            return self.case.domain.reset
        return self._old().reset if self.record.state == "started" else self.record.reset

    def _known_snapshots(self) -> tuple[str, ...]:
        """Snapshots that exist. What has the name of a wanted one, and may be an older one, is not told."""
        made = self._made()
        wanted = {one.name: one.id for one in self.record.snapshots}
        if made is None:
            return tuple(name for name in self._old().snapshots if not wanted.get(name))
        return tuple(name for name, identity in made if wanted.get(name, identity) == identity)

    def _made(self) -> tuple[tuple[str, str], ...] | None:
        """Name and identity of the snapshots that exist; None while this agent does not know."""
        if self.memory.snapshots is not None:
            return self.memory.snapshots
        old, wanted = self._old(), self.record.snapshots
        # an agent before this one has told of this very record that all is made
        made = old.state in ("running", "stopped") and old.generation == self.record.generation
        if made and wanted and set(old.snapshots) == {one.name for one in wanted}:
            return tuple((one.name, one.id) for one in wanted)
        return None

    def _rolled_back(self) -> int:
        return self.memory.rollback or self._old().rollback

    def _old(self) -> VmStatus:
        """What was published under this claim."""
        published = self.case.published
        ours = published is not None and published.epoch == self.epoch
        return published if published is not None and ours else VmStatus("", self.epoch, 0)

    def _refused(self) -> bool:
        """Whether the move that the claim asks for has been given up."""
        return bool(self.claim.to) and self.memory.refused == self.right.claim_version

    def _old_console(self) -> str:
        return self.case.published.console if self.case.published is not None else ""


def names(disks: tuple[Disk, ...]) -> str:
    return ", ".join(f"{disk.pool}/{disk.volume}" for disk in disks)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
