# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user has done to a VM, beside what it should be: restarts, another name, a copy of another VM. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import paths, vm_rules
from .codec import Stored, encode
from .errors import DamagedRecord
from .records import Claim, Disk, Nic, Rule, Vm
from .requests import UNSET, CloneRequest, DiskRequest, NicRequest, VmRequest
from .snapshot import Snapshot
from .store import Create, Delete, Op, Set
from .vm_options import TAGS, VmChecker, rbd_snapshot
from .vm_rules import Present

#: States that are asked for but not wanted for good: each request is carried out once. With the counter of each.
ACTIONS: Mapping[str, str] = {"restarted": "restart", "reset": "reset"}

#: What two VMs never share, and a copy does not inherit.
_OWN: Mapping[str, Any] = {
    "document": "",
    "state": "started",
    "node": None,
    "disks": (),
    "nics": (),
    "delete_volumes": False,
    "generation": 1,
    "definition": 1,
    "restart": 0,
    "reset": 0,
    "snapshots": (),
    "snapped": False,
    "rollback": None,
    "parting": {},
}


def act(check: VmChecker, state: str, old: Vm | None) -> dict[str, Any]:
    """The fields that a request for an action changes."""
    if old is not None and state == "reset":
        if old.state != "started":
            problem = f"it is not to run (its state is {old.state}), so that there is nothing to reset"
            check.refuse("state", problem, "start it")
        return {"reset": old.reset + 1}
    if old is None:
        if state == "reset":
            check.refuse("state", "it does not exist, so that there is nothing to reset", "create it first")
        return {"state": "started"}
    return {"state": "started", "restart": old.restart + 1}


def acted(old: Vm, new: Vm) -> Iterator[str]:
    """What an action comes to, in words."""
    if new.restart > old.restart:
        yield "its guest is shut down and started again" if old.state == "started" else "it is started"
    if new.reset > old.reset:
        yield "its guest is reset"


def with_known_names(requests: Sequence[DiskRequest], disks: Sequence[Disk]) -> list[DiskRequest]:
    """Disks without the name of a volume are those that the VM has in the same place: also after it was renamed."""
    return [
        dataclasses.replace(one, volume=disks[index].volume)
        if not one.volume and index < len(disks) and disks[index].pool == one.pool
        else one
        for index, one in enumerate(requests)
    ]


def with_known_macs(requests: Sequence[NicRequest], nics: Sequence[Nic]) -> list[NicRequest]:
    """Interfaces without an address keep the one that the VM has in the same place."""
    return [
        dataclasses.replace(one, mac=nics[index].mac) if not one.mac and index < len(nics) else one
        for index, one in enumerate(requests)
    ]


# --- another name -----------------------------------------------------------------------------------------------------


def rename(check: VmChecker, snapshot: Snapshot, request: VmRequest, before: Present | None) -> str:
    """Whether a VM may have the new name; returns it, or nothing when it has it already."""
    new = check.name(request.new_name, "new_name")
    for field in dataclasses.fields(request):
        if field.name not in ("name", "new_name") and getattr(request, field.name) is not UNSET:
            check.refuse(field.name, "a VM is renamed and nothing else", "change it in a request of its own")
    if before is None:
        if vm_rules.present(snapshot, new) is None:
            check.refuse("name", f"neither it nor {new} exists", "name a VM of the cluster")
        return ""
    if new == before.name:
        return ""
    if new in snapshot.vms:
        check.refuse("new_name", f"there is a VM {new} already", "choose another name")
    vm_rules.at_rest(check, snapshot, before, "new_name", "a VM that may run keeps its name")
    return new


def renaming(snapshot: Snapshot, before: Present, new: str) -> tuple[Vm, tuple[Op, ...], dict[str, Stored[Rule]]]:
    """The record under its new name; one group of operations: record, claim, index and the rules that name the VM; those rules."""
    old, claim = before.name, snapshot.claims[before.name]
    owner = claim.value or Claim("", 0)
    born = before.vm.born or snapshot.vms[old].czxid
    vm = dataclasses.replace(before.vm, generation=before.vm.generation + 1, born=born)
    ops: list[Op] = [
        Delete(paths.assigned(owner.node, old), 0),
        Delete(paths.claim(old), claim.version),
        Delete(paths.vm(old), before.version),
        Create(paths.vm(new), encode(vm)),
        Create(paths.claim(new), encode(owner)),
        Create(paths.assigned(owner.node, new)),
    ]
    rules = {}
    for name, stored in snapshot.rules.items():
        if stored.value is None:
            raise DamagedRecord(
                f"{paths.rule(name)} holds no valid record: {stored.invalid}",
                obj=f"rule {name}",
                remedy="restore or remove it: it may name the VM that is to be renamed",
            )
        if old in stored.value.vms:
            vms = tuple(sorted(new if one == old else one for one in stored.value.vms))
            rule = dataclasses.replace(stored.value, vms=vms, generation=stored.value.generation + 1)
            rules[name] = Stored(rule, stored.version + 1)
            ops.append(Set(paths.rule(name), encode(rule), stored.version))
    return vm, tuple(ops), rules


