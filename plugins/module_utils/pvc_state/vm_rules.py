# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a VM may become, given what it was and what the rest of the cluster has: one function for each refusal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import node_limits, paths
from .codec import Stored
from .errors import DamagedRecord
from .placement import Placement
from .records import Disk, Vm
from .snapshot import Snapshot
from .views import vm_status
from .vm_options import VmChecker


@dataclass(frozen=True)
class Present:
    """A VM that exists with sound records: its znode's version, and the node that has its claim."""

    name: str
    vm: Vm
    version: int
    owner: str


class Users:
    """Which VM uses which volume, address and id. What a VM gives up stays its own for the rest of the plan."""

    def __init__(self, vms: Mapping[str, Stored[Vm]]) -> None:
        self._volumes: dict[tuple[str, str], str] = {}
        self._parting: dict[tuple[str, str], str] = {}
        self._macs: dict[str, str] = {}
        self.uuids: set[str] = set()
        for name, stored in vms.items():
            if stored.value is not None:
                self.add(name, stored.value)

    def add(self, name: str, vm: Vm) -> None:
        """Take note of what a VM uses."""
        for disk in vm.disks:
            self._volumes.setdefault((disk.pool, disk.volume), name)
        for nic in vm.nics:
            self._macs.setdefault(nic.mac, name)
        self.uuids.add(vm.uuid)

    def hold(self, name: str, volumes: Iterable[str]) -> None:
        """Volumes (``POOL/VOLUME``) that are a VM's no more, and that it has not let go of."""
        for volume in volumes:
            pool, _slash, image = volume.partition("/")
            self._parting.setdefault((pool, image), name)

    def check(self, check: VmChecker, name: str, vm: Vm) -> None:
        """Nothing that the VM uses is used by another, or twice by itself."""
        volumes: set[tuple[str, str]] = set()
        for index, disk in enumerate(vm.disks):
            key = (disk.pool, disk.volume)
            last = self._parting.get(key, name)
            if last != name:
                problem = f"volume {disk.pool}/{disk.volume} was taken from vm {last}, which has not let go of it yet"
                check.refuse(f"disks[{index}].volume", problem, f"wait until it has, or stop {last}")
            user = self._volumes.get(key, name)
            if user != name or key in volumes:
                whose = f"vm {user}" if user != name else "another disk of this VM"
                problem = f"volume {disk.pool}/{disk.volume} is used by {whose}"
                check.refuse(f"disks[{index}].volume", problem, "name another volume")
            volumes.add(key)
        macs: set[str] = set()
        for index, nic in enumerate(vm.nics):
            user = self._macs.get(nic.mac, name)
            if user != name or nic.mac in macs:
                whose = f"vm {user}" if user != name else "another interface of this VM"
                check.refuse(f"nics[{index}].mac", f"{nic.mac} is used by {whose}", "give another address, or none")
            macs.add(nic.mac)


def present(snapshot: Snapshot, name: str) -> Present | None:
    """The VM as it is, None if there is none; raises DamagedRecord when its records cannot be relied on."""
    vm, claim = snapshot.vms.get(name), snapshot.claims.get(name)
    if vm is None:
        return None
    if vm.value is None:
        raise _damaged(name, paths.vm(name), vm.invalid)
    if claim is None or claim.value is None:
        raise _damaged(name, paths.claim(name), claim.invalid if claim else "the znode does not exist")
    return Present(name, vm.value, vm.version, claim.value.node)


def _damaged(name: str, path: str, reason: str) -> DamagedRecord:
    return DamagedRecord(
        f"{path} holds no valid record: {reason}",
        obj=f"vm {name}",
        remedy=f"restore it, or delete {paths.vm(name)}, {paths.claim(name)} and {paths.assigned('NODE', name)} once "
        "no node runs the VM",
    )


