# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about one VM of a node on which no domain may stay: it is cut off, fenced, or shutting down. Pure.

Whoever holds the claim, and whatever the user wants, ``ignored`` included: a guest that is left running would write
what Ceph has refused to it as soon as the cut is taken back, and a machine that shuts down takes all of them with it.
"""

from __future__ import annotations

from dataclasses import replace

from pvc_state.records import VmStatus

from .case import Case, Verdict, react
from .effects import (
    AskUnasked,
    ChangeDomain,
    DestroyDomain,
    DestroyStray,
    DestroyUnasked,
    MigrateDomain,
    ResumeDomain,
    ShutdownDomain,
)
from .view import Domain

#: What is not waited for when a domain must end: a move ends with it, and the others may be waiting for the store. What
#: starts a domain is waited for, since there may be one afterwards.
_YIELDING = (AskUnasked, ChangeDomain, DestroyDomain, DestroyStray, MigrateDomain, ResumeDomain, ShutdownDomain)
#: Seconds that a guest gets whose record is not known.
_TIME = 90


def sweep(case: Case) -> Verdict:
    """What to do about the VM."""
    if case.memory.swept != case.standing.sweep:
        # what failed before is no reason to wait now
        memory = replace(case.memory, swept=case.standing.sweep, trouble="", attempts=0, retry_at=0.0)
        case = case._replace(memory=memory)
    if case.domain is None:
        memory = replace(case.memory, ended="", running_since=None, stopping_since=None)
        return Verdict(_status(case, "stopped"), memory)
    if case.hypervisor:
        return Verdict(_status(case, "stopping"), case.memory)
    if case.standing.gently is not None:
        return _stop(case, case.domain, case.standing.gently)
    return _destroy(case, case.domain, case.standing.sweep)


def _destroy(case: Case, domain: Domain, why: str) -> Verdict:
    memory, wake_at = react(case)
    status = _status(case, "stopping")
    if (case.busy is not None and not isinstance(case.busy, _YIELDING)) or wake_at is not None:
        return Verdict(status, memory, wake_at=wake_at)
    return Verdict(status, memory, DestroyUnasked(case.vm, domain.uuid), "destroy", why)


def _stop(case: Case, domain: Domain, until: float) -> Verdict:
    """Ask, ask again, and destroy it when its time is up, or the node's."""
    memory = case.memory
    begun = case.now if memory.stopping_since is None else memory.stopping_since
    if memory.stopping_since is None:
        memory = replace(memory, stopping_since=begun, press_at=begun, ended="", trouble="", retry_at=0.0)
    record = case.seen.record.value if case.seen.record is not None else None
    deadline = min(until, begun + (record.shutdown_timeout if record is not None else _TIME))
    if case.now >= deadline:
        why = f"{case.standing.sweep}, and the guest did not power off within {deadline - begun:g} s"
        return _destroy(case._replace(memory=memory), domain, why)
    status = _status(case, "stopping")
    if case.busy is not None or case.now < memory.press_at:
        return Verdict(status, memory, wake_at=deadline if case.busy else min(deadline, memory.press_at))
    memory = replace(memory, press_at=case.now + case.settings.shutdown_repeat, trouble="")
    wake = min(deadline, memory.press_at)
    why = case.standing.sweep
    return Verdict(status, memory, AskUnasked(case.vm, domain.uuid), "shut down", why, wake)


def _status(case: Case, state: str) -> VmStatus | None:
    """What to publish of it: only of what this node holds the claim of, and only what is certain."""
    if case.seen.stale:
        return case.published
    claim = case.seen.claim.value if case.seen.claim is not None else None
    if claim is None or claim.node != case.node:
        return None
    record = case.seen.record.value if case.seen.record is not None else None
    wanted = record.state if record is not None else "stopped"
    reason = case.standing.sweep
    if state == "stopped" and wanted == "absent":
        state = "deleting"
    elif state == "stopped" and wanted == "started":
        state = "frozen" if case.standing.frozen else "backoff"
    if state == "frozen":
        reason = f"{reason}, and starts it again when it is back"
    old = case.published or VmStatus(state, claim.epoch, 0)
    return replace(
        old,
        state=state,
        epoch=claim.epoch,
        reason=reason,
        definition=case.domain.definition if case.domain is not None else 0,
        refused="",
    )
