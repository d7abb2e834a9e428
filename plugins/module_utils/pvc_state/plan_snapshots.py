# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, requests) -> Plan* for snapshots of VMs' disks: pure, and all that can be refused is refused here.

What is planned is the list in the VM's record; its owner's agent makes it true.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, cast

from . import paths, vm_rules
from .codec import Stored, encode
from .plan import Change, Plan, guard, sentence
from .records import DiskSnapshot, Rollback, Vm
from .requests import UNSET, SnapshotRequest
from .snapshot import Snapshot
from .store import Set
from .views import snapshot_view, vm_status
from .vm_options import Checker, VmChecker
from .vm_rules import Present

STATES = ("present", "absent", "rolled_back")
#: How many a VM can have; each costs Ceph something whenever the guest writes.
SNAPSHOTS = 128
KEEP = range(SNAPSHOTS + 1)

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_RULE = "use 1 to 63 of letters, digits, _ . and -, with a letter, digit or _ first"


def plan_snapshots(snapshot: Snapshot, requests: Sequence[SnapshotRequest]) -> Plan:
    """Plan any number of snapshots at once; raises InvalidRequest or DamagedRecord for the first that cannot be."""
    work = _Work(snapshot)
    for request in requests:
        work.add(request)
    return work.plan()


class _Work:
    """A plan in the making: each VM that changes, with what is said of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.vms = dict(snapshot.vms)
        self.before: dict[str, Present] = {}
        self.asked: set[tuple[str, str]] = set()
        self.said: dict[str, list[str]] = {}

    def add(self, request: SnapshotRequest) -> None:
        check = Checker(f"snapshot {request.name} of vm {request.vm}")
        vm = VmChecker(request.vm, self.snapshot.schema.id).name(request.vm, "vm")
        name = check.pattern("name", request.name, _NAME, _RULE)
        state = check.choice("state", request.state, STATES)
        if (vm, name) in self.asked:
            check.refuse("name", "it is in the list twice", "name each snapshot of a VM once")
        self.asked.add((vm, name))
        before = vm_rules.present(self.snapshot, vm)
        if before is None or before.vm.state == "absent":
            if state == "absent":
                self._nothing(vm, f"vm {vm} does not exist" if before is None else f"vm {vm} is being deleted")
                return
            why = "does not exist" if before is None else "is being deleted"
            check.refuse("vm", f"vm {vm} {why}", "name a VM of the cluster")
        if state != "present":
            for option in ("series", "keep", "description"):
                if getattr(request, option) is not UNSET:
                    check.refuse(option, f"it makes no sense with state {state}", "leave it out")
        self.before[vm] = before
        now = cast(Vm, self.vms[vm].value)
        {"present": self._make, "absent": self._remove, "rolled_back": self._roll_back}[state](check, request, now)

    def plan(self) -> Plan:
        changes: list[Change] = []
        groups, why = [], {}
        vms = dict(self.snapshot.vms)
        for name, said in self.said.items():
            before, stored = self.before.get(name), self.vms.get(name)
            why[name] = sentence(said)
            if before is None or stored is None or stored.value is None or stored.value == before.vm:
                continue
            vm = dataclasses.replace(stored.value, generation=before.vm.generation + 1)
            vms[name] = Stored(vm, before.version + 1)
            changes += _changes(name, before.vm, vm, why[name])
            groups.append((Set(paths.vm(name), encode(vm), before.version),))
        after = dataclasses.replace(self.snapshot, vms=MappingProxyType(vms))
        return Plan(tuple(changes), tuple(groups), guard(self.snapshot), after, MappingProxyType(why))

    def _make(self, check: Checker, request: SnapshotRequest, vm: Vm) -> None:
        name = request.vm
        old = next((one for one in vm.snapshots if one.name == request.name), None)
        disks = tuple(f"{disk.pool}/{disk.volume}" for disk in vm.disks)
        new = DiskSnapshot(request.name, request.at, id=self._identity(request, vm), disks=disks)
        made = self._with_options(check, request, old or new)
        if old is None:
            if not vm.disks:
                check.refuse("vm", f"vm {name} has no disks", "give it one, or leave the snapshot out")
            self._free(check, request, vm)
            rest, said = vm.snapshots, f"snapshot {made.name} is made"
        else:
            rest = tuple(made if one.name == made.name else one for one in vm.snapshots)
            said = f"snapshot {made.name} exists" if made == old else f"snapshot {made.name} is described anew"
        snapshots = (*rest, made) if old is None else rest
        if made.series and made.keep:
            series = [one.name for one in snapshots if one.series == made.series]
            # what is being rolled back to is kept until that is done
            over = set(series[: -made.keep]) - {self._target(name, vm)}
            snapshots = tuple(one for one in snapshots if one.name not in over)
            if over:
                said += f", and {', '.join(sorted(over))} of series {made.series} removed: {made.keep} are kept"
        check.at_most("name", snapshots, SNAPSHOTS)
        self._set(name, dataclasses.replace(vm, snapshots=snapshots, snapped=True), said)

    def _free(self, check: Checker, request: SnapshotRequest, vm: Vm) -> None:
        """A name that was removed is free when its snapshot is: users shall not take the old one for the new one."""
        observed = vm_status(self.snapshot, request.vm)
        if observed is not None and request.name in observed.snapshots:
            check.refuse("name", "the last one of that name is still being removed", "wait until it is gone")
        if vm.state == "ignored":
            check.refuse("vm", "its state is ignored, and so it is left as it is", "give it another state first")

    def _remove(self, check: Checker, request: SnapshotRequest, vm: Vm) -> None:
        if vm.state == "ignored":
            check.refuse("vm", "its state is ignored, and so it is left as it is", "give it another state first")
        if request.name not in {one.name for one in vm.snapshots}:
            self._nothing(request.vm, f"there is no snapshot {request.name}")
            return
        rest = tuple(one for one in vm.snapshots if one.name != request.name)
        made, said = dataclasses.replace(vm, snapshots=rest, snapped=True), f"snapshot {request.name} is removed"
        if self._target(request.vm, vm) == request.name:
            self._is_off(check, request, vm)
            made, said = dataclasses.replace(made, rollback=None), f"{said}, and the rollback to it called off"
        self._set(request.vm, made, said)

    def _roll_back(self, check: Checker, request: SnapshotRequest, vm: Vm) -> None:
        known, observed = [one.name for one in vm.snapshots], vm_status(self.snapshot, request.vm)
        if request.name not in known:
            listed = f"give one of {', '.join(known)}" if known else "the VM has none"
            check.refuse("name", f"vm {request.vm} has no snapshot {request.name}", listed)
        if self._target(request.vm, vm):
            self._is_off(check, request, vm)
        else:
            remedy = "stop it first: what it has written since is lost then"
            vm_rules.at_rest(VmChecker(request.vm, ""), self.snapshot, self.before[request.vm], "state", remedy)
        if observed is None or request.name not in observed.snapshots:
            check.refuse("name", "it has not been made yet", "wait until it is there")
        disks = next(one.disks for one in vm.snapshots if one.name == request.name)
        later = [f"{disk.pool}/{disk.volume}" for disk in vm.disks if f"{disk.pool}/{disk.volume}" not in disks]
        if disks and later:
            why = f"it has nothing of volume {later[0]}, which was added later"
            check.refuse("name", why, "take that away from the VM, or choose another snapshot")
        # its generation tells one request from every other of this VM
        back = Rollback(request.name, vm.generation + 1, self._identity(request, vm))
        said = f"its disks are taken back to snapshot {request.name}; what was written since is lost"
        self._set(request.vm, dataclasses.replace(vm, rollback=back), said)

    def _is_off(self, check: Checker, request: SnapshotRequest, vm: Vm) -> None:
        """A rollback that is not done may be one that cannot be done: while nothing runs there is a way out of it."""
        observed, claim = vm_status(self.snapshot, request.vm), self.snapshot.claims[request.vm].value
        moves = claim is not None and claim.to
        if moves or observed is None or observed.state not in ("stopped", "backoff"):
            why = f"the VM is being rolled back to {self._target(request.vm, vm)}"
            check.refuse("state", why, "wait until that is done, or stop the VM first")

    def _target(self, name: str, vm: Vm) -> str:
        """The snapshot that the VM is being rolled back to; empty when it is not."""
        observed, back = vm_status(self.snapshot, name), vm.rollback
        done = back is None or (observed is not None and observed.rollback == back.serial)
        return "" if back is None or done else back.snapshot

    @staticmethod
    def _identity(request: SnapshotRequest, vm: Vm) -> str:
        """One that no other request has: a VM with the same name as one before may have its uuid and its generations."""
        return f"{vm.uuid}.{vm.generation + 1}.{request.at}"

    def _with_options(self, check: Checker, request: SnapshotRequest, base: DiskSnapshot) -> DiskSnapshot:
        values: dict[str, Any] = {}
        if request.series is not UNSET:
            values["series"] = check.pattern("series", request.series, _NAME, _RULE) if request.series else ""
        if request.keep is not UNSET:
            values["keep"] = check.number("keep", request.keep, KEEP)
        if request.description is not UNSET:
            values["description"] = check.text("description", request.description)
        made = dataclasses.replace(base, **values)
        if made.keep and not made.series:
            check.refuse("keep", "it belongs to no series", "give it a series, of which so many are kept")
        return made

    def _set(self, name: str, vm: Vm, said: str) -> None:
        self.vms[name] = dataclasses.replace(self.vms[name], value=vm)
        self.said.setdefault(name, []).append(said)

    def _nothing(self, name: str, said: str) -> None:
        self.said.setdefault(name, []).append(said)


def _changes(name: str, old: Vm, new: Vm, why: str) -> list[Change]:
    """The snapshots that come, go or change."""
    before, after = ({one.name: _view(one) for one in vm.snapshots} for vm in (old, new))
    changes = [
        Change("snapshot", f"{one} of vm {name}", before.get(one), after.get(one), why)
        for one in {**before, **after}
        if before.get(one) != after.get(one)
    ]
    if new.rollback != old.rollback and new.rollback is not None:
        changes.append(Change("rollback", f"of vm {name}", None, {"snapshot": new.rollback.snapshot}, why))
    return changes


def _view(one: DiskSnapshot) -> dict[str, Any]:
    """Without the time: what check mode shows is what is done later."""
    view = snapshot_view(one)
    del view["at"]
    return view
