# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about a VM whose claim this node holds and whose record is sound: what its user wants. Pure."""

from __future__ import annotations

from .answer import GIVEN_UP, names, times
from .case import Verdict, pause
from .effects import (
    ArrangeSnapshots,
    CancelMove,
    ChangeDomain,
    DeleteVolumes,
    DestroyDomain,
    EnsureVolumes,
    HandOver,
    MigrateDomain,
    RemoveRecords,
    ResumeDomain,
    RollBack,
    ShutdownDomain,
    StartDomain,
    VmEffect,
)
from .view import Domain, DomainState
from .wishes import Wishes

#: States in which a guest can travel: a paused one arrives paused.
_MOVABLE = (DomainState.RUNNING, DomainState.PAUSED)


#: States in which a guest that has arrived runs on.
_RUNS_ON = ("started", "ignored")


class Owned(Wishes):
    """One decision about what the user, or the leader, wants of the VM."""

    def decide(self) -> Verdict:
        case = self.case
        if case.hypervisor:
            return self._unknown()
        if case.left and case.busy is None and self._would_go_live():
            # an agent before this one has moved it, and did not come to hand it over
            self._remember(moved=self.claim.to)
        if case.domain is None and self.memory.moved and not case.standing.fixed:
            # whatever is wanted of it by now
            return self._give_away(self.memory.moved, self._wherefore(self.memory.moved))
        if case.domain is not None and case.domain.state is DomainState.ARRIVED and self.record.state in _RUNS_ON:
            # wherever it is to go next, it runs on here first
            return self._keep_running(case.domain)
        held = self._let_go(case.domain) if case.domain is not None else None
        if held and (held.effect is not None or self.record.state != "ignored"):
            return held
        return self._by(self.memory.release_at, self._go_on())

    def _go_on(self) -> Verdict:
        """What is wanted of it, once its guest is as it was left to itself."""
        case = self.case
        if self.record.state == "ignored":
            return self._ignored()
        if case.domain is not None and self._is_called_off(case.domain):
            return self._call_off(case.domain)
        moves = self.claim.to not in ("", case.node) and self.record.state != "absent" and not case.standing.fixed
        if moves and not (case.domain is None and self._refused()):
            return self._move(self.claim.to)
        if self.record.state == "started":
            if case.domain is None:
                return self._run()
            if self._wants_restart(case.domain) and (case.turn or self.memory.restarting):
                self._remember(restarting=self.record.restart)
                return self._stop(case.domain, "a restart was asked for")
            return self._keep_running(case.domain)
        if case.domain is not None:
            return self._stop(case.domain)
        if self.record.state == "absent":
            return self._remove()
        return self._rest()

    # --- wanted: started ----------------------------------------------------------------------------------------------

    def _run(self) -> Verdict:
        """Wanted started, and no domain."""
        case = self.case
        self._note_end()
        bound = self._bound_elsewhere()
        if bound:
            return bound
        if case.busy is not None:
            return self._under_way(case.busy)
        if self._gives_up():
            # it is this record that has failed: who waits for it, or would try another node, must know
            generation = self.record.generation
            return self._verdict("failed", generation, self.memory.given_up, None, "give up", self.memory.given_up)
        if case.standing.halt:
            return self._verdict("backoff", self._old_generation(), f"{case.standing.halt}: it is not started here")
        waiting = self._pause("backoff")
        if waiting:
            return waiting
        if not case.slot:
            return self._verdict("starting", self._old_generation(), "waits for its turn to be started")
        if self._volumes_missing():
            return self._ensure_volumes("starting")
        back = self._take_back("starting")
        if back:
            return back
        again = self.memory.attempts > 0
        why = f"tried again after: {self.memory.reason}" if again else "wanted started, and it does not run"
        if again:
            self._remember(restarts=self.memory.restarts + 1)
        self._remember(moved="", journey="")
        effect = StartDomain(case.vm, self.right, self.record)
        return self._verdict("starting", self._old_generation(), self._starting_reason(), effect, "start", why)

    def _note_end(self) -> None:
        """There is no domain; when it has ended by itself, that counts."""
        if self.memory.restarting:
            self._remember(ended="", restarting=0)
        if self.memory.ended:
            self._note_trouble(self.memory.ended)
            self._remember(failures=self.memory.failures + 1, failed=self.memory.failed + 1)
        self._remember(ended="", stopping_since=None, running_since=None)

    def _gives_up(self) -> bool:
        """Whether it has failed more often than its user allows, in a row, under this claim and this record."""
        limit = self.record.ha.max_local_restarts
        if not self.memory.given_up and limit >= 0 and self.memory.failures > limit:
            last = self.memory.trouble or self.memory.reason
            count = times(self.memory.failures)
            self._remember(given_up=f"{GIVEN_UP} after it failed {count} in a row on this node, the last time: {last}")
        return bool(self.memory.given_up)

    def _keep_running(self, domain: Domain) -> Verdict:
        """Wanted started, and there is a domain."""
        since = self.memory.running_since
        self._remember(ended="", stopping_since=None)
        since_long = since is not None and self.case.now - since >= self.case.settings.steady_after
        if since_long or self.memory.given_up:
            self._remember(failures=0, given_up="")
        if self._is_changed(domain) and not self._grown(domain):
            self._remember(volumes=self.record.disks)
        if domain.state is DomainState.ARRIVED:
            return self._welcome(domain)
        if domain.state is DomainState.IO_ERROR:
            return self._resume(domain)
        if isinstance(self.case.busy, ResumeDomain) and self.claim.with_guest == self.epoch and not self.memory.journey:
            # libvirt's word of how it came is about to be told, too
            return self._verdict(
                "moving", self.record.generation, self.memory.overdue or "has arrived here, and runs on"
            )
        self._remember(running_since=self.case.now if since is None else since)
        if domain.state in _MOVABLE and not self._is_changed(domain):
            return self._change(domain)
        attended = self._attend(domain)
        if attended:
            return attended
        self._remember(trouble="")
        return self._verdict("running", self._generation(domain), self._running_reason(domain))

    def _change(self, domain: Domain) -> Verdict:
        """Its record has other hardware than the guest: it gets what it can get while it runs.

        A reset comes first: a guest that hangs lets go of nothing. All else that is wanted of it need not wait for one that
        clings to something.
        """
        case, generation = self.case, self._old_generation()
        waits = case.now < self.memory.change_at and not case.standing.halt
        if case.busy is not None or waits or self._wants_reset(domain):
            attended = self._attend(domain)
            if attended:
                return self._by(self.memory.change_at, attended)
        if case.busy is not None:
            return self._verdict("running", generation, self.memory.overdue or "its hardware is being changed")
        if case.standing.fixed:
            return self._verdict("running", generation, f"its hardware is not changed: {case.standing.fixed}")
        memory = self.memory
        if case.now < memory.change_at:
            why = f"{memory.unchanged}; tried again after {pause(case.settings, memory.change_tries):g} s"
            return self._verdict("running", generation, why, None, "wait", why, memory.change_at)
        waiting = self._pause("running", generation)
        if waiting:
            return waiting
        if self._volumes_missing():
            if not case.spare:
                return self._verdict("running", generation, "waits until the volumes of others exist")
            return self._ensure_volumes("running", to_start=False)
        why = "its record has other hardware than its guest"
        effect = ChangeDomain(case.vm, self.right, self.record)
        return self._verdict("running", generation, "its hardware is being changed", effect, "change", why)

    def _welcome(self, domain: Domain) -> Verdict:
        """Its guest has been moved here, and the claim has followed: it runs on."""
        generation = self._generation(domain)
        arrived = "has arrived here, and is let run on"
        if self.case.busy is not None or self.case.standing.fixed:
            return self._verdict("moving", generation, self.memory.overdue or self.case.standing.fixed or arrived)
        waiting = self._pause("moving", generation)
        if waiting:
            return waiting
        stale = self.claim.with_guest != self.epoch
        if stale or self.memory.attempts:
            # nobody else may run it, and it starts anew
            why = f"it has been moved here, but cannot run on: {self.memory.reason}"
            if stale:
                why = "it waits here, but its last owner has not handed it over, and may have let its own guest run on"
            return self._verdict(
                "moving", generation, why, DestroyDomain(self.case.vm, self.right, domain.uuid), "destroy", why
            )
        effect = ResumeDomain(self.case.vm, self.right, domain.uuid)
        return self._verdict("moving", generation, arrived, effect, "resume", arrived)

    def _resume(self, domain: Domain) -> Verdict:
        """QEMU has paused the guest, since its storage failed: let it try again, less and less often."""
        generation = self._generation(domain)
        if self.memory.running_since is not None:
            self._note_trouble("its storage failed, and its guest was paused")
            self._remember(running_since=None)
        resuming = "paused after an I/O error, and being resumed"
        if self.case.busy is not None:
            return self._verdict("backoff", generation, self.memory.overdue or resuming)
        if self.case.standing.fixed:
            return self._verdict("backoff", generation, f"paused after an I/O error; {self.case.standing.fixed}")
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
        if domain.held and self.memory.unreleased:
            return self.memory.unreleased
        if domain.state is DomainState.PAUSED:
            return "its guest is paused, and not by the agent"
        if domain.state is DomainState.POWERING_OFF:
            return "its guest is powering off; it will be started again when it has"
        if domain.state is DomainState.CRASHED:
            return "its guest has crashed and is kept for inspection, and not by the agent"
        parts = ["runs"]
        if self.memory.restarts and self.memory.reason:
            parts.append(f"was started again {times(self.memory.restarts)}, the last time because {self.memory.reason}")
        if domain.pending and domain.applied == self.record.definition:
            parts.append(f"when it is stopped and started again: {', '.join(domain.pending)}")
        if self._wants_restart(domain):
            parts.append("waits for its turn to be restarted")
        if self._refused():
            parts.append(f"was not moved to {self.claim.to}: {self.memory.refusal}")
        if self.case.standing.halt:
            parts.append(self.case.standing.halt)
        if self.record.node not in (None, self.case.node):
            parts.append(f"is bound to {self.record.node}, and moves there when it has been stopped")
        return "; ".join(parts)

    # --- wanted elsewhere, by the leader ------------------------------------------------------------------------------

    def _move(self, to: str) -> Verdict:
        """The claim says where it is to go: its guest goes first if it can, then the claim."""
        case, domain = self.case, self.case.domain
        why = self._wherefore(to)
        if domain is None:
            return self._give_away(to, why)
        if isinstance(case.busy, MigrateDomain):
            going = f"its guest moves to {to}: {self.claim.why}"
            return self._verdict("moving", self._generation(domain), self.memory.overdue or going)
        if self.record.state != "started":
            return self._stop(domain)
        if self._refused() or domain.state is DomainState.IO_ERROR:
            return self._keep_running(domain)
        if not self.record.live or self.claim.cold or domain.state not in _MOVABLE:
            return self._stop(domain, why)
        self._remember(ended="", stopping_since=None)
        generation = self._generation(domain)
        if case.busy is not None:
            return self._verdict("moving", generation, self.memory.overdue or why)
        waiting = self._pause("moving", generation)
        if waiting:
            return waiting
        if not case.lane:
            return self._verdict("moving", generation, f"{why}; waits until others have been moved")
        effect = MigrateDomain(case.vm, self.right, domain.uuid, to, self.record.migration)
        return self._verdict("moving", generation, f"its guest moves to {to}: {self.claim.why}", effect, "move", why)

    def _wherefore(self, to: str) -> str:
        if self.claim.to != to:
            return f"its guest waits on {to}, and can be nowhere else"
        return f"is to move to {to}" + (f": {self.claim.why}" if self.claim.why else "")

    def _would_go_live(self) -> bool:
        """Whether it is to be elsewhere, and its guest would go there while it runs."""
        started = self.record.state == "started" and not self.claim.cold
        return started and self.claim.to not in ("", self.case.node) and not self.memory.moved

    def _is_called_off(self, domain: Domain) -> bool:
        """Whether its guest is on its way to where it is not to go any more."""
        if isinstance(self.case.busy, MigrateDomain):
            return self.claim.to != self.case.busy.to
        # a move that an agent before this one has begun, or lost
        wanted = self.claim.to not in ("", self.case.node) and domain.going in ("", self.claim.to)
        return self.case.busy is None and domain.leaving and not wanted

    def _call_off(self, domain: Domain) -> Verdict:
        generation, why = self._old_generation(), "its guest is on its way, and is not to be moved any more"
        if self.memory.called_off or self.case.standing.fixed:
            return self._verdict("moving", generation, self.memory.overdue or f"{why}: libvirt was told so")
        waiting = self._pause("moving", generation)
        if waiting:
            return waiting
        self._remember(called_off=True)
        effect = CancelMove(self.case.vm, self.right, domain.uuid)
        return self._verdict("moving", generation, f"{why}: libvirt is told so", effect, "call the move off", why)

    def _give_away(self, to: str, why: str) -> Verdict:
        """Nothing of it runs here: the claim goes to the node that it is to move to."""
        self._remember(ended="", stopping_since=None, running_since=None)
        started = self.record.state == "started"
        state, generation = "moving" if started else "stopped", self._old_generation()
        if self.case.busy is not None:
            return self._verdict(state, generation, self.memory.overdue or why)
        waiting = self._pause(state)
        if waiting:
            return waiting
        effect = HandOver(self.case.vm, self.right, to, with_guest=self.memory.moved == to)
        return self._verdict(state, generation, why, effect, "hand over", why)

    # --- wanted: stopped, disabled, absent, ignored ----------------------------------------------------------------------------

    def _ignored(self) -> Verdict:
        """Whatever it does is left as it is; what it does is told."""
        domain = self.case.domain
        self._remember(ended="", trouble="", stopping_since=None)
        state = "running" if domain is not None else "stopped"
        doing = domain.state.value if domain is not None else "does not run"
        if self.claim.to:
            self._remember(refused=self.right.claim_version, refusal="it is ignored")
        return self._verdict(state, self.record.generation, f"ignored: it {doing}, and nothing is done about it")

    def _stop(self, domain: Domain, why: str = "") -> Verdict:
        """To be off, and there is a domain: ask, ask again, and destroy it when its time is up."""
        case = self.case
        self._remember(ended="", running_since=None)
        begun = self.memory.stopping_since
        if begun is None:
            begun = case.now
            self._remember(stopping_since=begun, press_at=begun, trouble="", retry_at=0.0, attempts=0)
        deadline = begun + self.record.shutdown_timeout
        if domain.state is DomainState.ARRIVED:
            deadline = begun  # it does not run, and so hears nothing
        generation = self._old_generation()
        wanted = why or f"wanted {self.record.state}"
        if case.busy is not None:
            return self._verdict("stopping", generation, self.memory.overdue or self._stopping_reason())
        if case.now >= deadline:
            waiting = self._pause("stopping", generation)
            if waiting:
                return waiting
            why = f"{wanted}, and the guest did not power off within {deadline - begun:g} s"
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
            if case.busy is not None:
                # there may be a domain in a moment: until then nobody may believe that its disks are free
                return self._tidy("stopped") or self._under_way(case.busy)
            return self._tidy("stopped") or self._verdict("stopped", self.record.generation, "disabled")
        if case.busy is not None:
            return self._under_way(case.busy)
        if self._volumes_missing():
            waiting = self._pause("backoff")
            if waiting:
                return waiting
            if not case.spare:
                return self._verdict("stopped", self._old_generation(), "waits until the volumes of others exist")
            return self._ensure_volumes("stopped")
        return self._tidy("stopped") or self._verdict("stopped", self.record.generation, "stopped, as wanted")

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
        if self.claim.to not in ("", case.node) and self.memory.attempts:
            # a guest that has arrived there, unknown to this agent, may hold its volumes
            return self._give_away(self.claim.to, f"it is deleted there: {self.memory.reason}")
        if self.record.delete_volumes and disks and not self.memory.volumes_gone:
            why = f"deleted together with its volumes {names(disks)}"
            return self._verdict(
                "deleting", generation, why, DeleteVolumes(case.vm, self.right, disks), "delete volumes", why
            )
        kept = f"; its volumes stay: {names(disks)}" if disks and not self.record.delete_volumes else ""
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
        """Whether a volume is not known to exist, or might be opened before the last owner is known to be cut off."""
        disks, memory = self.record.disks, self.memory
        return not set(disks) <= set(memory.volumes) or (bool(disks) and memory.barrier < self.claim.barrier)

    def _ensure_volumes(self, state: str, *, to_start: bool | None = None) -> Verdict:
        disks = self.record.disks
        reason = f"makes sure that its volumes exist: {names(disks)}"
        at_once = self.record.state == "started" if to_start is None else to_start
        effect = EnsureVolumes(self.case.vm, self.right, disks, to_start=at_once, barrier=self.claim.barrier)
        why = f"wanted {self.record.state}"
        return self._verdict(state, self._old_generation(), reason, effect, "ensure volumes", why)

    def _under_way(self, effect: VmEffect) -> Verdict:
        state, reason = {
            EnsureVolumes: ("starting", f"makes sure that its volumes exist: {names(self.record.disks)}"),
            StartDomain: ("starting", self._starting_reason()),
            DeleteVolumes: ("deleting", f"deleted together with its volumes {names(self.record.disks)}"),
            RemoveRecords: ("deleting", "its records are being removed"),
            ArrangeSnapshots: ("stopped", "its snapshots are being brought into order"),
            RollBack: ("stopped", "its disks are being taken back to a snapshot"),
        }.get(type(effect), ("stopping", "its domain has ended"))
        if self.record.state in ("stopped", "disabled") and state == "starting":
            state = "stopped"
        return self._verdict(state, self._old_generation(), self.memory.overdue or reason)

    def _starting_reason(self) -> str:
        if self.memory.attempts:
            return f"is being started again, because {self.memory.reason}"
        return "is being started"
