# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, requests) -> Plan* for moves that users ask for: pure, and all that can be refused is refused here.

What is planned is the field ``to`` of claims; the owners' agents carry it out. VMs that are kept together move together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, cast

from . import paths, vm_rules
from .codec import Stored, encode
from .node_limits import why_down, why_draining
from .placement import Placement
from .plan import Change, Plan, guard
from .records import Claim, Vm
from .requests import MoveRequest
from .snapshot import Snapshot
from .store import Create, Op, Set
from .vm_options import VmChecker

#: Why a VM in these states is not moved, and what would be right.
UNMOVABLE = {
    "absent": ("it is being deleted", "wait until it is gone"),
    "ignored": ("its state is ignored, and so it is left as it is", "give it another state first"),
}


def plan_move(snapshot: Snapshot, requests: Sequence[MoveRequest]) -> Plan:
    """Plan any number of moves at once; raises InvalidRequest or DamagedRecord for the first that cannot be."""
    work = _Work(snapshot)
    for request in requests:
        work.add(request)
    return work.plan()


class _Work:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.claims = dict(snapshot.claims)
        self.asked: set[str] = set()
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: MoveRequest) -> None:
        check = VmChecker(request.name, self.snapshot.schema.id)
        name, to = check.name(request.name), check.name(request.to, "to")
        if name in self.asked:
            check.refuse("name", "it is in the list twice", "name each VM once")
        self.asked.add(name)
        before = vm_rules.present(self.snapshot, name)
        if before is None:
            check.refuse("name", "it does not exist", "name a VM of the cluster")
        if before.vm.state in UNMOVABLE:
            problem, remedy = UNMOVABLE[before.vm.state]
            check.refuse("state", problem, remedy)
        claim = self._claim(name)
        if claim.to == to or (claim.node == to and not claim.to):
            self.why.setdefault(name, f"it is on its way to {to} already" if claim.to else f"it is on {to} already")
            return
        unit = self._unit(check, name, before.vm, to)
        self._allow(check, unit, to)
        self.placement.put(unit, to)
        for member in unit:
            self._move(member, to, request.cold, "" if member == name else name)

    def plan(self) -> Plan:
        after = dataclasses.replace(self.snapshot, claims=MappingProxyType(self.claims))
        return Plan(tuple(self.changes), tuple(self.groups), guard(self.snapshot), after, MappingProxyType(self.why))

    def _claim(self, name: str) -> Claim:
        """Whoever is asked about has a sound one."""
        return cast(Claim, self.claims[name].value)

    def _unit(self, check: VmChecker, name: str, vm: Vm, to: str) -> dict[str, Vm]:
        """The VM, and those that are kept together with it and are not on their way to the target."""
        group = self.placement.rules.groups.get(name)
        unit = {name: vm}
        for other in sorted(group.vms - {name}) if group else ():
            stored = self.snapshot.vms.get(other)
            spot = self.placement.spot(other)
            if stored is not None and stored.value is not None and spot not in ("", to):
                unit[other] = stored.value
        for member in unit:
            claim = self._claim(member)
            who = "it" if member == name else f"{member}, which is kept together with it,"
            if claim.to:
                check.refuse("to", f"{who} is on its way to {claim.to}", "wait until it has arrived")
            down = why_down(self.snapshot, claim.node)
            if down:
                check.refuse(
                    "to", f"{who} belongs to {claim.node}, which {down}", "wait until the node is back, or recovered"
                )
        return unit

    def _allow(self, check: VmChecker, unit: dict[str, Vm], to: str) -> None:
        against = self.placement.why_not(unit, to)
        if against:
            together = f" (with {', '.join([*unit][1:])})" if len(unit) > 1 else ""
            check.refuse("to", f"node {to} {against}{together}", "name another node, or change what speaks against it")
        back = self.placement.preferred(unit, to)
        if back is not None:
            problem = f"it would return at once to {back.node}, which a rule prefers to {to}"
            check.refuse("to", problem, "set its ha.failback to false, or change the rule")

    def _move(self, name: str, to: str, cold: bool, led_by: str) -> None:
        stored, before = self.claims[name], self._claim(name)
        vm = self.snapshot.vms[name].value
        why = f"moved with {led_by}, which is kept together with it" if led_by else "a user moves it"
        home = home_after(self.snapshot, before, to)
        claim = dataclasses.replace(before, to=to, why=why, cold=cold, home=home, tried=(), generation=0)
        self.claims[name] = Stored(claim, stored.version + 1)
        live = vm is not None and vm.live and vm.state == "started" and not cold
        how = (
            "while it runs" if live else "it is stopped for that" if vm and vm.state == "started" else "it does not run"
        )
        said = f"moves from {before.node} to {to}: {why}; {how}"
        self.changes.append(Change("vm", name, _view(before), _view(claim), said))
        self.groups.append((Set(paths.claim(name), encode(claim), stored.version), Create(paths.assigned(to, name))))
        self.why[name] = said


def home_after(snapshot: Snapshot, claim: Claim, to: str) -> str:
    """The home of a VM that its user moves: kept while that is being emptied, since the user may not have had a choice."""
    return claim.home if claim.home not in ("", to) and why_draining(snapshot, claim.home) else ""


def _view(claim: Claim) -> dict[str, Any]:
    return {"claim": {"node": claim.node, "to": claim.to or None, "cold": claim.cold}}
