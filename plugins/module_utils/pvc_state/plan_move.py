# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, requests) -> Plan* for moves that users ask for: pure, and all that can be refused is refused here.

What is planned is the field ``to`` of claims; the owners' agents carry it out. VMs that are kept together move together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, cast

from . import paths, vm_rules
from .codec import Stored, encode
from .cpu_fit import misfits
from .node_limits import why_down, why_draining
from .placement import Choice, Placement
from .plan import Change, Plan, guard
from .plan_moves import plan_moves
from .records import Claim, Vm
from .requests import MOVES, MoveRequest
from .snapshot import Snapshot
from .store import Create, Delete, Op, Set
from .views import vm_status
from .vm_options import VmChecker

#: Why a VM in these states is not moved, and what would be right.
UNMOVABLE = {
    "absent": ("it is being deleted", "wait until it is gone"),
    "ignored": ("its state is ignored, and so it is left as it is", "give it another state first"),
}


class Journey(NamedTuple):
    """A VM that is on its way. why: for what reason."""

    vm: str
    origin: str
    to: str
    why: str


def plan_move(snapshot: Snapshot, requests: Sequence[MoveRequest]) -> Plan:
    """Plan any number of moves at once; raises InvalidRequest or DamagedRecord for the first that cannot be."""
    work = _Work(snapshot)
    for request in requests:
        work.add(request)
    return work.plan()


def journeys(plan: Plan) -> tuple[Journey, ...]:
    """The VMs that are on their way once a plan is carried out: those that it moves, and those it was asked about."""
    found = []
    for name in plan.why:
        claim = plan.after.claims[name].value if name in plan.after.claims else None
        if claim is not None and claim.to:
            found.append(Journey(name, claim.node, claim.to, plan.why[name]))
    return tuple(found)


