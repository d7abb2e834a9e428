# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, requests) -> Plan* for VMs: pure, and all that can be refused is refused here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from . import (
    admission,
    hardware_changes,
    node_limits,
    paths,
    placement,
    plan_vm_actions,
    vm_hardware_options,
    vm_parting,
    vm_rules,
)
from .codec import Stored, encode
from .plan import Change, Plan, each, guard
from .records import PLACEMENTS, Claim, Rule, Vm
from .requests import UNSET, CloneRequest, VmRequest
from .rule_report import desired_rule
from .snapshot import Snapshot
from .store import Check, Create, Op, Set
from .views import LIVE, desired_vm, vm_status
from .vm_options import SHUTDOWN_TIMEOUT, VmChecker
from .vm_rules import Present

#: Fields that count requests: what each request comes to is said in words of its own.
_COUNTERS = ("restart", "reset")

#: Options that a deletion may be given.
_ABSENT_OPTIONS = frozenset({"name", "state", "delete_volumes"})


def plan_vms(snapshot: Snapshot, requests: Sequence[VmRequest]) -> Plan:
    """Plan any number of VMs at once; raises InvalidRequest, DamagedRecord or Refusals for what cannot be."""
    work = _Work(snapshot)
    each(requests, work.add)
    return work.plan()