def sized(check: VmChecker, old: Sequence[Disk], new: Sequence[Disk]) -> tuple[Disk, ...]:
    """A disk that the VM has keeps its size and its source; a size that is given must not be smaller."""
    sizes = {(disk.pool, disk.volume): disk.size for disk in old}
    sources = {(disk.pool, disk.volume): disk.source for disk in old}
    disks = []
    for index, disk in enumerate(new):
        key = (disk.pool, disk.volume)
        size = disk.size
        if key in sizes:
            size = sizes[key]
            if disk.size not in (None, size):
                option, volume = f"disks[{index}].size", f"volume {disk.pool}/{disk.volume}"
                if size is None:
                    check.refuse(option, f"{volume} was attached as it was, without a size", "leave the size out")
                if disk.size is not None and disk.size < size:
                    problem = f"{volume} has {size} bytes and cannot shrink"
                    check.refuse(option, problem, f"give at least {size}, or leave the size out")
                size = disk.size
        disks.append(dataclasses.replace(disk, size=size, source=sources.get(key, disk.source)))
    return tuple(disks)


def at_rest(check: VmChecker, snapshot: Snapshot, before: Present, option: str, remedy: str) -> None:
    """The VM is off, as its user wants, it stays where it is, and its agent has said so of this very record."""
    observed, claim = vm_status(snapshot, before.name), snapshot.claims[before.name].value
    if claim is not None and claim.to:
        check.refuse(option, f"vm {before.name} is on its way to {claim.to}", "wait until it has arrived")
    if before.vm.state not in ("stopped", "disabled"):
        check.refuse(option, f"vm {before.name} is not stopped: its state is {before.vm.state}", remedy)
    if observed is None or observed.state != "stopped" or observed.generation != before.vm.generation:
        doing = f"is {observed.state}" if observed is not None else "has not been reported yet"
        check.refuse(option, f"vm {before.name} is to be stopped, but it {doing}", "wait until it is stopped")


def reachable(check: VmChecker, snapshot: Snapshot, vm: Vm) -> None:
    """A pool or bridge that no live node has is rather a typing error than a matter of placement."""
    live = [report for node in snapshot.alive if (report := snapshot.report(node)) is not None]
    if not live:
        return
    pools = {pool for report in live for pool in report.pools}
    for index, disk in enumerate(vm.disks):
        if disk.pool not in pools:
            known = f"give one of {', '.join(sorted(pools))}" if pools else "no node reaches any pool"
            check.refuse(f"disks[{index}].pool", f"no live node reaches a pool {disk.pool}", known)
    bridges = {bridge for report in live for bridge in report.bridges}
    for index, nic in enumerate(vm.nics):
        if nic.bridge not in bridges:
            known = f"give one of {', '.join(sorted(bridges))}" if bridges else "no node has any bridge"
            check.refuse(f"nics[{index}].bridge", f"no live node has a bridge {nic.bridge}", known)


def owned(check: VmChecker, snapshot: Snapshot, before: Present) -> None:
    """The claim's node is part of the cluster: its agent is who makes changes true."""
    if before.owner not in snapshot.nodes:
        problem = f"its claim is held by {before.owner}, which is no longer part of the cluster"
        check.refuse("", problem, f"declare node {before.owner} again")


def power_can_be_taken(check: VmChecker, snapshot: Snapshot, vm: Vm) -> None:
    """A VM that needs its dead node off is never recovered if nothing can tell that the node is off."""
    if "powered_off" not in snapshot.policy.evidence:
        problem = "the cluster's settings do not accept powered_off as evidence, so it would never be recovered"
        check.refuse("ha.power_off", problem, "accept powered_off in the settings, too")
    where = {vm.node} if vm.node is not None else set(snapshot.nodes)
    if not any(node.value.fence for name, node in snapshot.nodes.items() if name in where and node.value is not None):
        problem = (
            f"{f'node {vm.node}' if vm.node else 'every node'} lacks a fence device that could prove that it is off"
        )
        check.refuse("ha.power_off", problem, "declare fence devices of the nodes first")


def movable(check: VmChecker, before: Present, vm: Vm) -> None:
    """A VM that runs is moved by the leader, one that does not by its owner; one that is left alone by nobody."""
    if vm.state == "ignored" and vm.node not in (None, before.owner):
        problem = f"it belongs to {before.owner}, and its state is ignored, so that it is left where it is"
        check.refuse("node", problem, "give it another state first")


