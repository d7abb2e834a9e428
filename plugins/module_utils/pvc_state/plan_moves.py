# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which VMs of living nodes are to move, where, and why. Pure.

Only what is wrong is mended: a node that is to be empty, a broken rule, a start that fails, a VM away from its home or from
a node that it prefers. Once the moves are made there is nothing left to wish, since each VM goes where nothing is wrong.
VMs that are kept together are looked at as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from .cpu_fit import misfits
from .node_limits import why_down, why_draining
from .placement import Choice, Placement
from .records import Claim, Vm
from .snapshot import Snapshot
from .views import reports_now, vm_status

#: States of VMs that are moved. One that is off waits at its new node.
MOVABLE = ("started", "stopped")

#: VMs that are moved as one, by name: usually a single one.
Unit = dict[str, Vm]


@dataclass(frozen=True)
class Wish:
    """A VM that is to move. why: one sentence.

    Attributes:
        home: Claim.home from now on: the node that it returns to.
        tried: Claim.tried from now on, for the present generation of the record.
        past: VMs that it is kept apart from and goes past, since they are off: no reason if one of them is started.
    """

    vm: str
    to: str
    why: str
    home: str = ""
    tried: tuple[str, ...] = ()
    past: tuple[str, ...] = ()


@dataclass(frozen=True)
class Moves:
    """What is to move.

    Attributes:
        wishes: one per VM, in the order in which they matter.
        blocked: what should move and cannot, with the reason, by VM.
        mended: VMs that run although they did not start elsewhere, and that nothing draws back to where they did not:
            their Claim.tried has served.
        again: VMs that did not start, have no other node, and are to be tried once more where they are.
    """

    wishes: tuple[Wish, ...]
    blocked: Mapping[str, str]
    mended: tuple[str, ...] = ()
    again: tuple[Wish, ...] = ()


def plan_moves(snapshot: Snapshot, assumed: Mapping[str, str] | None = None) -> Moves:
    """What the leader wants of the VMs of living nodes. VMs that are moving already are left alone.

    Args:
        assumed: VMs that are about to get another node by other means, such as a recovery, with that node: what this
            pass places makes room for them.
    """
    work = _Work(snapshot, assumed or {})
    units = list(work.units())
    for unit in units:
        work.vacate(unit)
    work.separate(sorted(units, key=_cost))
    for unit in units:
        work.improve(unit)
    work.leave()
    return Moves(
        tuple(work.wishes.values()),
        MappingProxyType(work.blocked),
        tuple(work.mended()),
        tuple(work.again.values()),
    )


def why_fixed(vm: Vm) -> str:
    """Why a VM that is to run is not moved while its node lives; empty: it may be."""
    if vm.state != "started":
        return ""
    if vm.migration.method == "none":
        return "its migration.method is none, so that it is not moved: stop it, or choose another method"
    if vm.migration.method == "live" and vm.devices.host:
        devices = ", ".join(vm.devices.host)
        return (
            f"it has {devices} of its node, and cannot move while it runs: stop it, or set migration.method to shutdown"
        )
    return ""


def _cost(unit: Unit) -> tuple[int, int, tuple[str, ...]]:
    """Of two that must not be on one node, the one with the lower cost moves."""
    started = [vm.memory for vm in unit.values() if vm.state == "started"]
    return len(started), sum(started), tuple(unit)