class _Work:
    """A plan in the making: what the snapshot has, and what the requests so far have taken of it."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.placement = placement.Placement(snapshot)
        self.users = vm_rules.Users(snapshot.vms)
        for name, stored in snapshot.vms.items():
            if stored.value is not None:
                self.users.hold(name, vm_parting.held(snapshot, name, stored.value))
        self.vms = dict(snapshot.vms)
        self.claims = dict(snapshot.claims)
        self.grown: dict[str, bool] = {}
        self.rivals: set[str] = set()
        self.rules = dict(snapshot.rules)
        self.removed: dict[str, VmChecker] = {}
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: VmRequest) -> None:
        check = VmChecker(request.name, self.snapshot.schema.id)
        name = check.name(request.name)
        if name in self.why:
            check.refuse("name", "it is in the list twice", "name each VM once")
        before = vm_rules.present(self.snapshot, name)
        if request.new_name is not UNSET:
            self._rename(check, request, before)
            return
        if request.state == "absent":
            self._remove(check, request, before)
            return
        if request.delete_volumes not in (UNSET, False):
            check.refuse("delete_volumes", "it is only for state absent", "leave it out")
        if before is None:
            self._create(check, request)
        elif before.vm.state == "absent":
            check.refuse("state", "it is being deleted", "wait until it is gone, then create it again")
        else:
            self._update(check, request, before)

    def plan(self) -> Plan:
        after = dataclasses.replace(
            self.snapshot,
            vms=MappingProxyType(self.vms),
            claims=MappingProxyType(self.claims),
            rules=MappingProxyType(self.rules),
        )
        plan_vm_actions.sources_stay(self.vms, self.removed)
        admission.admit(self.snapshot, after, self.grown, self.why)
        stay = [Check(paths.claim(name), self.snapshot.claims[name].version) for name in sorted(self.rivals)]
        basis = (*guard(self.snapshot), *stay)
        return Plan(tuple(self.changes), tuple(self.groups), basis, after, MappingProxyType(self.why))

    def _create(self, check: VmChecker, request: VmRequest) -> None:
        name = request.name
        if request.state is not UNSET and request.state in plan_vm_actions.ACTIONS:
            plan_vm_actions.act(check, request.state, None)
        uuid = check.derived_uuid(self.users.uuids)
        if request.clone_from is not UNSET:
            vm = self._copy(check, request, uuid)
        elif request.like is not UNSET:
            base = dataclasses.replace(plan_vm_actions.as_defined(request.like), uuid=uuid, disks=(), nics=())
            nics = plan_vm_actions.clone_nics(request.like.nics)
            vm = _with_options(check, dataclasses.replace(request, nics=nics), base, new=True)
        else:
            if request.memory is UNSET:
                check.refuse("memory", "it is missing", "a new VM needs its memory in MiB")
            vm = _with_options(check, request, Vm(uuid=uuid, memory=request.memory), new=True)
        # whatever it is made like
        vm = dataclasses.replace(vm, born=0)
        self.users.check(check, name, vm)
        if vm.ha.power_off:
            vm_rules.power_can_be_taken(check, self.snapshot, vm)
        if vm.node is None:
            vm_rules.reachable(check, self.snapshot, vm)
        node, reason = placement.choose(self.placement, name, vm)
        claim = Claim(node, 1)
        self.placement.put({name: vm}, node)
        self.users.add(name, vm)
        self.vms[name], self.claims[name] = Stored(vm, 0), Stored(claim, 0)
        ops = (
            Create(paths.vm(name), encode(vm)),
            Create(paths.claim(name), encode(claim)),
            Create(paths.assigned(node, name)),
        )
        self.grown[name] = _forced(check, request)
        self._change(name, None, desired_vm(vm), f"created on {node}: {reason}", ops)

    def _update(self, check: VmChecker, request: VmRequest, before: Present) -> None:
        name, old = before.name, before.vm
        vm = self._finished(name, _with_options(check, request, old), old)
        if vm == old:
            self.why[name] = "nothing to change"
            return
        vm_rules.owned(check, self.snapshot, before)
        vm = dataclasses.replace(vm, parting=vm_parting.parting(check, self.snapshot, name, old, vm))
        self.users.check(check, name, vm)
        if (vm.disks, vm.nics) != (old.disks, old.nics):
            vm_rules.reachable(check, self.snapshot, vm)
        if vm.ha.power_off and not old.ha.power_off:
            vm_rules.power_can_be_taken(check, self.snapshot, vm)
        if (vm.node, vm.state) != (old.node, old.state):
            vm_rules.movable(check, before, vm)
        self.rivals.update(vm_rules.gives_way(check, self.placement, self.vms, before, vm))
        vm_rules.room(check, self.placement, before, vm)
        generation = old.generation + 1
        hardware = hardware_changes.differ(old, vm)
        vm = dataclasses.replace(vm, generation=generation, definition=generation if hardware else old.definition)
        self.users.add(name, vm)
        if admission.grows(old, vm):
            self.grown[name] = _forced(check, request)
        observed = vm_status(self.snapshot, name)
        later: tuple[str, ...] = ()
        if vm.state == "started" and observed is not None and observed.state in LIVE and vm.restart == old.restart:
            later = hardware_changes.compare(old, vm).later
        parts = [_differences(desired_vm(old), desired_vm(vm)), *plan_vm_actions.acted(old, vm)]
        why = "; ".join(part for part in parts if part)
        if later:
            why += f"; at its next start: {', '.join(later)}"
        if vm.devices.host and vm.migration.method == "live" and not old.devices.host:
            why += "; with devices of its node it cannot move while it runs, and is stopped for that"
        if vm.node not in (None, before.owner) and vm.state == "started":
            why += f"; it moves from {before.owner} to {vm.node} {'while it runs' if vm.live else 'and is stopped for that'}"
        self._set(before, vm, desired_vm(vm), why)

    def _finished(self, name: str, vm: Vm, old: Vm) -> Vm:
        """A changed record does not carry on a rollback that is done: no later owner shall think of it."""
        observed = vm_status(self.snapshot, name)
        done = vm.rollback is not None and observed is not None and observed.rollback == vm.rollback.serial
        return dataclasses.replace(vm, rollback=None) if done and vm != old else vm

    def _copy(self, check: VmChecker, request: VmRequest, uuid: str) -> Vm:
        """A new VM that begins as a copy of another one; what is asked for beside that comes on top."""
        origin = cast(CloneRequest, request.clone_from)
        base = plan_vm_actions.clone(check, self.snapshot, origin, uuid)
        source = cast(Vm, self.snapshot.vms[origin.vm].value)
        asked = None if request.disks is UNSET else request.disks
        disks = tuple(plan_vm_actions.clone_disks(check, origin, source, asked))
        nics = plan_vm_actions.clone_nics(source.nics) if request.nics is UNSET else request.nics
        vm = _with_options(check, dataclasses.replace(request, disks=UNSET, nics=nics), base, new=True)
        return dataclasses.replace(vm, disks=disks)

    def _rename(self, check: VmChecker, request: VmRequest, before: Present | None) -> None:
        new = plan_vm_actions.rename(check, self.snapshot, request, before)
        if not new or before is None:
            self.why[request.name] = "it has that name already"
            return
        if new in self.vms:
            check.refuse("new_name", f"another VM of the list is to have the name {new}", "choose another name")
        vm_rules.owned(check, self.snapshot, before)
        vm, ops, rules = plan_vm_actions.renaming(self.snapshot, before, new)
        del self.vms[before.name]
        self.vms[new], self.claims[new] = Stored(vm, 0), dataclasses.replace(self.claims.pop(before.name), version=0)
        self.rules.update(rules)
        follow = f"; {', '.join(sorted(rules))} {'follow' if len(rules) > 1 else 'follows'}" if rules else ""
        said = f"renamed to {new}; its volumes and addresses stay as they are{follow}"
        self._change(before.name, {"name": before.name}, {"name": new}, said, ops)
        for rule, stored in rules.items():
            was, is_now = (desired_rule(cast(Rule, one.value)) for one in (self.snapshot.rules[rule], stored))
            self.changes.append(Change("rule", rule, was, is_now, f"it names {before.name}, which is {new} now"))

    def _remove(self, check: VmChecker, request: VmRequest, before: Present | None) -> None:
        for field in dataclasses.fields(request):
            if field.name not in _ABSENT_OPTIONS and getattr(request, field.name) is not UNSET:
                check.refuse(field.name, "it makes no sense with state absent", "leave it out")
        delete = request.delete_volumes is not UNSET and check.truth("delete_volumes", request.delete_volumes)
        if before is None:
            self.why[request.name] = "it does not exist"
            return
        old = before.vm
        if old.state == "absent" and request.delete_volumes in (UNSET, old.delete_volumes):
            self.why[request.name] = f"the agent of {before.owner} is deleting it already"
            return
        vm_rules.owned(check, self.snapshot, before)
        if delete:
            self.removed[before.name] = check
        vm = dataclasses.replace(old, state="absent", delete_volumes=delete, generation=old.generation + 1)
        volumes = ", ".join(f"{disk.pool}/{disk.volume}" for disk in old.disks)
        fate = f"; volumes {'removed' if delete else 'kept'}: {volumes}" if volumes else ""
        down = node_limits.why_down(self.snapshot, before.owner)
        late = f", once it can: {before.owner} {down}" if down else ""
        self._set(before, vm, None, f"deleted by the agent of {before.owner}{late}{fate}")

    def _set(self, before: Present, vm: Vm, after: Mapping[str, Any] | None, why: str) -> None:
        self.vms[before.name] = Stored(vm, before.version + 1)
        ops = (Set(paths.vm(before.name), encode(vm), before.version),)
        self._change(before.name, desired_vm(before.vm), after, why, ops)

    def _change(
        self,
        name: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
        why: str,
        ops: tuple[Op, ...],
    ) -> None:
        self.changes.append(Change("vm", name, before, after, why))
        self.groups.append(ops)
        self.why[name] = why


def _with_options(check: VmChecker, request: VmRequest, base: Vm, *, new: bool = False) -> Vm:
    """The record with the options given, each checked by itself; generation and definition as they were."""
    values: dict[str, Any] = plan_vm_actions.tags(check, request, base)
    if request.state is not UNSET and request.state in plan_vm_actions.ACTIONS:
        values |= plan_vm_actions.act(check, request.state, None if new else base)
    elif request.state is not UNSET:
        values["state"] = check.state(request.state)
    if request.node is not UNSET:
        values["node"] = None if request.node is None else check.name(request.node, "node")
    values |= vm_hardware_options.of_vm(check, request, base)
    if request.disks is not UNSET:
        known = plan_vm_actions.with_known_names(request.disks, base.disks)
        disks = [
            vm_hardware_options.of_disk(check, f"disks[{index}]", asked, disk)
            for index, (asked, disk) in enumerate(zip(known, check.disks(known), strict=True))
        ]
        values["disks"] = vm_rules.sized(check, base.disks, disks)
    if request.nics is not UNSET:
        values["nics"] = check.nics(plan_vm_actions.with_known_macs(request.nics, base.nics))
    if request.boot is not UNSET:
        values["boot"] = check.boot(request.boot)
    if request.description is not UNSET:
        values["description"] = check.text("description", request.description)
    if request.metadata is not UNSET:
        values["metadata"] = check.metadata(request.metadata)
    if request.autostart is not UNSET:
        values["autostart"] = check.truth("autostart", request.autostart)
    if request.shutdown_timeout is not UNSET:
        values["shutdown_timeout"] = check.number(
            "shutdown_timeout", request.shutdown_timeout, SHUTDOWN_TIMEOUT, "seconds"
        )
    if request.migration is not UNSET:
        values["migration"] = check.migration(request.migration, base.migration)
    if request.placement is not UNSET:
        values["placement"] = check.choice("placement", request.placement, ("", *PLACEMENTS))
    if request.document is not UNSET:
        values["document"] = request.document
    if request.ha is not UNSET:
        values["ha"] = check.ha(request.ha, base.ha)
    vm = dataclasses.replace(base, **values)
    vm_hardware_options.together(check, vm)
    return vm


def _forced(check: VmChecker, request: VmRequest) -> bool:
    return request.force is not UNSET and check.truth("force", request.force)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs, in words: short values in full, long ones by name."""
    parts = []
    for field in [*old]:
        if field in _COUNTERS:
            continue
        if isinstance(old[field], Mapping):
            changed = ((key, old[field].get(key), new[field].get(key)) for key in {**old[field], **new[field]})
            parts += [f"{field}.{key} {was} -> {now}" for key, was, now in changed if was != now]
        elif old[field] != new[field]:
            short = field not in ("description", "xml") and all(
                isinstance(view[field], (str, int)) for view in (old, new)
            )
            words = ["none" if view[field] == "" else view[field] for view in (old, new)]
            parts.append(f"{field} {words[0]} -> {words[1]}" if short else f"{field} changed")
    return ", ".join(parts)
