# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of the cluster by VM, read once: which nodes it may use, which it prefers, whom it follows and avoids. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .records import Rule
from .snapshot import Snapshot

#: Rank of a node that a soft preference does not name: after all that it does.
UNNAMED = 1


class Preference(NamedTuple):
    """A node_preference as it holds for one VM. ``rule`` is its name, empty for the VM's own option ``node``."""

    rule: str
    nodes: Mapping[str, int]
    strict: bool

    def why_not(self, node: str) -> str:
        """Why a VM may not run on a node, as the end of a sentence that begins with the node."""
        if not self.strict or node in self.nodes:
            return ""
        if not self.rule:
            return f"is not the one that it is bound to: its option node says {next(iter(self.nodes))}"
        return f"is none of those that rule {self.rule} allows"

    def rank(self, node: str) -> tuple[int, int]:
        """Nodes with a lower rank are preferred."""
        return (0, -self.nodes[node]) if node in self.nodes else (UNNAMED, 0)


class Group(NamedTuple):
    """VMs that are kept together, by one rule or by several that overlap."""

    rules: tuple[str, ...]
    vms: frozenset[str]


class RuleBook:
    """Every rule, indexed by VM. Damaged records and kinds that this software does not know bind nobody."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._preferences: dict[str, list[Preference]] = {}
        self._apart: dict[str, list[str]] = {}
        self._members: dict[str, tuple[str, ...]] = {}
        self.groups: dict[str, Group] = {}
        together: list[Group] = []
        for name in sorted(snapshot.rules):
            rule = snapshot.rules[name].value
            if rule is None:
                continue
            if rule.kind == "node_preference":
                self._add_preference(name, rule)
            elif rule.kind == "apart":
                self._members[name] = tuple(sorted(set(rule.vms)))
                for vm in set(rule.vms):
                    self._apart.setdefault(vm, []).append(name)
            elif rule.kind == "together":
                together = _merged(together, Group((name,), frozenset(rule.vms)))
        for group in together:
            self.groups.update(dict.fromkeys(group.vms, group))

    def preferences(self, vm: str) -> list[Preference]:
        """The preferences of a VM, in the order of their rules' names."""
        return self._preferences.get(vm, [])

    def apart(self, vm: str) -> list[str]:
        """Names of the rules that keep a VM apart from others."""
        return self._apart.get(vm, [])

    def members(self, rule: str) -> tuple[str, ...]:
        """The VMs that a rule keeps apart, by name."""
        return self._members.get(rule, ())

    def _add_preference(self, name: str, rule: Rule) -> None:
        preference = Preference(name, rule.nodes, rule.strict)
        for vm in set(rule.vms):
            self._preferences.setdefault(vm, []).append(preference)


def _merged(groups: list[Group], group: Group) -> list[Group]:
    """The groups with one more, those that share a VM made one."""
    others = [other for other in groups if not other.vms & group.vms]
    for other in groups:
        if other.vms & group.vms:
            group = Group(other.rules + group.rules, other.vms | group.vms)
    return [*others, Group(tuple(sorted(group.rules)), group.vms)]
