# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where VMs go: filters that each give a reason, then preferences, then a score. One engine for every purpose. Pure.

A Placement lasts for one pass: what it has placed counts for what it places next. Its indexes are built once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import node_limits
from .errors import InvalidRequest
from .node_hardware import NodeHardware, wants
from .records import Vm
from .rule_book import Preference, RuleBook
from .scores import Size, score
from .snapshot import Snapshot

#: How many nodes a sentence names before it counts the rest.
NAMED = 3

#: How many nodes, or different reasons, a sentence lists one by one.
MANY = 12

#: States of VMs that hold no place for rules: they are off, and nobody but a user can change that.
OFF = ("disabled", "absent")

#: States of VMs that those kept together with them follow. One that is ignored leads nobody.
FOLLOWED = ("started", "stopped")


class Choice(NamedTuple):
    """A node and why it was chosen."""

    node: str
    why: str


class NoPlace(NamedTuple):
    """No node can take it: what speaks against each, as the end of a sentence that begins with the node."""

    against: Mapping[str, str]

    @property
    def why(self) -> str:
        """One sentence: nodes with the same reason share it."""
        return grouped(self.against) or "the cluster has no nodes"


class Placement:
    """Where VMs are, where they may go, and what this pass has decided.

    Args:
        excluded: nodes that take nothing in this pass, each with the reason, as the end of a sentence.
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
        self.score = score(snapshot, self.open, self.room)
        self.hardware = NodeHardware(snapshot)
        self._reach: dict[tuple[frozenset[str], frozenset[str]], list[str]] = {}
        self._places: dict[str, tuple[str, ...]] = {}
        self._spots: dict[str, str] = {}
        self._apart: dict[str, dict[str, set[str]]] = {}
        for name, stored in snapshot.vms.items():
            if stored.value is not None and (claim := snapshot.claims.get(name)) and claim.value is not None:
                for place in (claim.value.node, stored.value.node, claim.value.to):
                    if place:
                        self._note(name, stored.value, place)

    def places(self, name: str) -> tuple[str, ...]:
        """Nodes where a VM is or is to be; the newest last. Empty for one that is off for good."""
        return self._places.get(name, ())

    def spot(self, name: str) -> str:
        """Where VMs that are kept together with this one go: its newest place. Empty: they do not follow it."""
        return self._spots.get(name, "")

    def put(self, unit: Mapping[str, Vm], node: str) -> None:
        """VMs are to run on a node from now on; where they were before counts as long as the snapshot lasts."""
        for name, vm in unit.items():
            if node not in self._places.get(name, ()):
                self.hold(node, vm.memory)
                self._note(name, vm, node)

    def hold(self, node: str, memory: int) -> None:
        """Give away MiB of a node; negative gives it back."""
        if node in self.room:
            self.room[node] -= memory

    def find(
        self, unit: Mapping[str, Vm], against: Mapping[str, str] | None = None, *, past_stopped: bool = False
    ) -> Choice | NoPlace:
        """The node for VMs that are placed as one; no rule is broken by where they are themselves.

        Of nodes that are equally preferred, those where most of the VMs are already come before any score.

        Args:
            unit: usually one VM; several are put on the same node.
            against: nodes that do not come into question for these VMs, each with the reason.
            past_stopped: whether a VM that is stopped keeps nobody away who is to be kept apart from it.
        """
        question = _Question(self, unit, against or {}, past_stopped)
        nodes = question.fitting()
        if not nodes:
            return NoPlace({node: question.why_not(node) for node in self.nodes})
        nodes, preferred = question.preferred(nodes)
        best = self.score.best(nodes, question.size)
        return Choice(best, question.why(best, nodes, preferred))

    def why_not(self, unit: Mapping[str, Vm], node: str, against: Mapping[str, str] | None = None) -> str:
        """What speaks against a node for VMs that are placed as one; empty: nothing."""
        return _Question(self, unit, against or {}).why_not(node)

    def ranks(self, unit: Mapping[str, Vm], node: str) -> tuple[tuple[int, int], ...]:
        """How much the VMs prefer a node: the lower the better."""
        return tuple(rule.rank(node) for name in unit for rule in self.rules.preferences(name))

    def preferred(self, unit: Mapping[str, Vm], here: str, against: Mapping[str, str] | None = None) -> Choice | None:
        """The node to which VMs return by themselves from ``here``, since they prefer it and it can take them."""
        if not all(vm.ha.failback for vm in unit.values()) or all(vm.state != "started" for vm in unit.values()):
            return None
        rank = self.ranks(unit, here)
        named = {node for name in unit for rule in self.rules.preferences(name) for node in rule.nodes}
        if not any(self.ranks(unit, node) < rank for node in named - self.closed.keys() - (against or {}).keys()):
            return None
        found = self.find(unit, against)
        return found if isinstance(found, Choice) and self.ranks(unit, found.node) < rank else None

    def stopped(self) -> set[str]:
        """The VMs that are off until their users start them."""
        return {name for name, stored in self.snapshot.vms.items() if stored.value and stored.value.state == "stopped"}

    def reaching(self, unit: Mapping[str, Vm]) -> list[str]:
        """The open nodes that have every pool and bridge of these VMs, by name."""
        pools = frozenset(disk.pool for vm in unit.values() for disk in vm.disks)
        bridges = frozenset(nic.bridge for vm in unit.values() for nic in vm.nics)
        nodes = self._reach.get((pools, bridges))
        if nodes is None:
            reports = ((node, self.snapshot.report(node)) for node in self.open)
            nodes = [
                node for node, report in reports if report and pools <= {*report.pools} and bridges <= {*report.bridges}
            ]
            self._reach[pools, bridges] = nodes
        return nodes

    def kept_from(self, rule: str) -> Mapping[str, set[str]]:
        """The VMs of a rule ``apart``, by node."""
        return self._apart.get(rule, {})

    def _note(self, name: str, vm: Vm, node: str) -> None:
        self.hardware.take(node, name, vm)
        if vm.state == "started":
            self.score.add(node, Size(1, vm.vcpus, vm.memory))
        if vm.state in OFF:
            return
        if node not in self._places.get(name, ()):
            self._places[name] = (*self._places.get(name, ()), node)
        if vm.state in FOLLOWED:
            self._spots[name] = node
        for rule in self.rules.apart(name):
            self._apart.setdefault(rule, {}).setdefault(node, set()).add(name)


class _Question:
    """Where some VMs may go: everything about them that does not depend on the node, looked up once."""

    def __init__(
        self, placement: Placement, unit: Mapping[str, Vm], against: Mapping[str, str], past_stopped: bool = False
    ) -> None:
        self.placement = placement
        self.yielding = placement.stopped() if past_stopped else set()
        self.unit = unit
        self.against = against
        started = [vm for vm in unit.values() if vm.state == "started"]
        self.size = Size(len(started), sum(vm.vcpus for vm in started), sum(vm.memory for vm in started))
        # a deletion is finished wherever its volumes are in reach: it needs no room, and no rule is about it
        self.ruled = {name: vm for name, vm in unit.items() if vm.state != "absent"}
        self.memory = sum(vm.memory for vm in self.ruled.values())
        self.there = Counter[str]()
        for name, vm in unit.items():
            for node in placement.places(name):
                self.there[node] += vm.memory
        rules = placement.rules
        self.preferences = [rule for name in self.ruled for rule in rules.preferences(name)]
        self.strict = [rule for rule in self.preferences if rule.strict]
        self.strict += [Preference("", {vm.node: 0}, True) for vm in self.ruled.values() if vm.node is not None]
        self.followed = self._followed()
        self.avoided = self._avoided()

    def fitting(self) -> list[str]:
        """The nodes that nothing speaks against, by name."""
        if self._torn():
            return []
        room, memory, there = self.placement.room, self.memory, self.there
        nodes = self.placement.reaching(self.unit)
        if self.against:
            nodes = [node for node in nodes if node not in self.against]
        for rule in self.strict:
            nodes = [node for node in nodes if node in rule.nodes]
        if self.followed:
            nodes = [node for node in nodes if node in self.followed]
        if self.avoided:
            nodes = [node for node in nodes if node not in self.avoided]
        if any(map(wants, self.ruled.values())):
            nodes = [node for node in nodes if not self.placement.hardware.why_not(node, self.ruled)]
        if there or not memory:
            return [node for node in nodes if room[node] >= memory - there[node] or memory <= there[node]]
        return [node for node in nodes if room[node] >= memory]

    def preferred(self, nodes: list[str]) -> tuple[list[str], str]:
        """Those of the nodes that come first before any score, and why, in words."""
        if len(self.followed) > 1:
            most = max(self.followed[node] for node in nodes)
            nodes = [node for node in nodes if self.followed[node] == most]
        why = ""
        for rule in self.preferences:
            if len(nodes) > 1:
                best = min(rule.rank(node) for node in nodes)
                kept = [node for node in nodes if rule.rank(node) == best]
                if len(kept) < len(nodes):
                    why = f"preferred by rule {rule.rule}"
                nodes = kept
        if len(nodes) > 1 and self.there:
            most = max(self.there[node] for node in nodes)
            kept = [node for node in nodes if self.there[node] == most]
            if len(kept) < len(nodes):
                why = "where most of them are" if len(self.unit) > 1 else "where it is"
            nodes = kept
        return nodes, why

    def why(self, best: str, nodes: Sequence[str], preferred: str) -> str:
        """The reason for a choice: what decided, and what removed the other nodes."""
        if any(vm.node is not None for vm in self.ruled.values()):
            return "bound to it by its option node"
        parts = []
        if self.followed:
            parts.append(f"together with {self._group_there(best)}")
        parts += [preferred] if preferred else []
        has, most = self.placement.score.why(best)
        parts.append(
            f"{has}, {most} of {len(nodes)} nodes that fit" if len(nodes) > 1 else f"{has}, {self._only(preferred)}"
        )
        kept = set(nodes)
        removed: dict[str, str] = {}
        for node in self.placement.nodes:
            if len(removed) == NAMED:
                break
            if node not in kept:
                removed[node] = self.why_not(node) or self._less(node)
        if removed:
            more = len(self.placement.nodes) - len(kept) - len(removed)
            parts.append(f"not {grouped(removed)}" + (f", nor {more} more" if more else ""))
        return "; ".join(parts)

    def why_not(self, node: str) -> str:
        """What speaks against a node; empty: nothing."""
        placement = self.placement
        if node not in placement.room:
            return "is not part of the cluster"
        if node in self.against:
            return self.against[node]
        if node in placement.closed:
            return placement.closed[node]
        for vm in self.unit.values():
            lacking = node_limits.why_unreachable(placement.snapshot, node, vm)
            if lacking:
                return lacking
        if against := placement.hardware.why_not(node, self.ruled):
            return against
        for rule in self.strict:
            if against := rule.why_not(node):
                return against
        if torn := self._torn():
            return torn
        if self.followed and node not in self.followed:
            best = max(self.followed, key=lambda at: (self.followed[at], at))
            return f"is not {best}, where {self._group_there(best)} is"
        if node in self.avoided:
            return self.avoided[node]
        left, needed = placement.room[node], self.memory - self.there[node]
        return f"has {max(left, 0)} MiB free, {needed} are needed" if left < needed and needed > 0 else ""

    def _less(self, node: str) -> str:
        """Why a node that fits was not even compared with the best one."""
        if self.followed and self.followed[node] < max(self.followed.values()):
            return "has fewer of its group"
        return "is less preferred"

    def _only(self, preferred: str) -> str:
        return "the only one of them that fits" if preferred else "the only node that fits"

    def _followed(self) -> Counter[str]:
        """Where the rest of their group is: by node, how many of it. Nodes that take no VM are not followed to."""
        found = Counter[str]()
        groups = self.placement.rules.groups
        for name in self.ruled:
            if name in groups:
                for other in groups[name].vms - self.unit.keys():
                    spot = self.placement.spot(other)
                    if spot and spot not in self.placement.closed:
                        found[spot] += 1
        return found

    def _avoided(self) -> dict[str, str]:
        """Nodes with VMs that these are kept apart from, each with the reason."""
        found: dict[str, str] = {}
        for name in self.ruled:
            for rule in self.placement.rules.apart(name):
                for node, vms in self.placement.kept_from(rule).items():
                    others = vms - self.unit.keys() - self.yielding
                    if others and node not in found:
                        found[node] = f"has {min(others)}, from which rule {rule} keeps it apart"
        return found

    def _torn(self) -> str:
        """Why these VMs can never be on one node, empty if they can."""
        rules = self.placement.rules
        if len(self.unit) > 1:
            apart = Counter(rule for name in self.ruled for rule in rules.apart(name))
            for rule, count in apart.items():
                if count > 1:
                    group = " and ".join(rules.groups[next(iter(self.unit))].rules)
                    return f"cannot keep both the rule {rule} and {group}: they contradict each other"
        return ""

    def _group_there(self, node: str) -> str:
        groups = self.placement.rules.groups
        for name in self.ruled:
            if name in groups:
                others = groups[name].vms - self.unit.keys()
                there = sorted(other for other in others if self.placement.spot(other) == node)
                if there:
                    return f"{there[0]} (rule {', '.join(groups[name].rules)})"
        return ""


def choose(placement: Placement, name: str, vm: Vm) -> Choice:
    """The node for a VM that is created; raises InvalidRequest that names every node and what speaks against it."""
    found = placement.find({name: vm})
    if isinstance(found, Choice):
        return found
    if vm.node is not None:
        raise InvalidRequest(
            f"node {vm.node} {found.against.get(vm.node, 'is not part of the cluster')}",
            obj=f"vm {name}",
            option="node",
            remedy="name another node, or none to have one chosen",
        )
    raise InvalidRequest(
        f"no node can take it: {found.why}", obj=f"vm {name}", remedy="free memory, add a node, or ask for less"
    )


def grouped(against: Mapping[str, str]) -> str:
    """Nodes and reasons as one sentence; where there are many, nodes with the same reason share it."""
    if len(against) <= MANY:
        return ", ".join(f"{node} {reason}" for node, reason in against.items())
    nodes: dict[str, list[str]] = {}
    for node, reason in against.items():
        nodes.setdefault(reason, []).append(node)
    parts = [f"{_each(names)} {reason}" for reason, names in nodes.items()]
    more = len(parts) - MANY
    return ", ".join(parts[:MANY]) + (f", and there are {more} more reasons" if more > 0 else "")


def _each(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    more = len(names) - NAMED
    return f"each of {', '.join(names[:NAMED])}" + (f" and {more} more" if more > 0 else "")
