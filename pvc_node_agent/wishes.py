# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user has done to a VM beside having it run: resets, larger disks, snapshots and the way back to them. Pure.

What is done is known from what it was done to, so that no restart of an agent and no move does it again: a domain is marked
with its last restart and reset and with the sizes of its disks, a volume with its last rollback.
"""

from __future__ import annotations

from pvc_state.records import Disk, DiskSnapshot

from .answer import Answer, names
from .case import Verdict, pause
from .effects import (
    ArrangeSnapshots,
    GrowDisks,
    ReleaseDomain,
    ResetDomain,
    RollBack,
    VmEffect,
)
from .view import Domain, DomainState

#: What is said while an effect is under way.
_DOING: dict[type, str] = {
    ArrangeSnapshots: "its snapshots are being brought into order",
    GrowDisks: "its disks are being made larger",
    ReleaseDomain: "its guest was held for a snapshot, and is let go",
    ResetDomain: "its guest is being reset",
    RollBack: "its disks are being taken back to a snapshot",
}

#: Attempts to let a guest go for which everything else waits. One that is to be off is only to hear of that.
_RELEASE_TRIES = 3
_RELEASE_TRIES_TO_STOP = 1


class Wishes(Answer):
    """The parts of a decision that carry out single requests."""

    def _wants_restart(self, domain: Domain) -> bool:
        """Whether the guest runs since before a restart that was asked for. Where nothing is started, none is stopped for it."""
        late = domain.restart < self.record.restart and domain.state is not DomainState.ARRIVED
        return late and not self.case.standing.halt

    def _let_go(self, domain: Domain) -> Verdict | None:
        """An agent that ended while it held the guest has left it so: nothing is more urgent, as long as that may help."""
        if not domain.held:
            self._remember(unreleased="", release_tries=0, release_at=0.0)
            return None
        case, memory, generation, why = self.case, self.memory, self._old_generation(), _DOING[ReleaseDomain]
        if isinstance(case.busy, ReleaseDomain):
            return self._verdict("running", generation, memory.overdue or why)
        if case.busy is not None or case.standing.fixed or self._cannot_answer(domain):
            return None
        stops = self.record.state not in ("started", "ignored") or memory.stopping_since is not None
        stops = stops or (self.record.state == "started" and self._wants_restart(domain))
        if stops and memory.release_tries >= _RELEASE_TRIES_TO_STOP:
            return None
        if case.now < memory.release_at:
            if memory.release_tries >= _RELEASE_TRIES:
                return None
            waits = f"{memory.unreleased}; tried again after {pause(case.settings, memory.release_tries):g} s"
            return self._verdict("running", generation, waits, None, "wait", waits, memory.release_at)
        effect = ReleaseDomain(case.vm, self.right, domain.uuid)
        return self._verdict("running", generation, why, effect, "let go", why)

    def _cannot_answer(self, domain: Domain) -> bool:
        """Whether something else must be done to a guest before it can be let go: it stands still, or is to be reset."""
        stands = domain.state in (DomainState.IO_ERROR, DomainState.ARRIVED)
        return stands or (self.record.state == "started" and self._wants_reset(domain))

    def _wants_reset(self, domain: Domain) -> bool:
        """Whether a reset was asked for that is not done, and may be."""
        return domain.reset < self.record.reset and not self.case.standing.halt

    def _attend(self, domain: Domain) -> Verdict | None:
        """What is to be done to a guest that runs; None when there is nothing."""
        return self._do("running", self._wish(domain))

    def _tidy(self, state: str) -> Verdict | None:
        """What is to be done to the disks of a VM that does not run."""
        return self._do(state, self._back() or self._snapshots())

    def _take_back(self, state: str) -> Verdict | None:
        """What must be done to its disks before it is started."""
        return self._do(state, self._back())

    def _do(self, state: str, wish: tuple[VmEffect, str] | None) -> Verdict | None:
        busy = self.case.busy
        if busy is not None:
            doing = _DOING.get(type(busy))
            return self._verdict(state, self._old_generation(), self.memory.overdue or doing) if doing else None
        if wish is None:
            return None
        if self.case.standing.halt:
            doing = _DOING[type(wish[0])]
            return self._verdict(state, self._old_generation(), f"{self.case.standing.halt}; later: {doing}")
        waiting = self._pause(state)
        if waiting:
            return waiting
        effect, why = wish
        return self._verdict(state, self._old_generation(), _DOING[type(effect)], effect, _word(effect), why)

    def _wish(self, domain: Domain) -> tuple[VmEffect, str] | None:
        vm, right = self.case.vm, self.right
        if domain.reset < self.record.reset:
            return ResetDomain(vm, right, domain.uuid, self.record.reset), "its user has asked for it"
        disks = self._grown(domain)
        if disks:
            return GrowDisks(vm, right, domain.uuid, disks), f"{names(disks)}: a larger size is wanted"
        # one that is still held for the last snapshot would be taken for one that can be let go after the next
        return None if domain.held else self._snapshots(domain.uuid)

    def _grown(self, domain: Domain) -> tuple[Disk, ...]:
        """Disks that are to be larger than the guest sees them."""
        sizes = dict(domain.sizes)
        return tuple(
            disk
            for disk in self.record.disks
            if disk.size is not None and 0 < sizes.get(f"{disk.pool}/{disk.volume}", 0) < disk.size
        )

    def _snapshots(self, uuid: str = "") -> tuple[VmEffect, str] | None:
        wanted, known = {(one.name, one.id) for one in self.record.snapshots}, self._made()
        # what was wanted of an owner before this one is only looked for where there may be something
        if set(known or ()) == wanted and (known is not None or not (self.record.snapped or self._old().snapshots)):
            return None
        new, old = sorted(wanted - set(known or ())), sorted(set(known or ()) - wanted)
        parts = [
            f"{what}: {', '.join(name for name, _id in some)}"
            for what, some in (("wanted", new), ("not wanted any more", old))
            if some
        ]
        why = "; ".join(parts) or "what is left of those of before is not known here"
        barrier = self.claim.barrier
        return ArrangeSnapshots(self.case.vm, self.right, self.record.disks, self.record.snapshots, uuid, barrier), why

    def _back(self) -> tuple[VmEffect, str] | None:
        back = self.record.rollback
        if back is None or self._rolled_back() == back.serial:
            return None
        snapshot = next(
            (one for one in self.record.snapshots if one.name == back.snapshot), DiskSnapshot(back.snapshot)
        )
        uuid, barrier = self.record.uuid, self.claim.barrier
        effect = RollBack(self.case.vm, self.right, self.record.disks, uuid, snapshot, back, barrier)
        return effect, f"its user wants it as it was in snapshot {back.snapshot}"


def _word(effect: VmEffect) -> str:
    words: dict[type, str] = {
        ArrangeSnapshots: "arrange snapshots",
        GrowDisks: "grow disks",
        ResetDomain: "reset",
        RollBack: "roll back",
    }
    return words[type(effect)]