# --- a copy -----------------------------------------------------------------------------------------------------------


def clone(check: VmChecker, snapshot: Snapshot, request: CloneRequest, uuid: str) -> Vm:
    """What a copy begins with: everything of the other VM but what is its own, disks and interfaces included."""
    source = vm_rules.present(snapshot, check.name(request.vm, "clone_from.vm"))
    if source is None:
        check.refuse("clone_from.vm", f"vm {request.vm} does not exist", "name a VM of the cluster")
    if source.vm.state == "absent":
        check.refuse("clone_from.vm", f"vm {source.name} is being deleted", "name another VM")
    if request.snapshot:
        _has_snapshot(check, source, request.snapshot)
    else:
        remedy = "a VM that may run is cloned from one of its snapshots: name that, or stop the VM"
        vm_rules.at_rest(check, snapshot, source, "clone_from.snapshot", remedy)
    return dataclasses.replace(source.vm, uuid=uuid, **_OWN)


def as_defined(vm: Vm) -> Vm:
    """What a VM is, without what it shares with no other: what an export keeps of it."""
    return dataclasses.replace(vm, uuid="", **{**_OWN, "nics": vm.nics, "disks": vm.disks})


def _has_snapshot(check: VmChecker, source: Present, name: str) -> None:
    known = [one.name for one in source.vm.snapshots]
    if name not in known:
        listed = f"give one of {', '.join(known)}" if known else "it has none: make one first"
        check.refuse("clone_from.snapshot", f"vm {source.name} has no snapshot {name}", listed)


def clone_disks(check: VmChecker, request: CloneRequest, source: Vm, disks: Sequence[DiskRequest] | None) -> list[Disk]:
    """The disks of a copy: each a copy of the disk in the same place, and after those whatever else is asked for."""
    asked = disks if disks is not None else [DiskRequest(None, disk.pool) for disk in source.disks]
    if len(asked) < len(source.disks):
        check.refuse("disks", f"vm {request.vm} has {len(source.disks)} disks", "list all, or leave disks out")
    made = []
    for index, disk in enumerate(check.disks(asked)):
        if index < len(source.disks):
            of = source.disks[index]
            if disk.size is not None and of.size is not None and disk.size < of.size:
                check.refuse(
                    f"disks[{index}].size", f"its source has {of.size} bytes", f"give at least {of.size}, or nothing"
                )
            at = _at(source, request.snapshot)
            disk = dataclasses.replace(
                of, pool=disk.pool, volume=disk.volume, size=disk.size or of.size, source=f"{of.pool}/{of.volume}{at}"
            )
        made.append(disk)
    return made


def _at(source: Vm, snapshot: str | None) -> str:
    """What follows the volume in ``Disk.source``: the snapshot, and which of all that have had its name."""
    taken = next((one for one in source.snapshots if one.name == snapshot), None)
    if taken is None:
        return ""
    return f"@{rbd_snapshot(taken.name)}" + (f"#{taken.id}" if taken.id else "")


def clone_nics(nics: Sequence[Nic]) -> list[NicRequest]:
    """The same interfaces with addresses of their own."""
    return [NicRequest(nic.bridge, "", nic.model, nic.link) for nic in nics]


def sources_stay(vms: Mapping[str, Stored[Vm]], removed: Mapping[str, VmChecker]) -> None:
    """No volume is removed that a copy rests on, unless the copy goes, too. removed: VMs that go with their volumes."""
    gone = {
        f"{disk.pool}/{disk.volume}": check
        for name, check in removed.items()
        if (vm := vms[name].value) is not None
        for disk in vm.disks
    }
    if not gone:
        return
    for name, stored in vms.items():
        if stored.value is None or (stored.value.state == "absent" and stored.value.delete_volumes):
            continue
        for disk in stored.value.disks:
            origin = disk.source.partition("@")[0]
            if origin in gone:
                problem = f"{disk.pool}/{disk.volume} of vm {name} is a copy that rests on its volume {origin}"
                gone[origin].refuse("delete_volumes", problem, f"delete vm {name} first, or keep the volumes")


# --- tags -------------------------------------------------------------------------------------------------------------


def tags(check: VmChecker, request: VmRequest, base: Vm) -> dict[str, Any]:
    """Tags and which of them are protected: those stay whatever list is given, until they are named to be removed."""
    if request.tags is UNSET and request.protected_tags is UNSET and request.remove_tags is UNSET:
        return {}
    removed = set() if request.remove_tags is UNSET else set(check.tags(request.remove_tags, "remove_tags"))
    protected = set(base.protected)
    if request.protected_tags is not UNSET:
        protected = set(check.tags(request.protected_tags, "protected_tags"))
    found = set(base.tags) if request.tags is UNSET else set(check.tags(request.tags))
    both = removed & (protected if request.protected_tags is not UNSET else set())
    if both:
        check.refuse("remove_tags", f"tag {min(both)} is to be protected and removed", "leave it out of one of them")
    kept = (found | protected) - removed
    check.at_most("tags", sorted(kept), TAGS)
    return {"tags": tuple(sorted(kept)), "protected": tuple(sorted(protected - removed))}
