# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fold one event into the view. Pure: no decision is made here, only what is known changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from .answer import GIVEN_UP
from .case import pause
from .effects import (
    ArrangeSnapshots,
    CancelMove,
    ChangeDomain,
    DeleteVolumes,
    Depart,
    DestroyDomain,
    DestroyStray,
    DestroyUnasked,
    EnsureVolumes,
    GrowDisks,
    HandOver,
    MigrateDomain,
    ReleaseDomain,
    RemoveRecords,
    ResetDomain,
    ResumeDomain,
    RollBack,
    ShutdownDomain,
    StartDomain,
    WriteHealth,
    WriteStatus,
)
from .events import (
    Blinded,
    DomainGone,
    DomainSeen,
    Done,
    Enrolled,
    Event,
    FactsSeen,
    Failure,
    FenceSeen,
    HypervisorDown,
    HypervisorUp,
    LeaveSeen,
    LoadsSeen,
    Overdue,
    PolicySeen,
    ServicesSeen,
    StorageCutSeen,
    StorageSeen,
    VmSeen,
)
from .services import dated
from .view import Hypervisor, Leaving, Link, Memory, Storage, View

T = TypeVar("T")

#: Cause of an end that nobody watched.
UNWATCHED = "it ended while libvirt could not be watched"


#: What failed before has been done in the end, and has nothing to do with how the guest fares.
_WELL: Mapping[str, object] = {"attempts": 0, "reason": ""}


def absorb(now: float, view: View, event: Event) -> View:
    """The view after the event."""
    match event:
        case Enrolled():
            link = Link(session=event.session, enrolment=event.enrolment, blind_since=None, reason="")
            memory = view.memory or _remembered(event)
            services = replace(view.services, published=event.health)
            return replace(
                view,
                link=link,
                seen=event.seen,
                published=event.published,
                memory=memory,
                services=services,
                fence=event.fence,
                shutdown_policy=event.shutdown_policy,
            )
        case FenceSeen():
            return replace(view, fence=event.fence)
        case PolicySeen():
            return replace(view, shutdown_policy=event.shutdown_policy)
        case StorageSeen():
            return replace(view, storage=Storage(event.address, event.slow))
        case StorageCutSeen():
            return replace(view, storage=replace(view.storage, slow="", cut=event.reason))
        case LeaveSeen():
            if view.leaving is not None:
                return view
            return replace(view, leaving=Leaving(event.reboot, view.shutdown_policy, now, now))
        case Blinded():
            since = view.link.blind_since if view.link.blind_since is not None else now
            return replace(view, link=replace(view.link, blind_since=since, reason=event.reason, detail=event.detail))
        case VmSeen():
            if event.seen is None:
                return replace(view, seen=_without(view.seen, event.vm))
            return replace(view, seen={**view.seen, event.vm: event.seen})
        case HypervisorUp():
            lost = [vm for vm in view.domains if vm not in event.domains]
            for vm in lost:
                view = _ended(view, vm, UNWATCHED)
            processor = event.processor or view.hypervisor.processor
            left = event.left - event.domains.keys()
            return replace(view, hypervisor=Hypervisor(True, "", processor, left), domains=event.domains)
        case HypervisorDown():
            return replace(view, hypervisor=replace(view.hypervisor, up=False, reason=event.reason))
        case DomainSeen():
            return replace(_forget_left(view, event.vm), domains={**view.domains, event.vm: event.domain})
        case DomainGone():
            return _ended(view, event.vm, event.cause)
        case FactsSeen():
            return replace(view, facts=event.facts)
        case LoadsSeen():
            return replace(view, loads=event.loads)
        case ServicesSeen():
            return replace(view, services=dated(view.services, event.kind, event.services, event.at))
        case Overdue():
            if view.busy.get(event.effect.vm) is not event.effect:
                return view
            return _remember(view, event.effect.vm, overdue=event.reason)
        case Done():
            return _done(now, view, event)


def _remembered(event: Enrolled) -> Mapping[str, Memory]:
    """After a restart of the agent, the counters go on from what the agent before it has published."""
    if event.published is None:
        return {}
    return {
        vm: Memory(
            epoch=status.epoch,
            restarts=status.restarts,
            failed=status.failures,
            given_up=status.reason if status.reason.startswith(GIVEN_UP) else "",
            journey=status.moved,
        )
        for vm, status in event.published.vms.items()
        if (status.restarts or status.failures or status.moved or status.reason.startswith(GIVEN_UP))
        and vm in event.seen
    }


def _ended(view: View, vm: str, cause: str) -> View:
    if vm not in view.domains:
        return view
    view = replace(view, domains=_without(view.domains, vm))
    if isinstance(view.busy.get(vm), (DestroyDomain, DestroyStray, DestroyUnasked, MigrateDomain)):
        return view
    return _remember(view, vm, ended=cause)


