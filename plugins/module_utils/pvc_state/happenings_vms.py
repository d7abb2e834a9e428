# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of VMs: moves from their claims; failures and drift from what their owners report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from .happening import Cursor, Event, Scene, VmMark
from .records import Claim, Fence, Vm, VmStatus
from .views import LIVE, vm_status


class _Recovery(NamedTuple):
    """Why a VM was recovered: the fence, its node, and where the VM went in words. Empty for any other move."""

    fence: str = ""
    node: str = ""
    why: str = ""


def of_vms(before: Cursor, scene: Scene) -> tuple[list[Event], Mapping[str, VmMark]]:
    """What is new, and the marks of all VMs.

    A VM that is deleted and made anew has its old name, uuid and epochs again: only when it was created tells them apart.
    """
    events: list[Event] = []
    marks: dict[str, VmMark] = {}
    recovered = dict(_recovered(before, scene))
    snapshot = scene.snapshot
    for name, stored in snapshot.vms.items():
        vm, owned = stored.value, snapshot.claims.get(name)
        claim = owned.value if owned is not None else None
        if vm is None or owned is None or claim is None:
            continue
        life = f"{vm.uuid}:{vm.born or stored.czxid}"
        mark = before.vms.get(life) or VmMark(1, claim.node if claim.epoch == 1 else "")
        if claim.epoch != mark.epoch:
            events.append(_moved(name, life, vm, claim, owned.mzxid, mark, recovered.get(name, _Recovery())))
            mark = replace(mark, epoch=claim.epoch, node=claim.node, failures=0, given_up=0, stays="")
        observed = vm_status(snapshot, name)
        # what was written before it was made is of the one that had its name
        if observed is not None and snapshot.status[claim.node].mzxid > stored.czxid:
            more, mark = _reported(name, life, vm, claim, observed, snapshot.status[claim.node].mzxid, mark)
            events += more
        marks[life] = mark
    if len(marks) < len(snapshot.vms):
        # of a damaged record nobody knows whose it is
        marks = {**before.vms, **marks}
    return events, marks


def _recovered(before: Cursor, scene: Scene) -> Iterator[tuple[str, _Recovery]]:
    """By VM, the fence that moved it: of those that were not over when they were read last."""
    for past in scene.past.values():
        if past.value is not None and past.mzxid > before.zxid:
            yield from _of_fence(past.value.node, past.value.fence)
    for node, standing in scene.snapshot.fences.items():
        if standing.value is not None:
            yield from _of_fence(node, standing.value)


def _of_fence(node: str, fence: Fence) -> Iterator[tuple[str, _Recovery]]:
    yield from ((vm, _Recovery(fence.id, node, why)) for vm, why in fence.moves.items())


def _moved(name: str, life: str, vm: Vm, claim: Claim, zxid: int, mark: VmMark, recovery: _Recovery) -> Event:
    times = claim.epoch - mark.epoch
    source = f" from {mark.node}" if mark.node else ""
    by_way = f", in {times} moves" if times > 1 else ""
    because = f", since {recovery.node} is gone" if recovery.node else ""
    details = {
        "uuid": vm.uuid,
        "from": mark.node,
        "to": claim.node,
        "epoch": claim.epoch,
        "moves": times,
        "fence": recovery.fence,
        "why": recovery.why,
    }
    text = f"{name} has moved{source} to {claim.node}{by_way}{because}."
    return Event(f"vm_moved:{life}:{claim.epoch}", "vm_moved", zxid, "vm", name, claim.node, "", text, details)


def _reported(
    name: str, life: str, vm: Vm, claim: Claim, observed: VmStatus, zxid: int, mark: VmMark
) -> tuple[list[Event], VmMark]:
    """What is new in what its owner reports under its present claim, and the mark behind it."""
    node, under = claim.node, f"{life}:{claim.epoch}"
    reason = observed.reason.rstrip(".") or "for no reason that was noted"
    events: list[Event] = []

    def add(kind: str, key: str, text: str, **details: Any) -> None:
        what = {"uuid": vm.uuid, "why": observed.reason, **details}
        events.append(Event(f"{kind}:{key}", kind, zxid, "vm", name, node, "", text, what))

    count = {"failures": observed.failures, "restarts": observed.restarts}
    if observed.failures > mark.failures:
        new = observed.failures - mark.failures
        mark = replace(mark, failures=observed.failures)
        text = f"{name} has failed {f'{new} times ' if new > 1 else ''}on {node}: {reason}."
        add("vm_failed", f"{under}:{observed.failures}", text, given_up=False, new=new, **count)
    if observed.state == "failed" and observed.generation > mark.given_up:
        mark = replace(mark, given_up=observed.generation)
        text = f"{name} is not started again on {node}: {reason}."
        add("vm_failed", f"{under}:given up:{observed.generation}", text, given_up=True, new=0, **count)
    waits = observed.pending and observed.state in LIVE and observed.generation >= vm.generation
    if waits and vm.definition > mark.drift:
        mark = replace(mark, drift=vm.definition)
        text = f"{name} on {node} has yet to be restarted for changes of its record: {'; '.join(observed.pending)}."
        pending = list(observed.pending)
        add("drift", f"{life}:{vm.definition}", text, pending=pending, definition=vm.definition, wanted_on="")
    if observed.refused and observed.refused == claim.to != mark.stays:
        mark = replace(mark, stays=claim.to)
        text = f"{name} is to move to {claim.to}, but stays on {node}: {observed.moved or reason}."
        add("drift", f"{under}:{claim.to}", text, pending=[], definition=vm.definition, wanted_on=claim.to)
    return events, mark