class _Work:
    """A plan in the making: the VMs that may be moved, and what is decided of them."""

    def __init__(self, snapshot: Snapshot, assumed: Mapping[str, str]) -> None:
        self.snapshot = snapshot
        self.placement = Placement(snapshot)
        self.draining = {node: why for node in snapshot.nodes if (why := why_draining(snapshot, node))}
        self.living = {node for node in snapshot.nodes if not why_down(snapshot, node)}
        self.movable: dict[str, Vm] = {}
        self.claims: dict[str, Claim] = {}
        self.wishes: dict[str, Wish] = {}
        self.blocked: dict[str, str] = {}
        self.again: dict[str, Wish] = {}
        self.fixed: dict[str, str] = {}
        for name, node in assumed.items():
            stored = snapshot.vms.get(name)
            if stored is not None and stored.value is not None:
                self.placement.put({name: stored.value}, node)
        for name, stored in snapshot.vms.items():
            claim = snapshot.claims.get(name)
            if name not in assumed and stored.value is not None and claim is not None and claim.value is not None:
                self._collect(name, stored.value, claim.value)

    def units(self) -> Iterator[Unit]:
        """The movable VMs, those of a group together, by priority, what runs first, then name."""
        seen: set[str] = set()
        for name in self._ordered(self.movable):
            if name not in seen:
                group = self.placement.rules.groups.get(name)
                names = self._ordered(group.vms & self.movable.keys()) if group else [name]
                seen.update(names)
                yield {one: self.movable[one] for one in names}

    def vacate(self, unit: Unit) -> None:
        """Nothing stays where it does not start, on a node that is to be empty, or where a rule forbids it."""
        failing = {name: vm for name, vm in unit.items() if self._fails(name, vm)}
        if failing and len(failing) == len(unit):
            self._try_next(unit)
            return
        for name, vm in failing.items():
            self._try_next({name: vm})
        rest = {name: vm for name, vm in unit.items() if name not in failing}
        trouble = self._trouble(rest)
        if trouble:
            self._mend(rest, trouble)

    def separate(self, units: Sequence[Unit]) -> None:
        """No two are on one node that a rule keeps apart: the first that can move does."""
        stuck = []
        for unit in units:
            conflict = "" if self._decided(unit) else self._conflict(unit)
            if conflict and not self._mend(unit, conflict):
                stuck.append(unit)
        for unit in stuck:
            if not self._conflict(unit):  # the other one has gone
                for name in unit:
                    del self.blocked[name]

    def improve(self, unit: Unit) -> None:
        """What is fine where it is goes home, or to a node that it prefers."""
        if self._decided(unit) or any(vm.node is not None for vm in unit.values()):
            return
        here = self.claims[next(iter(unit))].node
        avoided = {node: "is where it did not start" for name, vm in unit.items() for node in self._tried(name, vm)}
        if any(self.claims[name].home or self.placement.rules.preferences(name) for name in unit):
            avoided |= misfits(self.snapshot, unit)
        best = self.placement.preferred(unit, here, avoided)
        away = any(self.claims[name].away for name in unit)
        home = "" if away else self._home(unit, best.node if best else here, avoided)
        if home:
            self._wish(unit, Choice(home, ""), f"{home} takes VMs again, and is its home")
        elif best is not None:
            self._wish(unit, best, f"{best.node} is preferred to {here}")

    def leave(self) -> None:
        """Say what is wrong with those that are not moved, once all others are where they go."""
        for name, why in self.fixed.items():
            vm = self.snapshot.vms[name].value
            trouble = vm and (self._trouble({name: vm}) or self._conflict({name: vm}))
            if trouble:
                self.blocked[name] = f"{trouble}, but {why}"

    def mended(self) -> Iterator[str]:
        """VMs that run, with nodes in their claims on which they did not start, and to which nothing draws them."""
        for name, vm in self.movable.items():
            claim = self.claims[name]
            status = vm_status(self.snapshot, name) if claim.tried else None
            if status is not None and status.state == "running" and name not in self.wishes:
                here = self.placement.ranks({name: vm}, claim.node)
                drawn = {node for node in claim.tried if self.placement.ranks({name: vm}, node) < here}
                if not drawn and claim.home not in claim.tried:
                    yield name

    def _collect(self, name: str, vm: Vm, claim: Claim) -> None:
        """Take note of a VM if it may be moved; if it should and may not, say so."""
        self.claims[name] = claim
        if claim.node not in self.living or claim.to:
            return
        if vm.node not in (None, claim.node) and vm.state != "started":
            return  # its owner gives it away by itself
        draining = self.draining.get(claim.node, "")
        status = vm_status(self.snapshot, name)
        if vm.state in MOVABLE:
            given_up = status is not None and status.state == "failed" and status.generation >= vm.generation
            fixed = "" if given_up else why_fixed(vm)
            if fixed:
                self.fixed[name] = fixed
            elif not given_up or self._fails(name, vm):
                self.movable[name] = vm
            elif draining:
                reason = f" ({status.reason})" if status is not None and status.reason else ""
                self.blocked[name] = f"{claim.node} {draining}, but it has failed and waits for a person{reason}"
        elif vm.state == "ignored" and draining:
            self.blocked[name] = f"{claim.node} {draining}, but its state is ignored, and so it is left as it is"

    def _ordered(self, names: Iterable[str]) -> list[str]:
        return sorted(
            names,
            key=lambda name: (-self.movable[name].ha.priority, self.movable[name].state != "started", name),
        )

    def _decided(self, unit: Unit) -> bool:
        return any(name in self.wishes or name in self.blocked or name in self.again for name in unit)

    def _tried(self, name: str, vm: Vm) -> tuple[str, ...]:
        """Nodes on which the VM, as it is wanted now, did not start."""
        claim = self.claims[name]
        return claim.tried if claim.generation == vm.generation else ()

    def _fails(self, name: str, vm: Vm) -> bool:
        """Whether its owner has given up starting it, and another node is to be tried."""
        status = vm_status(self.snapshot, name)
        return (
            vm.state == "started"
            and status is not None
            and status.state == "failed"
            and status.generation >= vm.generation
            and len(self._tried(name, vm)) < vm.ha.max_moves
            and reports_now(self.snapshot, self.claims[name].node)
        )

    def _try_next(self, unit: Unit) -> None:
        """Move what does not start to a node on which it was not tried yet."""
        against: dict[str, str] = {}
        for name, vm in unit.items():
            tried = (*self._tried(name, vm), self.claims[name].node)
            against.update(dict.fromkeys(tried, f"was tried: {'it' if len(unit) == 1 else name} does not start there"))
        found = self.placement.find(unit, against)
        name = next(iter(unit))
        status = vm_status(self.snapshot, name)
        reason = f" ({status.reason})" if status is not None and status.reason else ""
        trouble = f"it does not start on {self.claims[name].node}{reason}"
        if isinstance(found, Choice):
            self._wish(unit, self._homeward(unit, found, against), trouble, failed=True)
        else:
            self._try_again(unit, f"{trouble}, and no other node can take it: {found.why}")

    def _try_again(self, unit: Unit, trouble: str) -> None:
        """What has no other node is tried once more where it is, as long as its user allows another try at all."""
        for name, vm in unit.items():
            claim = self.claims[name]
            if claim.node in self.draining:
                self.blocked[name] = trouble
            else:
                tried = (*self._tried(name, vm), claim.node)
                self.again[name] = Wish(name, claim.node, trouble, claim.home, tried)

    def _trouble(self, unit: Unit) -> str:
        """Why VMs cannot stay where they are, whoever else is there; empty: they can."""
        for name, vm in unit.items():
            here = self.claims[name].node
            if here in self.draining:
                return f"{here} {self.draining[here]}"
            if vm.node not in (None, here):
                return f"it is bound to {vm.node} by its option node"
            for rule in self.placement.rules.preferences(name):
                if against := rule.why_not(here):
                    return f"{here} {against}"
        for name in unit:
            group = self.placement.rules.groups.get(name)
            if group is not None:
                spots = {spot for one in group.vms if (spot := self.placement.spot(one)) in self.living}
                return f"rule {', '.join(group.rules)} keeps its VMs together" if len(spots) > 1 else ""
        return ""

    def _conflict(self, unit: Unit) -> str:
        """Why VMs cannot stay where they are because of who else is there; empty: they can."""
        for name in unit:
            places = self.placement.places(name)
            for rule in self.placement.rules.apart(name):
                others = self.placement.kept_from(rule).get(places[-1], set()) - unit.keys()
                there = sorted(other for other in others if self.placement.places(other)[-1] == places[-1])
                if there:
                    return f"rule {rule} keeps it apart from {there[0]}"
        return ""

    def _mend(self, unit: Unit, trouble: str) -> bool:
        """Move VMs to where nothing is wrong; returns whether there is such a node."""
        misfit = misfits(self.snapshot, unit)
        found = self.placement.find(unit, misfit)
        if not isinstance(found, Choice) and self._forbidden(unit):
            # what is off gives way, and is moved in its turn: else VMs might wait for each other's places for ever
            found = self.placement.find(unit, misfit, past_stopped=True)
        if isinstance(found, Choice):
            self._wish(unit, self._homeward(unit, found, misfit), trouble)
            return True
        bound = sorted({vm.node for vm in unit.values() if vm.node is not None})
        why = f"it is bound to {', '.join(bound)} by its option node" if bound else f"no node can take it: {found.why}"
        self.blocked.update(dict.fromkeys(unit, f"{trouble}, but {why}"))
        return False

    def _forbidden(self, unit: Unit) -> bool:
        """Whether a strict preference of VMs that run forbids where they are."""
        started = [name for name, vm in unit.items() if vm.state == "started"]
        preferences = self.placement.rules.preferences
        return any(rule.why_not(self.claims[name].node) for name in started for rule in preferences(name))

    def _passed(self, name: str, node: str) -> tuple[str, ...]:
        """VMs on a node that a VM is kept apart from."""
        rules = self.placement.rules.apart(name)
        return tuple(sorted({vm for rule in rules for vm in self.placement.kept_from(rule).get(node, ())} - {name}))

    def _homeward(self, unit: Unit, found: Choice, avoided: Mapping[str, str]) -> Choice:
        """The home of VMs that must go somewhere, if that is as good as what was found."""
        home = self._home(unit, found.node, avoided)
        return Choice(home, f"{home} is its home") if home else found

    def _home(self, unit: Unit, other: str, avoided: Mapping[str, str]) -> str:
        """The home of VMs, if it takes VMs and they prefer no other node to it; if it cannot take them, says so.

        A VM without a home is at home where it is; of a group, that of most counts.
        """
        homes = Counter(self.claims[name].home or self.claims[name].node for name in unit)
        home = max(sorted(homes), key=lambda node: (homes[node], node == other))
        if home in avoided or home == other or home not in self.placement.room or home in self.placement.closed:
            return ""
        if self.placement.ranks(unit, home) > self.placement.ranks(unit, other):
            return ""
        against = self.placement.why_not(unit, home)
        if against and all(self.claims[name].node == other for name in unit):
            self.blocked.update(dict.fromkeys(unit, f"it cannot return to its home: {home} {against}"))
        return "" if against else home

    def _wish(self, unit: Unit, found: Choice, trouble: str, *, failed: bool = False) -> None:
        for name, vm in unit.items():
            claim = self.claims[name]
            if claim.node == found.node:
                continue
            # a home that takes VMs was considered just now: whoever did not go there stays where it goes
            home = claim.home if claim.away or claim.home in self.placement.closed else ""
            if not home and claim.node in self.draining and not failed:
                home = claim.node
            status = vm_status(self.snapshot, name)
            if status is not None and status.refused == found.node:
                self.blocked[name] = f"its move to {found.node} has failed: {status.reason}"
                continue
            self.wishes[name] = Wish(
                name,
                found.node,
                f"{trouble}; {found.why}" if found.why else trouble,
                home if found.node not in (home, claim.home) else "",
                (*self._tried(name, vm), *((claim.node,) if failed else ())),
                self._passed(name, found.node),
            )
        self.placement.put(unit, found.node)