def _done(now: float, view: View, event: Done) -> View:
    effect = event.effect
    if isinstance(effect, WriteStatus):
        if event.failure is None:
            return replace(view, writing=False, published=effect.status)
        return replace(view, writing=False, write_at=now + view.settings.first_pause)
    if isinstance(effect, WriteHealth):
        if event.failure is None:
            services = replace(view.services, writing=False, published=effect.health)
        else:
            services = replace(view.services, writing=False, write_at=now + view.settings.first_pause)
        return replace(view, services=services)
    if isinstance(effect, Depart):
        if event.failure is None:
            leaving = replace(view.leaving, over=True) if view.leaving is not None else None
            return replace(view, writing=False, published=effect.status, leaving=leaving)
        return replace(view, writing=False, write_at=now + view.settings.first_pause)
    vm = effect.vm
    if isinstance(effect, CancelMove):
        # while the move goes on, what it returns is waited for
        still = event.failure is None and isinstance(view.busy.get(vm), MigrateDomain)
        return _remember(view, vm, called_off=still, **({"trouble": event.reason} if event.failure else {}))
    if view.busy.get(vm) not in (None, effect):
        # what was not waited for, since its domain had to end
        return view
    view = _remember(replace(view, busy=_without(view.busy, vm)), vm, overdue="", called_off=False)
    match event.failure:
        case Failure.FAILED if isinstance(effect, MigrateDomain) or (
            isinstance(effect, HandOver) and not effect.with_guest
        ):
            return _remember(view, vm, refused=effect.right.claim_version, refusal=event.reason)
        case Failure.FAILED if isinstance(effect, ShutdownDomain):
            # should it be for a move: no guest is killed for that
            return _remember(
                view, vm, refused=effect.right.claim_version, refusal=event.reason, trouble=event.reason, volumes=()
            )
        case Failure.FAILED | Failure.AWAY if isinstance(effect, ChangeDomain):
            tries = view.memory.get(vm, Memory()).change_tries + 1
            until = now + pause(view.settings, tries)
            return _remember(view, vm, unchanged=event.reason, change_tries=tries, change_at=until, volumes=())
        case Failure.AWAY if isinstance(effect, ResumeDomain):
            # its guest waits, and nothing is wrong with it
            return _remember(view, vm, retry_at=now + view.settings.first_pause)
        case Failure.FAILED | Failure.AWAY if isinstance(effect, ReleaseDomain):
            tries = view.memory.get(vm, Memory()).release_tries + 1
            until = now + pause(view.settings, tries)
            return _remember(view, vm, unreleased=event.reason, release_tries=tries, release_at=until)
        case Failure.FAILED | Failure.AWAY:
            memory = view.memory.get(vm, Memory())
            if isinstance(effect, StartDomain) and event.failure is Failure.FAILED:
                view = _remember(view, vm, failures=memory.failures + 1, failed=memory.failed + 1)
            if isinstance(effect, EnsureVolumes) and vm not in view.domains and not memory.attempts:
                # no other node could start it either, so it is not given up; that it does not start is told once
                view = _remember(view, vm, failed=memory.failed + 1)
            # whatever was known of the volumes may be what is wrong
            return _remember(view, vm, trouble=event.reason, volumes=())
        case Failure.REFUSED | Failure.BLIND:
            return _stale(view, vm)
    match effect:
        case EnsureVolumes():
            return _remember(view, vm, volumes=effect.disks, barrier=effect.barrier)
        case ChangeDomain():
            return _remember(view, vm, unchanged="", change_tries=0, change_at=0.0)
        case MigrateDomain():
            return _remember(view, vm, moved=event.reason)
        case ArrangeSnapshots():
            return _remember(view, vm, snapshots=effect.names, **_WELL)
        case RollBack():
            return _remember(view, vm, rollback=effect.serial, **_WELL)
        case ResetDomain() | GrowDisks() | ReleaseDomain():
            return _remember(view, vm, **_WELL)
        case ResumeDomain() if event.reason:
            origin = view.memory.get(vm, Memory()).origin
            return _remember(view, vm, journey=f"from {origin} {event.reason}" if origin else event.reason)
        case DeleteVolumes():
            return _remember(view, vm, volumes_gone=True, volumes=())
        case HandOver() | RemoveRecords():
            # its own doing: the watch that tells of it may come later than this
            return _stale(_forget_left(view, vm), vm)
    return view


def _forget_left(view: View, vm: str) -> View:
    """What libvirt had noted of the VM's last domain here is history."""
    if vm not in view.hypervisor.left:
        return view
    return replace(view, hypervisor=replace(view.hypervisor, left=view.hypervisor.left - {vm}))


def _stale(view: View, vm: str) -> View:
    seen = view.seen.get(vm)
    return view if seen is None else replace(view, seen={**view.seen, vm: replace(seen, stale=True)})


def _remember(view: View, vm: str, **changes: object) -> View:
    memory = view.memory.get(vm, Memory())
    return replace(view, memory={**view.memory, vm: replace(memory, **changes)})  # type: ignore[arg-type]


def _without(mapping: Mapping[str, T], key: str) -> Mapping[str, T]:
    return {name: value for name, value in mapping.items() if name != key}
