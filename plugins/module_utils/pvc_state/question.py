# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where some VMs may go: filters that each give a reason, then preferences, and the choice in words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from . import node_limits
from .occupancy import Occupancy
from .reasons import NAMED, grouped
from .records import Vm
from .rule_book import Preference
from .scores import Score


class Question:
    """VMs that are placed as one, with everything about them that does not depend on the node, looked up once.

    Args:
        against: nodes that do not come into question, each with the reason, as the end of a sentence.
        past_stopped: whether a VM that is stopped keeps nobody away who is to be kept apart from it.
    """

    def __init__(
        self, occupancy: Occupancy, unit: Mapping[str, Vm], against: Mapping[str, str], *, past_stopped: bool = False
    ) -> None:
        self.occupancy = occupancy
        self.yielding = occupancy.stopped() if past_stopped else set()
        self.unit = unit
        self.against = against
        self.size = occupancy.size(unit)
        # a deletion is finished wherever its volumes are in reach: it needs no room, and no rule is about it
        self.ruled = {name: vm for name, vm in unit.items() if vm.state != "absent"}
        self.memory = sum(vm.memory for vm in self.ruled.values())
        self.vcpus = sum(vm.vcpus for vm in self.ruled.values())
        self.there = Counter[str]()
        self.vcpus_there = Counter[str]()
        for name, vm in unit.items():
            for node in occupancy.places(name):
                self.there[node] += vm.memory
                self.vcpus_there[node] += vm.vcpus
        self.devices = Counter(device for vm in self.ruled.values() for device in vm.devices.host)
        rules = occupancy.rules
        self.preferences = [rule for name in self.ruled for rule in rules.preferences(name)]
        self.strict = [rule for rule in self.preferences if rule.strict]
        self.strict += [Preference("", {vm.node: 0}, True) for vm in self.ruled.values() if vm.node is not None]
        self.followed = self._followed()
        self.avoided = self._avoided()

    def fitting(self) -> list[str]:
        """The nodes that nothing speaks against, by name."""
        return self.roomy(self.allowed())

    def allowed(self) -> list[str]:
        """The nodes that nothing speaks against, or nothing but the lack of memory and vCPUs, by name."""
        if self._torn():
            return []
        nodes = self.occupancy.reaching(self.unit)
        if self.against:
            nodes = [node for node in nodes if node not in self.against]
        for rule in self.strict:
            nodes = [node for node in nodes if node in rule.nodes]
        if self.followed:
            nodes = [node for node in nodes if node in self.followed]
        if self.avoided:
            nodes = [node for node in nodes if node not in self.avoided]
        if self.devices:
            nodes = [node for node in nodes if not self._why_no_device(node)]
        if any(vm.cpu.dedicated for vm in self.ruled.values()):
            nodes = [node for node in nodes if not self.occupancy.why_no_processors(self.ruled, node)]
        return nodes

    def roomy(self, nodes: list[str]) -> list[str]:
        """Those of the nodes that have memory and vCPUs for the VMs."""
        room, memory, there = self.occupancy.room, self.memory, self.there
        if there or not memory:
            nodes = [node for node in nodes if room[node] >= memory - there[node] or memory <= there[node]]
        else:
            nodes = [node for node in nodes if room[node] >= memory]
        left = self.occupancy.vcpus
        return [node for node in nodes if self._has_vcpus(node)] if left else nodes

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

    def score(self) -> Score:
        """What decides between nodes that are equally preferred: what the first VM says that says so, or the settings."""
        return self.occupancy.scores.of(next((vm.placement for vm in self.unit.values() if vm.placement), ""))

    def why(self, best: str, nodes: Sequence[str], preferred: str) -> str:
        """The reason for a choice: what decided, and what removed the other nodes."""
        if any(vm.node is not None for vm in self.ruled.values()):
            return "bound to it by its option node"
        parts = []
        if self.followed:
            parts.append(f"together with {self._group_there(best)}")
        parts += [preferred] if preferred else []
        has, most = self.score().why(best)
        parts.append(
            f"{has}, {most} of {len(nodes)} nodes that fit" if len(nodes) > 1 else f"{has}, {self._only(preferred)}"
        )
        kept = set(nodes)
        removed: dict[str, str] = {}
        for node in self.occupancy.nodes:
            if len(removed) == NAMED:
                break
            if node not in kept:
                removed[node] = self.why_not(node) or self._less(node)
        if removed:
            more = len(self.occupancy.nodes) - len(kept) - len(removed)
            parts.append(f"not {grouped(removed)}" + (f", nor {more} more" if more else ""))
        return "; ".join(parts)

    def why_not(self, node: str) -> str:
        """What speaks against a node; empty: nothing."""
        occupancy = self.occupancy
        if node not in occupancy.room:
            return "is not part of the cluster"
        if node in self.against:
            return self.against[node]
        if node in occupancy.closed:
            return occupancy.closed[node]
        for vm in self.unit.values():
            lacking = node_limits.why_unreachable(occupancy.snapshot, node, vm)
            if not lacking and vm.state != "absent":
                lacking = node_limits.why_unsuited(occupancy.snapshot, node, vm)
            if lacking:
                return lacking
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
        lacking = self._why_no_device(node) or self.occupancy.why_no_processors(self.ruled, node)
        return lacking or self._why_no_room(node)

    def _has_vcpus(self, node: str) -> bool:
        needed = self.vcpus - self.vcpus_there[node]
        return needed <= 0 or self.occupancy.vcpus[node] >= needed

    def _why_no_room(self, node: str) -> str:
        """Which memory or vCPUs a node lacks."""
        left, needed = self.occupancy.room[node], self.memory - self.there[node]
        if left < needed and needed > 0:
            return f"has {max(left, 0)} MiB free, {needed} are needed"
        if self.occupancy.vcpus and not self._has_vcpus(node):
            left, needed = max(self.occupancy.vcpus[node], 0), self.vcpus - self.vcpus_there[node]
            ratio = self.occupancy.snapshot.policy.vcpu_ratio
            of = node_limits.vcpu_limit(self.occupancy.snapshot, node)
            return f"has {left} left of the {of} vCPUs that vcpu_ratio {ratio:g} allows, {needed} are needed"
        return ""

    def _why_no_device(self, node: str) -> str:
        """Which host device of a node has been given to other VMs: each is for one at a time."""
        for device, count in self.devices.items():
            others = self.occupancy.holders(device, node) - self.unit.keys()
            if len(others) + count > self.occupancy.devices.get(device, {}).get(node, 0):
                return f"has given its {device} to {min(others)}" if others else f"has no {device} for each of them"
        return ""

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
        groups = self.occupancy.rules.groups
        for name in self.ruled:
            if name in groups:
                for other in groups[name].vms - self.unit.keys():
                    spot = self.occupancy.spot(other)
                    if spot and spot not in self.occupancy.closed:
                        found[spot] += 1
        return found

    def _avoided(self) -> dict[str, str]:
        """Nodes with VMs that these are kept apart from, each with the reason."""
        found: dict[str, str] = {}
        for name in self.ruled:
            for rule in self.occupancy.rules.apart(name):
                for node, vms in self.occupancy.kept_from(rule).items():
                    others = vms - self.unit.keys() - self.yielding
                    if others and node not in found:
                        found[node] = f"has {min(others)}, from which rule {rule} keeps it apart"
        return found

    def _torn(self) -> str:
        """Why these VMs can never be on one node, empty if they can."""
        rules = self.occupancy.rules
        if len(self.unit) > 1:
            apart = Counter(rule for name in self.ruled for rule in rules.apart(name))
            for rule, count in apart.items():
                if count > 1:
                    group = " and ".join(rules.groups[next(iter(self.unit))].rules)
                    return f"cannot keep both the rule {rule} and {group}: they contradict each other"
        return ""

    def _group_there(self, node: str) -> str:
        groups = self.occupancy.rules.groups
        for name in self.ruled:
            if name in groups:
                others = groups[name].vms - self.unit.keys()
                there = sorted(other for other in others if self.occupancy.spot(other) == node)
                if there:
                    return f"{there[0]} (rule {', '.join(groups[name].rules)})"
        return ""
