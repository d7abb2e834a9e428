# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about one VM: whether the agent may act at all, then whether the VM is this node's. Pure.

The order of the questions is the safety of it; what its user wants is the last one, and is asked in ``owned``.
"""

from __future__ import annotations

from dataclasses import replace

from pvc_state.codec import Stored
from pvc_state.records import WANTED, Claim, VmStatus

from .case import Case, Verdict, react
from .effects import DestroyStray
from .owned import Owned
from .sweep import sweep
from .view import Domain, DomainState


def decide(case: Case) -> Verdict:
    """What to do about the VM."""
    if case.standing.sweep:
        return sweep(case)
    claim = case.seen.claim
    if claim is not None and claim.value is None:
        return _hold(case, 0, f"its claim is damaged ({claim.invalid}): nothing is started or stopped")
    if claim is None or claim.value is None or claim.value.node != case.node:
        return _not_ours(case, claim)
    epoch = claim.value.epoch
    if case.domain is not None and case.domain.epoch != epoch and not case.hypervisor:
        why = f"its domain was started under epoch {case.domain.epoch}, the claim is of epoch {epoch}"
        return _destroy_stray(case, case.domain, why, VmStatus("stopping", epoch, 0, why))
    record = case.seen.record
    if record is None:
        return _hold(case, epoch, "there is a claim for it but no record: nothing is started or stopped")
    if record.value is None:
        return _hold(case, epoch, f"its record is damaged ({record.invalid}): nothing is started or stopped")
    if record.value.state not in WANTED:
        return _hold(case, epoch, f"state {record.value.state} is not known to this agent: install a newer one")
    return Owned(case, claim.value, claim.version, record.value, record.version).decide()


def arriving(claim: Claim, node: str, epoch: int) -> bool:
    """Whether a domain of this epoch is a guest on its way to the node, whose claim is to follow."""
    return claim.to == node and claim.node != node and epoch == claim.epoch + 1


def _hold(case: Case, epoch: int, reason: str) -> Verdict:
    """Leave everything as it is."""
    state = "running" if case.domain is not None else "failed"
    old = case.published or VmStatus(state, epoch, 0)
    definition = case.domain.definition if case.domain is not None else 0
    status = replace(old, state=state, epoch=epoch, reason=reason, definition=definition)
    return Verdict(status, case.memory, None, "hold", reason)


def _not_ours(case: Case, claim: Stored[Claim] | None) -> Verdict:
    if case.domain is None or case.hypervisor:
        return Verdict(None, None)
    if claim is None or claim.value is None:
        why = "it runs here, but nobody may run it: it has no claim"
    elif arriving(claim.value, case.node, case.domain.epoch):
        return Verdict(None, replace(case.memory, origin=claim.value.node, unclaimed_since=None))
    elif case.domain.state is DomainState.ARRIVED and case.domain.epoch - 1 == claim.value.epoch:
        return _unclaimed(case, case.domain, claim.value)
    else:
        why = f"it runs here, but {claim.value.node} holds its claim (epoch {claim.value.epoch})"
    return _destroy_stray(case, case.domain, why, None)


def _unclaimed(case: Case, domain: Domain, claim: Claim) -> Verdict:
    """It has arrived, and waits, but its owner is not to move it here any more: that may have come too late."""
    since = case.now if case.memory.unclaimed_since is None else case.memory.unclaimed_since
    memory = replace(case.memory, origin=claim.node, unclaimed_since=since)
    until = since + case.settings.arrived_within
    if case.now < until:
        return Verdict(None, memory, wake_at=until)
    why = f"it has arrived here, but {claim.node} is not to move it here any more, and has not handed it over"
    return _destroy_stray(case._replace(memory=memory), domain, why, None)


def _destroy_stray(case: Case, domain: Domain, why: str, status: VmStatus | None) -> Verdict:
    memory, wake_at = react(case)
    if case.busy is not None or wake_at is not None:
        return Verdict(status, memory, wake_at=wake_at)
    effect = DestroyStray(case.vm, domain.uuid, domain.epoch)
    return Verdict(status, memory, effect, "destroy", why)
