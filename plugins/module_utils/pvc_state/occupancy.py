# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What VMs hold of each node, and where they are for rules: as the snapshot says, and what was decided since. Pure.

Every VM holds its memory, its vCPUs and its host devices on the node that has its claim, running or not, and on the one
that it is to move to: so what is off can always be started where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from . import node_limits
from .records import Vm
from .rule_book import RuleBook
from .scores import Scores, Size
from .snapshot import Snapshot
from .views import LIVE, vm_status

#: Processors of a node that no VM can have to itself: they are left to the others, and to the node.
SHARED = 1

#: States of VMs that hold no place for rules: they are off, and nobody but a user can change that.
OFF = ("disabled", "absent")

#: States of VMs that those kept together with them follow. One that is ignored leads nobody.
FOLLOWED = ("started", "stopped")


class Needs(NamedTuple):
    """What VMs need of a node, whoever else uses it."""

    pools: frozenset[str]
    bridges: frozenset[str]
    models: frozenset[str]
    devices: frozenset[str]


class Occupancy:
    """Books of one pass: who holds what, and who is where.

    Attributes:
        closed: nodes that take nothing in this pass, each with the reason, as the end of a sentence.
        open: the others, by name.
        room: MiB left of each node. vcpus: vCPUs left of each node; empty where any number may be given.
        devices: how many host devices of a name each node has, by name and node.
    """

    def __init__(self, snapshot: Snapshot, excluded: Mapping[str, str] | None = None) -> None:
        self.snapshot = snapshot
        self.rules = RuleBook(snapshot)
        self.nodes = sorted(snapshot.nodes)
        self.closed: dict[str, str] = {}
        for node in self.nodes:
            against = (excluded or {}).get(node, "") or node_limits.why_closed(snapshot, node)
            if against:
                self.closed[node] = against
        self.open = [node for node in self.nodes if node not in self.closed]
        self.room = {node: node_limits.capacity(snapshot, node) - snapshot.reserved.get(node, 0) for node in self.nodes}
        ratio = snapshot.policy.vcpu_ratio
        self.vcpus = {node: node_limits.vcpu_limit(snapshot, node) for node in self.nodes} if ratio else {}
        self.devices = node_limits.devices(snapshot)
        self.scores = Scores(snapshot, self.open, self.room)
        self._reach: dict[Needs, list[str]] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._spots: dict[str, str] = {}
        self._apart: dict[str, dict[str, set[str]]] = {}
        self._holders: dict[tuple[str, str], set[str]] = {}
        self._own: dict[str, dict[str, int]] = {}
        self._notes: list[tuple[str, Vm, str, tuple[str, ...] | None, str | None, list[str]]] | None = None
        for name, stored in snapshot.vms.items():
            if stored.value is not None:
                self._begin(name, stored.value)

    def places(self, name: str) -> tuple[str, ...]:
        """Nodes where a VM is or is to be; the newest last. Empty for one that is off for good."""
        return self._places.get(name, ())

    def spot(self, name: str) -> str:
        """Where VMs that are kept together with this one go: its newest place. Empty: they do not follow it."""
        return self._spots.get(name, "")

    def kept_from(self, rule: str) -> Mapping[str, set[str]]:
        """The VMs of a rule ``apart``, by node."""
        return self._apart.get(rule, {})

    def holders(self, device: str, node: str) -> set[str]:
        """The VMs that have a host device of this name on a node."""
        return self._holders.get((device, node), set())

    def why_no_processors(self, unit: Mapping[str, Vm], node: str) -> str:
        """Why a node has no processors left that VMs could have to themselves, as the end of a sentence; empty: it has."""
        needed = sum(vm.vcpus_limit for vm in unit.values() if vm.cpu.dedicated)
        report = self.snapshot.report(node)
        if not needed or report is None:
            return ""
        others = sum(count for name, count in self._own.get(node, {}).items() if name not in unit)
        left = max(report.cpus - SHARED - others, 0)
        return f"has {left} processors that a VM can have to itself, {needed} are needed" if left < needed else ""

    def stopped(self) -> set[str]:
        """The VMs that are off until their users start them."""
        return {name for name, stored in self.snapshot.vms.items() if stored.value and stored.value.state == "stopped"}

    def reaching(self, unit: Mapping[str, Vm]) -> list[str]:
        """The open nodes that have every pool, bridge, device and CPU model of these VMs, whoever uses them, by name."""
        needs = Needs(
            frozenset(disk.pool for vm in unit.values() for disk in vm.disks),
            frozenset(nic.bridge for vm in unit.values() for nic in vm.nics),
            frozenset(vm.cpu.model for vm in unit.values() if vm.state != "absent"),
            frozenset(device for vm in unit.values() if vm.state != "absent" for device in vm.devices.host),
        )
        nodes = self._reach.get(needs)
        if nodes is None:
            nodes = self._reach[needs] = [node for node in self.open if self._meets(node, needs)]
        return nodes

    def _meets(self, node: str, needs: Needs) -> bool:
        report = self.snapshot.report(node)
        return (
            report is not None
            and needs.pools <= {*report.pools}
            and needs.bridges <= {*report.bridges}
            and all(node_limits.has_model(report, model) for model in needs.models)
            and all(node in self.devices.get(device, ()) for device in needs.devices)
        )

    def size(self, unit: Mapping[str, Vm], sign: int = 1) -> Size:
        """What those of these VMs that are to run weigh; with sign -1 what is taken away with them."""
        total = Size()
        for name, vm in unit.items():
            if vm.state == "started":
                seen = vm_status(self.snapshot, name)
                load, used = (seen.load, seen.load_memory) if seen is not None else (None, None)
                total.grow(
                    Size(
                        sign,
                        sign * vm.vcpus,
                        sign * vm.memory,
                        None if load is None else sign * load,
                        None if used is None else sign * used,
                    )
                )
        return total

    def put(self, unit: Mapping[str, Vm], node: str) -> None:
        """VMs are to run on a node from now on; where they were before counts as long as the snapshot lasts."""
        for name, vm in unit.items():
            if node not in self._places.get(name, ()):
                self.hold(node, vm.memory, vm.vcpus)
                self._take(name, vm, node)
                self._note(name, vm, node)

    def change(self, name: str, before: Vm, after: Vm | None, node: str) -> None:
        """A VM holds of a node what its new record says; none: nothing any more."""
        self.hold(node, -before.memory, -before.vcpus)
        self._leave(name, before, node)
        if after is not None:
            self.hold(node, after.memory, after.vcpus)
            self._take(name, after, node)

    def hold(self, node: str, memory: int, vcpus: int = 0) -> None:
        """Give away MiB and vCPUs of a node; negative gives them back."""
        if node in self.room:
            self.room[node] -= memory
        if node in self.vcpus:
            self.vcpus[node] -= vcpus

    @contextmanager
    def trial(self, lost: Mapping[str, str]) -> Iterator[None]:
        """Within it these nodes take nothing either, each for the reason given; what is put within it is undone."""
        added = {node: why for node, why in lost.items() if node not in self.closed}
        self.closed.update(added)
        notes, self._notes = self._notes, []
        try:
            yield
        finally:
            for name, vm, node, places, spot, rules in reversed(self._notes):
                self._undo(name, vm, node, places, spot, rules)
            self._notes = notes
            for node in added:
                del self.closed[node]

    def _begin(self, name: str, vm: Vm) -> None:
        """Take note of a VM as the snapshot has it."""
        snapshot = self.snapshot
        if self.vcpus or vm.devices.host or vm.cpu.dedicated:
            for node in snapshot.places(name, vm):
                self.hold(node, 0, vm.vcpus)
                self._take(name, vm, node)
        claim = snapshot.claims.get(name)
        if claim is not None and claim.value is not None:
            for place in dict.fromkeys((claim.value.node, vm.node, claim.value.to)):
                if place:
                    self._note(name, vm, place, measured=self._measured(name, place))

    def _take(self, name: str, vm: Vm, node: str) -> None:
        """Take note of what a VM has for itself on a node."""
        for device in vm.devices.host:
            self._holders.setdefault((device, node), set()).add(name)
        if vm.cpu.dedicated:
            self._own.setdefault(node, {})[name] = vm.vcpus_limit

    def _leave(self, name: str, vm: Vm, node: str) -> None:
        """A VM has nothing for itself on a node any more."""
        for device in vm.devices.host:
            self._holders.get((device, node), set()).discard(name)
        self._own.get(node, {}).pop(name, None)

    def _measured(self, name: str, node: str) -> bool:
        """Whether what a VM uses is part of what the node reports to be used."""
        report = self.snapshot.report(node)
        seen = report.vms.get(name) if report is not None else None
        return seen is not None and seen.state in LIVE

    def _note(self, name: str, vm: Vm, node: str, *, measured: bool = False) -> None:
        places, spot = self._places.get(name), self._spots.get(name)
        new: list[str] = []
        if vm.state == "started":
            self.scores.add(node, self.size({name: vm}), measured=measured)
        if vm.state not in OFF:
            if node not in (places or ()):
                self._places[name] = (*(places or ()), node)
            if vm.state in FOLLOWED:
                self._spots[name] = node
            for rule in self.rules.apart(name):
                there = self._apart.setdefault(rule, {}).setdefault(node, set())
                if name not in there:
                    there.add(name)
                    new.append(rule)
        if self._notes is not None:
            self._notes.append((name, vm, node, places, spot, new))

    def _undo(
        self, name: str, vm: Vm, node: str, places: tuple[str, ...] | None, spot: str | None, rules: list[str]
    ) -> None:
        """Take back what ``put`` has done with one VM."""
        self.hold(node, -vm.memory, -vm.vcpus)
        self._leave(name, vm, node)
        if vm.state == "started":
            self.scores.add(node, self.size({name: vm}, -1))
        _restore(self._places, name, places)
        _restore(self._spots, name, spot)
        for rule in rules:
            self._apart[rule][node].discard(name)


def _restore(values: dict, key: str, old: object) -> None:  # type: ignore[type-arg]
    if old is None:
        values.pop(key, None)
    else:
        values[key] = old