class _Work:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.claims = dict(snapshot.claims)
        self.asked: set[str] = set()
        self.cancelled: dict[str, VmChecker] = {}
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: MoveRequest) -> None:
        check = VmChecker(request.name, self.snapshot.schema.id)
        name = check.name(request.name)
        if name in self.asked:
            check.refuse("name", "it is in the list twice", "name each VM once")
        self.asked.add(name)
        state = check.choice("state", request.state, tuple(MOVES))
        if state != "moved":
            for option in ("to", "home"):
                if getattr(request, option):
                    check.refuse(option, f"it makes no sense with state {state}", "leave it out")
        before = vm_rules.present(self.snapshot, name)
        if before is None:
            check.refuse("name", "it does not exist", "name a VM of the cluster")
        if before.vm.state in UNMOVABLE:
            problem, remedy = UNMOVABLE[before.vm.state]
            check.refuse("state", problem, remedy)
        if state == "cancelled":
            self._cancel(check, name)
        elif state == "back":
            self._back(check, request, before.vm)
        else:
            self._send(check, request, before.vm)

    def plan(self) -> Plan:
        after = dataclasses.replace(self.snapshot, claims=MappingProxyType(self.claims))
        if self.cancelled:
            self._leader_agrees(after)
        return Plan(tuple(self.changes), tuple(self.groups), guard(self.snapshot), after, MappingProxyType(self.why))

    def _claim(self, name: str) -> Claim:
        """Whoever is asked about has a sound one."""
        return cast(Claim, self.claims[name].value)

    # --- to another node ----------------------------------------------------------------------------------------------

    def _send(self, check: VmChecker, request: MoveRequest, vm: Vm) -> None:
        name, claim = request.name, self._claim(request.name)
        to = check.name(request.to, "to") if request.to else ""
        if claim.to and to in ("", claim.to):
            self.why.setdefault(name, f"it is on its way to {claim.to} already")
            return
        if to == claim.node and not claim.to:
            self._here(name, claim, request)
            return
        unit = self._unit(check, name, vm, to)
        self._travels(check, name, unit, request)
        against = misfits(self.snapshot, unit) if request.method != "cold" else {}
        chosen = ""
        if not to:
            found = self.placement.find(unit, {**against, claim.node: "is where it is"})
            if not isinstance(found, Choice):
                check.refuse("to", f"no other node can take it: {found.why}", "change what speaks against a node")
            to, chosen = found
            # those of them that are there already stay
            unit = {member: record for member, record in unit.items() if self._claim(member).node != to}
        self._allow(check, unit, to, against)
        self.placement.put(unit, to)
        for member in unit:
            self._move(member, to, request, "" if member == name else name, chosen)

    def _here(self, name: str, claim: Claim, request: MoveRequest) -> None:
        """Asked to be where it is: all that can change is that it belongs there from now on."""
        if request.home != "forget" or not claim.home:
            self.why.setdefault(name, f"it is on {claim.node} already")
            return
        after = dataclasses.replace(claim, home="", away=False)
        self._change(name, after, f"stays on {claim.node} for good: {claim.home} is its home no more", ())

    def _back(self, check: VmChecker, request: MoveRequest, vm: Vm) -> None:
        claim = self._claim(request.name)
        if claim.home in ("", claim.node):
            where = f"on its way to {claim.to}, and has no other home" if claim.to else f"at home on {claim.node}"
            self.why.setdefault(request.name, f"it is {where}")
            return
        self._send(check, dataclasses.replace(request, state="moved", to=claim.home, home="forget"), vm)

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
            who = _who(member, name)
            if claim.to:
                check.refuse("to", f"{who} is on its way to {claim.to}", "wait until it has arrived, or cancel that")
            down = why_down(self.snapshot, claim.node)
            if down:
                check.refuse(
                    "to", f"{who} belongs to {claim.node}, which {down}", "wait until the node is back, or recovered"
                )
        return unit

    def _travels(self, check: VmChecker, name: str, unit: Mapping[str, Vm], request: MoveRequest) -> None:
        """Each of them may be moved at all, and in the way that was asked for."""
        for member, vm in unit.items():
            who = _who(member, name)
            if vm.state != "started":
                continue
            method = vm.migration.method
            if method == "none" and not request.force:
                problem = f"{who} is not to be moved: its migration.method is none"
                check.refuse("force", problem, "give true to have it stopped, moved and started")
            if request.method == "live" and method != "live":
                problem = f"{who} cannot be moved while it runs: its migration.method is {method}"
                check.refuse("method", problem, "give cold, or leave it out")
            if request.method != "cold" and method == "live" and vm.devices.host:
                problem = f"{who} cannot be moved while it runs: it has {', '.join(vm.devices.host)} of its node"
                check.refuse("method", problem, "give cold to have it stopped, moved and started")

    def _allow(self, check: VmChecker, unit: dict[str, Vm], to: str, misfit: Mapping[str, str]) -> None:
        together = f" (with {', '.join([*unit][1:])})" if len(unit) > 1 else ""
        against = self.placement.why_not(unit, to)
        if against:
            check.refuse("to", f"node {to} {against}{together}", "name another node, or change what speaks against it")
        if to in misfit:
            problem = f"node {to} {misfit[to]}{together}, so that it cannot move there while it runs"
            check.refuse("method", problem, "give cold to have it stopped, moved and started, or name another node")
        back = self.placement.preferred(unit, to)
        if back is not None:
            problem = f"it would return at once to {back.node}, which a rule prefers to {to}"
            check.refuse("to", problem, "set its ha.failback to false, or change the rule")

    def _move(self, name: str, to: str, request: MoveRequest, led_by: str, chosen: str) -> None:
        before, vm = self._claim(name), self.snapshot.vms[name].value
        cold = request.method == "cold"
        why = f"moved with {led_by}, which is kept together with it" if led_by else request.why or "a user moves it"
        home, away = home_after(self.snapshot, before, to), before.away
        if request.home == "remember":
            home, away = before.home or before.node, True
        elif request.home == "forget":
            home = ""
        home = "" if home == to else home
        claim = dataclasses.replace(
            before, to=to, why=why, cold=cold, home=home, away=away and bool(home), tried=(), generation=0
        )
        started = vm is not None and vm.state == "started"
        live = vm is not None and vm.live and started and not cold
        how = "while it runs" if live else "it is stopped for that" if started else "it does not run"
        said = f"moves from {before.node} to {to}: {why}" + (f" ({chosen})" if chosen else "") + f"; {how}"
        self._change(name, claim, said, (Create(paths.assigned(to, name)),))

    # --- not any more -------------------------------------------------------------------------------------------------

    def _cancel(self, check: VmChecker, name: str) -> None:
        claim, observed = self._claim(name), vm_status(self.snapshot, name)
        if not claim.to:
            if observed is not None and observed.state == "moving":
                problem = f"its guest has arrived on {claim.node}, and the claim with it"
                check.refuse("state", problem, "wait until it runs there, then move it where it is to be")
            came = f" ({observed.moved})" if observed is not None and observed.moved else ""
            self.why[name] = f"it is on its way nowhere: it is on {claim.node}{came}"
            return
        down = why_down(self.snapshot, claim.node)
        if down:
            problem = f"it belongs to {claim.node}, which {down}: where it goes is up to its recovery"
            check.refuse("state", problem, "wait until the node is back, or recovered")
        home = "" if claim.home == claim.node else claim.home
        after = dataclasses.replace(claim, to="", why="", cold=False, home=home, away=claim.away and bool(home))
        said = f"stays on {claim.node}: it is not moved to {claim.to} any more"
        self._change(name, after, said, (Delete(paths.assigned(claim.to, name), 0),))
        self.cancelled[name] = check

    def _leader_agrees(self, after: Snapshot) -> None:
        """A move that the leader would begin again at once cannot be cancelled."""
        for wish in plan_moves(after).wishes:
            if wish.vm in self.cancelled:
                problem = f"it would be moved again at once, to {wish.to}: {wish.why}"
                self.cancelled[wish.vm].refuse("state", problem, "remove that reason first")

    def _change(self, name: str, claim: Claim, why: str, index: tuple[Op, ...]) -> None:
        stored, before = self.claims[name], self._claim(name)
        self.claims[name] = Stored(claim, stored.version + 1)
        self.changes.append(Change("vm", name, _view(before), _view(claim), why))
        self.groups.append((Set(paths.claim(name), encode(claim), stored.version), *index))
        self.why[name] = why


def home_after(snapshot: Snapshot, claim: Claim, to: str) -> str:
    """The home of a VM that its user moves: kept while that is being emptied, since the user may not have had a choice."""
    return claim.home if claim.home not in ("", to) and why_draining(snapshot, claim.home) else ""


def _who(member: str, name: str) -> str:
    return "it" if member == name else f"{member}, which is kept together with it,"


def _view(claim: Claim) -> dict[str, Any]:
    return {
        "claim": {"node": claim.node, "to": claim.to or None, "cold": claim.cold, "home": claim.home or None},
    }