def gives_way(
    check: VmChecker, placement: Placement, vms: Mapping[str, Stored[Vm]], before: Present, vm: Vm
) -> tuple[str, ...]:
    """What is off gives way to VMs that are kept apart from it and may run nowhere else: it is not started meanwhile.

    Returns the VMs that must not have come to its node in the meantime.
    """
    if vm.state != "started" or before.vm.state == "started":
        return ()
    rivals = []
    here = {*placement.places(before.name), before.owner}
    for rule in placement.rules.apart(before.name):
        for other in placement.rules.members(rule):
            stored = vms.get(other)
            if other == before.name or stored is None or stored.value is None or stored.value.state != "started":
                continue
            strict = [one for one in placement.rules.preferences(other) if one.strict]
            if not strict:
                continue
            shared = sorted(here & {*placement.places(other)})
            if shared and all(shared[0] in one.nodes for one in strict):
                problem = f"rule {rule} keeps it apart from {other}, to which it gives way on {shared[0]}"
                check.refuse("state", problem, "start it once it has moved, which happens by itself when it can")
            if other in placement.snapshot.claims and any(all(node in one.nodes for one in strict) for node in here):
                rivals.append(other)
    return tuple(sorted(set(rivals)))


def room(check: VmChecker, placement: Placement, before: Present, vm: Vm) -> None:
    """The nodes that the VM is on, or is to go to, have what it now needs; the placement takes note of it."""
    old = set(placement.snapshot.places(before.name, before.vm))
    new = set(placement.snapshot.places(before.name, vm))
    for node in sorted(new):
        if node not in old:
            against = placement.why_not({before.name: vm}, node)
            if against:
                check.refuse("node", f"node {node} {against}", "name another node")
        elif vm.memory > before.vm.memory or vm.disks != before.vm.disks or vm.nics != before.vm.nics:
            _grows(check, placement, node, before.vm, vm)
        if node in old and not node_limits.why_down(placement.snapshot, node):
            _to_itself(check, placement, node, before.name, vm)
    for node in new & old:
        _asks_more(check, placement, node, before.vm, vm)
        placement.change(before.name, before.vm, vm, node)
    for node in old - new:
        placement.change(before.name, before.vm, None, node)
    for node in new - old:
        placement.put({before.name: vm}, node)


def _asks_more(check: VmChecker, placement: Placement, node: str, before: Vm, vm: Vm) -> None:
    """A node that the VM stays on has the vCPUs and the CPU model that it newly asks for."""
    more, left = vm.vcpus - before.vcpus, max(placement.vcpus.get(node, 0), 0)
    if placement.vcpus and more > left:
        ratio = placement.snapshot.policy.vcpu_ratio
        problem = f"node {node} has {left} left of the vCPUs that vcpu_ratio {ratio:g} allows, {more} more are needed"
        check.refuse("vcpus", problem, f"give at most {before.vcpus + left}, or move it to another node")
    report = placement.snapshot.report(node)
    if vm.cpu.model != before.cpu.model and report is not None and not node_limits.has_model(report, vm.cpu.model):
        problem = f"node {node} cannot give guests the CPU model {vm.cpu.model}"
        check.refuse("cpu.model", problem, "name another one, or move it to a node that can")


def _grows(check: VmChecker, placement: Placement, node: str, before: Vm, vm: Vm) -> None:
    snapshot = placement.snapshot
    down = node_limits.why_down(snapshot, node)
    if down:
        check.refuse("node", f"node {node} {down}", "change memory, disks and nics once the node is back")
    more, left = vm.memory - before.memory, max(placement.room.get(node, 0), 0)
    if more > left:
        problem = f"node {node} has {left} MiB free, {more} more are needed"
        check.refuse("memory", problem, f"give at most {before.memory + left}, or free memory on {node}")
    lacking = node_limits.why_unreachable(snapshot, node, vm)
    if lacking:
        check.refuse("disks" if "pool" in lacking else "nics", f"node {node} {lacking}", "name what the VM's node has")


def _to_itself(check: VmChecker, placement: Placement, node: str, name: str, vm: Vm) -> None:
    """What the VM is to have for itself is there, and nobody else's."""
    for index, device in enumerate(vm.devices.host):
        option, others = f"devices.host[{index}]", placement.holders(device, node) - {name}
        has = placement.devices.get(device, {}).get(node, 0)
        if not has:
            check.refuse(option, f"node {node} has no device {device}", "declare it of the node, or name another one")
        if len(others) >= has:
            check.refuse(option, f"device {device} of node {node} is used by vm {min(others)}", "name another one")
    lacking = placement.why_no_processors({name: vm}, node)
    if lacking:
        check.refuse("cpu.dedicated", f"node {node} {lacking}", "ask for less, or share them")
