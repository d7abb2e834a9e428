# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a VM whose claim this node holds and whose record is sound: what its user wants. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pvc_state.records import Claim, Disk, Vm, VmStatus

from .case import Case, Verdict, pause, react
from .domain_xml import console_log
from .effects import (
    DeleteVolumes,
    DestroyDomain,
    EnsureVolumes,
    HandOver,
    RemoveRecords,
    ResumeDomain,
    Right,
    ShutdownDomain,
    StartDomain,
    VmEffect,
)
from .view import Domain, DomainState, Memory


class Owned:
    """One decision: the case, and the memory as far as the decision has come."""

    def __init__(self, case: Case, claim: Claim, claim_version: int, record: Vm, record_version: int) -> None:
        self.case = case
        self.record = record
        self.epoch = claim.epoch
        self.right = Right(claim.epoch, claim_version, record_version)
        memory = case.memory
        if memory.record_version != record_version:
            # the user has spoken: what failed before may work now
            stopping = record.state != "started"
            memory = Memory(
                record_version=record_version,
                running_since=memory.running_since,
                stopping_since=memory.stopping_since if stopping else None,
                volumes=memory.volumes,
                press_at=memory.press_at,
                restarts=memory.restarts if memory.record_version == -1 else 0,
                said=memory.said,
            )
        self.memory = memory

    def decide(self) -> Verdict:
        case = self.case
        if case.hypervisor:
            return self._unknown()
        if self.record.state == "started":
            return self._run() if case.domain is None else self._keep_running(case.domain)
        if case.domain is not None:
            return self._stop(case.domain)
        if self.record.state == "absent":
            return self._remove()
        return self._rest()

    # --- wanted: started ----------------------------------------------------------------------------------------------

    def _run(self) -> Verdict:
        """Wanted started, and no domain."""
        case = self.case
        if self.memory.ended:
            self._note_trouble(self.memory.ended)
        self._remember(ended="", stopping_since=None, running_since=None)
        bound = self._bound_elsewhere()
        if bound:
            return bound
        if case.busy is not None:
            return self._under_way(case.busy)
        waiting = self._pause("backoff")
        if waiting:
            return waiting
        if not case.slot:
            return self._verdict("starting", self._old_generation(), "waits until other VMs of this node have started")
        if self._volumes_missing():
            return self._ensure_volumes("starting")
        again = self.memory.attempts > 0
        why = f"tried again after: {self.memory.reason}" if again else "wanted started, and it does not run"
        if again:
            self._remember(restarts=self.memory.restarts + 1)
        effect = StartDomain(case.vm, self.right, self.record)
        return self._verdict("starting", self._old_generation(), self._starting_reason(), effect, "start", why)

    def _keep_running(self, domain: Domain) -> Verdict:
        """Wanted started, and there is a domain."""
        since = self.memory.running_since
        self._remember(ended="", stopping_since=None)
        if domain.definition == self.record.definition:
            self._remember(volumes=self.record.disks)
        if domain.state is DomainState.IO_ERROR:
            return self._resume(domain)
        self._remember(trouble="", running_since=self.case.now if since is None else since)
        return self._verdict("running", self.record.generation, self._running_reason(domain))

    def _resume(self, domain: Domain) -> Verdict:
        """QEMU has paused the guest, since its storage failed: let it try again, less and less often."""
        generation = self.record.generation
        if self.memory.running_since is not None:
            self._note_trouble("its storage failed, and its guest was paused")
            self._remember(running_since=None)
        resuming = "paused after an I/O error, and being resumed"
        if self.case.busy is not None:
            return self._verdict("backoff", generation, self.memory.overdue or resuming)
        waiting = self._pause("backoff", generation)
        if waiting:
            return waiting
        why = self.memory.reason or "its storage failed before this agent started"
        # a guest that pauses again at once may never be seen running: the next pause is prepared now
        self._remember(trouble=why)
        return self._verdict(
            "backoff", generation, resuming, ResumeDomain(self.case.vm, self.right, domain.uuid), "resume", why
        )

    def _running_reason(self, domain: Domain) -> str:
        if domain.state is DomainState.PAUSED:
            return "its guest is paused, and not by the agent"
        if domain.state is DomainState.POWERING_OFF:
            return "its guest is powering off; it will be started again when it has"
        if domain.state is DomainState.CRASHED:
            return "its guest has crashed and is kept for inspection, and not by the agent"
        parts = ["runs"]
        if self.memory.restarts and self.memory.reason:
            times = _times(self.memory.restarts)
            parts.append(f"was started again {times}, the last time because {self.memory.reason}")
        if domain.definition != self.record.definition:
            parts.append("its hardware was changed meanwhile: that takes effect when it is stopped and started again")
        if self.record.node not in (None, self.case.node):
            parts.append(f"is bound to {self.record.node}, and moves there when it has been stopped")
        return "; ".join(parts)

    # --- wanted: stopped, disabled, absent ----------------------------------------------------------------------------

    def _stop(self, domain: Domain) -> Verdict:
        """Wanted off, and there is a domain: ask, ask again, and destroy it when its time is up."""
        case = self.case
        self._remember(ended="", running_since=None)
        begun = self.memory.stopping_since
        if begun is None:
            begun = case.now
            self._remember(stopping_since=begun, press_at=begun, trouble="", retry_at=0.0, attempts=0)
        deadline = begun + self.record.shutdown_timeout
        generation = self._old_generation()
        wanted = f"wanted {self.record.state}"
        if case.busy is not None:
            return self._verdict("stopping", generation, self.memory.overdue or self._stopping_reason())
        if case.now >= deadline:
            waiting = self._pause("stopping", generation)
            if waiting:
                return waiting
            why = f"{wanted}, and the guest did not power off within {self.record.shutdown_timeout} s"
            effect = DestroyDomain(case.vm, self.right, domain.uuid)
            return self._verdict("stopping", generation, why, effect, "destroy", why)
        if case.now >= self.memory.press_at:
            self._remember(press_at=case.now + case.settings.shutdown_repeat, trouble="")
            ask = ShutdownDomain(case.vm, self.right, domain.uuid)
            wake = min(deadline, self.memory.press_at)
            return self._verdict("stopping", generation, self._stopping_reason(), ask, "shut down", wanted, wake)
        wake = min(deadline, self.memory.press_at)
        return self._verdict("stopping", generation, self._stopping_reason(), wake_at=wake)

    def _stopping_reason(self) -> str:
        return f"its guest was asked to power off, and is destroyed after {self.record.shutdown_timeout} s"

    def _rest(self) -> Verdict:
        """Wanted stopped or disabled, and no domain."""
        case = self.case
        self._remember(ended="", stopping_since=None, running_since=None)
        bound = self._bound_elsewhere()
        if bound:
            return bound
        if self.record.state == "disabled":
            return self._verdict("stopped", self.record.generation, "disabled")
        if case.busy is not None:
            return self._under_way(case.busy)
        if self._volumes_missing():
            waiting = self._pause("backoff")
            if waiting:
                return waiting
            if not case.spare:
                return self._verdict("stopped", self._old_generation(), "waits until the volumes of others exist")
            return self._ensure_volumes("stopped")
        return self._verdict("stopped", self.record.generation, "stopped, as wanted")

    def _remove(self) -> Verdict:
        """Wanted absent, and no domain."""
        case = self.case
        self._remember(ended="", stopping_since=None, running_since=None)
        generation = self._old_generation()
        disks = self.record.disks
        if case.busy is not None:
            return self._under_way(case.busy)
        waiting = self._pause("deleting")
        if waiting:
            return waiting
        if self.record.delete_volumes and disks and not self.memory.volumes_gone:
            why = f"deleted together with its volumes {_names(disks)}"
            return self._verdict(
                "deleting", generation, why, DeleteVolumes(case.vm, self.right, disks), "delete volumes", why
            )
        kept = f"; its volumes stay: {_names(disks)}" if disks and not self.record.delete_volumes else ""
        why = f"wanted absent, and nothing of it runs{kept}"
        return self._verdict("deleting", generation, why, RemoveRecords(case.vm, self.right), "remove", why)

    # --- parts of several answers -------------------------------------------------------------------------------------

    def _bound_elsewhere(self) -> Verdict | None:
        target = self.record.node
        if target is None or target == self.case.node:
            return None
        generation = self._old_generation()
        why = f"bound to {target}, and it does not run here"
        if self.case.busy is not None:
            return self._verdict("stopped", generation, why)
        waiting = self._pause("backoff")
        if waiting:
            return waiting
        return self._verdict("stopped", generation, why, HandOver(self.case.vm, self.right, target), "hand over", why)

    def _volumes_missing(self) -> bool:
        return not set(self.record.disks) <= set(self.memory.volumes)

    def _ensure_volumes(self, state: str) -> Verdict:
        disks = self.record.disks
        reason = f"makes sure that its volumes exist: {_names(disks)}"
        effect = EnsureVolumes(self.case.vm, self.right, disks, to_start=self.record.state == "started")
        why = f"wanted {self.record.state}"
        return self._verdict(state, self._old_generation(), reason, effect, "ensure volumes", why)

    def _under_way(self, effect: VmEffect) -> Verdict:
        state, reason = {
            EnsureVolumes: ("starting", f"makes sure that its volumes exist: {_names(self.record.disks)}"),
            StartDomain: ("starting", self._starting_reason()),
            DeleteVolumes: ("deleting", f"deleted together with its volumes {_names(self.record.disks)}"),
            RemoveRecords: ("deleting", "its records are being removed"),
        }.get(type(effect), ("stopping", "its domain has ended"))
        if self.record.state == "stopped" and state == "starting":
            state = "stopped"
        return self._verdict(state, self._old_generation(), self.memory.overdue or reason)

    def _starting_reason(self) -> str:
        if self.memory.attempts:
            return f"is being started again, because {self.memory.reason}"
        return "is being started"

    def _pause(self, state: str, generation: int | None = None) -> Verdict | None:
        """The answer while a pause after a failure lasts; None when there is none."""
        self.memory, wake_at = react(self.case._replace(memory=self.memory))
        if wake_at is None:
            return None
        seconds = pause(self.case.settings, self.memory.attempts)
        reason = f"{self.memory.reason}; tried again after {seconds:g} s"
        shown = self._old_generation() if generation is None else generation
        return self._verdict(state, shown, reason, None, "wait", reason, wake_at)

    def _remember(self, **changes: Any) -> None:
        # most decisions change nothing, and a copy is what they would cost most
        if any(getattr(self.memory, name) != value for name, value in changes.items()):
            self.memory = replace(self.memory, **changes)

    def _note_trouble(self, trouble: str) -> None:
        """A guest that has run well for a while starts with a clean slate when something happens to it."""
        since = self.memory.running_since
        steady = since is not None and self.case.now - since >= self.case.settings.steady_after
        self._remember(trouble=trouble, attempts=0 if steady else self.memory.attempts)

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
        has_console = self.case.domain is not None or isinstance(effect, StartDomain)
        status = VmStatus(
            state,
            self.epoch,
            generation,
            reason,
            restarts=self.memory.restarts,
            console=console_log(self.case.vm) if has_console else self._old_console(),
            definition=self.case.domain.definition if self.case.domain is not None else 0,
        )
        return Verdict(status, self.memory, effect, decision, why, wake_at)

    def _old_console(self) -> str:
        return self.case.published.console if self.case.published is not None else ""


def _names(disks: tuple[Disk, ...]) -> str:
    return ", ".join(f"{disk.pool}/{disk.volume}" for disk in disks)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
