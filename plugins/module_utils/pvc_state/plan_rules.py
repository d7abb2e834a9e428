# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, requests) -> Plan* for rules: pure, and what can never be kept is refused here.

That VMs are where a rule forbids it is no reason to refuse it: the leader moves them, and the plan says which.
A rule keeps the names of VMs and nodes that are deleted: it is not about them until there are such again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from . import paths
from .codec import Stored, encode
from .errors import DamagedRecord, InvalidRequest
from .plan import Change, Plan, each, guard, sentence
from .plan_moves import plan_moves
from .reasons import listed
from .records import RULES, Rule
from .requests import UNSET, RuleRequest
from .rule_conflicts import contradiction
from .rule_report import desired_rule
from .snapshot import Snapshot
from .store import Create, Delete, Op, Set
from .vm_options import Checker

STATES = ("present", "absent")
PRIORITY = range(-1000, 1001)
VMS, NODES = 1000, 1000

#: No VM is about to be created.
NOTHING: Mapping[str, str | None] = MappingProxyType({})

#: Options that make sense only for a rule that stays.
_PRESENT_OPTIONS = ("kind", "vms", "nodes", "strict")


def plan_rules(snapshot: Snapshot, requests: Sequence[RuleRequest], coming: Mapping[str, str | None] = NOTHING) -> Plan:
    """Plan any number of rules at once; raises InvalidRequest, DamagedRecord or Refusals for what cannot be.

    Whether rules contradict each other is asked of what there is in the end.

    Args:
        coming: VMs that are about to be created, each with its option ``node``: rules may name them already.
    """
    work = _Work(snapshot, coming)
    each(requests, work.add)
    return work.plan()


class _Work:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot, coming: Mapping[str, str | None]) -> None:
        self.snapshot = snapshot
        self.coming = coming
        self.rules = dict(snapshot.rules)
        self.changed: dict[str, Rule] = {}
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: RuleRequest) -> None:
        check = Checker(f"rule {request.name}")
        name = check.name(request.name)
        if name in self.why:
            check.refuse("name", "it is in the list twice", "name each rule once")
        state = check.choice("state", request.state, STATES)
        stored = self.snapshot.rules.get(name)
        if state == "absent":
            self._remove(check, request, stored)
            return
        if stored is not None and stored.value is None:
            raise DamagedRecord(
                f"{paths.rule(name)} holds no valid record: {stored.invalid}",
                obj=check.obj,
                remedy="delete the rule with state absent, and declare it again",
            )
        before = stored.value if stored else None
        after = self._with_options(check, request, before)
        if before is None or stored is None:
            self._change(name, None, after, "declared", Create(paths.rule(name), encode(after)))
        elif after == before:
            self.why[name] = "nothing to change"
        else:
            after = dataclasses.replace(after, generation=before.generation + 1)
            why = _differences(desired_rule(before), desired_rule(after))
            self._change(name, before, after, why, Set(paths.rule(name), encode(after), stored.version))

    def plan(self) -> Plan:
        after = dataclasses.replace(self.snapshot, rules=MappingProxyType(self.rules))
        self._can_be_kept()
        if self.changes:
            self._say_what_moves(after)
        return Plan(tuple(self.changes), tuple(self.groups), guard(self.snapshot), after, MappingProxyType(self.why))

    def _remove(self, check: Checker, request: RuleRequest, stored: Stored[Rule] | None) -> None:
        for option in _PRESENT_OPTIONS:
            if getattr(request, option) is not UNSET:
                check.refuse(option, "it makes no sense with state absent", "leave it out")
        if stored is None:
            self.why[request.name] = "it does not exist"
            return
        del self.rules[request.name]
        self._note(request.name, stored.value, None, "removed", Delete(paths.rule(request.name), stored.version))

    def _with_options(self, check: Checker, request: RuleRequest, before: Rule | None) -> Rule:
        for option in ("kind", "vms"):
            if before is None and getattr(request, option) is UNSET:
                check.refuse(option, "it is missing", "a new rule needs its kind and its VMs")
        base = before or Rule("", ())
        kind = base.kind if request.kind is UNSET else check.choice("kind", request.kind, RULES)
        vms = base.vms if request.vms is UNSET else self._vms(check, request.vms, base)
        nodes, strict = base.nodes, base.strict
        if request.nodes is not UNSET:
            nodes = self._nodes(check, request.nodes, base)
        if request.strict is not UNSET:
            strict = check.truth("strict", request.strict)
        if kind != "node_preference":
            nodes, strict = self._without_nodes(check, request, kind)
        document = base.document if request.document is UNSET else request.document
        rule = Rule(kind, vms, nodes, strict, base.generation, document)
        self._means_something(check, rule)
        return rule

    def _vms(self, check: Checker, wanted: Sequence[str], base: Rule) -> tuple[str, ...]:
        check.at_most("vms", wanted, VMS)
        names = sorted({check.name(name, f"vms[{index}]") for index, name in enumerate(wanted)})
        _exist(check, "vms", "vm", [name for name in names if name not in base.vms], {*self.snapshot.vms, *self.coming})
        return tuple(names)

    def _nodes(self, check: Checker, wanted: Mapping[str, int], base: Rule) -> Mapping[str, int]:
        check.at_most("nodes", [*wanted], NODES)
        for name, priority in wanted.items():
            check.name(name, "nodes.name")
            check.number("nodes.priority", priority, PRIORITY)
        _exist(check, "nodes", "node", [name for name in wanted if name not in base.nodes], self.snapshot.nodes)
        return dict(sorted(wanted.items()))

    def _without_nodes(self, check: Checker, request: RuleRequest, kind: str) -> tuple[Mapping[str, int], bool]:
        if request.nodes is not UNSET and request.nodes:
            check.refuse("nodes", f"a rule of kind {kind} is about no certain nodes", "leave it out")
        if request.strict is not UNSET and not request.strict:
            check.refuse("strict", f"a rule of kind {kind} is always strict", "leave it out")
        return {}, False

    def _means_something(self, check: Checker, rule: Rule) -> None:
        if rule.kind == "node_preference":
            if not rule.vms:
                check.refuse("vms", "it is about no VM", "name the VMs that prefer these nodes")
            if not rule.nodes:
                check.refuse("nodes", "it names no node", "name the nodes that its VMs prefer")
            equal = not rule.strict and len(set(rule.nodes.values())) == 1
            if equal and len(self.snapshot.nodes) > 1 and self.snapshot.nodes.keys() <= rule.nodes.keys():
                check.refuse("nodes", "it prefers no node to another", "give them different priorities, or name fewer")
        elif len(rule.vms) < 2:
            check.refuse("vms", f"nothing can be kept {rule.kind} that is only one", "name at least two VMs")

    def _can_be_kept(self) -> None:
        """Refuse what can never be kept, whatever room there is."""
        rules = {name: stored.value for name, stored in self.rules.items() if stored.value is not None}
        bound = {
            name: stored.value.node
            for name, stored in self.snapshot.vms.items()
            if stored.value is not None and stored.value.state != "absent"
        }
        bound |= self.coming
        found = contradiction(rules, self.changed, bound, self.snapshot.nodes)
        if found is None:
            return
        first = next(name for name in self.changed if name in found.demands)
        others = [demand for demand in found.demands if demand != first]
        with_others = f" together with {listed(others, len(others))}" if others else ""
        raise InvalidRequest(
            f"it can never be kept{with_others}: {found.why}",
            obj=f"rule {first}",
            option="vms",
            remedy="change or remove one of them" if others else "name fewer VMs or more nodes",
        )

    def _say_what_moves(self, after: Snapshot) -> None:
        """Add to the reasons what the leader will move, and what it cannot, because of the change."""
        before, moves = plan_moves(self.snapshot), plan_moves(after)
        known = {(wish.vm, wish.to) for wish in before.wishes}
        told: dict[str, str] = {}
        for wish in moves.wishes:
            if (wish.vm, wish.to) not in known:
                told[wish.vm] = f"{wish.vm} moves to {wish.to} ({wish.why.partition(';')[0]})"
        for vm, why in moves.blocked.items():
            if before.blocked.get(vm) != why:
                told[vm] = f"{vm} should move and cannot ({why})"
        names = [change.name for change in self.changes]
        concerned = {name: self._concerned(name) for name in names}
        for name in names:
            mine = [vm for vm in told if vm in concerned[name]]
            others = [vm for vm in told if not any(vm in vms for vms in concerned.values())] if name == names[0] else []
            said = [told[vm] for vm in mine + others]
            self.why[name] = sentence([self.why[name], listed(said)]) if said else self.why[name]

    def _concerned(self, name: str) -> set[str]:
        stored = [self.snapshot.rules.get(name), self.rules.get(name)]
        return {vm for one in stored if one is not None and one.value is not None for vm in one.value.vms}

    def _change(self, name: str, before: Rule | None, after: Rule, why: str, op: Op) -> None:
        stored = self.snapshot.rules.get(name)
        self.rules[name] = Stored(after, stored.version + 1 if stored else 0)
        self.changed[name] = after
        self._note(name, before, after, why, op)

    def _note(self, name: str, before: Rule | None, after: Rule | None, why: str, op: Op) -> None:
        old, new = (desired_rule(rule) if rule is not None else None for rule in (before, after))
        # what is damaged has no before; that it goes is a change all the same
        self.changes.append(Change("rule", name, old if old is not None or after is not None else {}, new, why))
        self.groups.append((op,))
        self.why[name] = why


def _exist(check: Checker, option: str, kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = sorted(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3)
            remedy = f"did you mean {' or '.join(near)}?" if near else f"name a {kind} of the cluster"
            check.refuse(option, f"there is no {kind} {name}", remedy)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs, in words."""
    parts = [f"{field} {old[field]} -> {new[field]}" for field in ("kind", "strict") if old[field] != new[field]]
    gone, come = sorted({*old["vms"]} - {*new["vms"]}), sorted({*new["vms"]} - {*old["vms"]})
    parts += [f"without {listed(gone)}"] if gone else []
    parts += [f"with {listed(come)}"] if come else []
    if old["nodes"] != new["nodes"]:
        nodes = [f"{node['name']} ({node['priority']})" for node in new["nodes"]]
        parts.append(f"nodes {listed(nodes, 12) or 'none'}")
    if old["document"] != new["document"]:
        parts.append(f"document {old['document'] or 'none'} -> {new['document'] or 'none'}")
    return ", ".join(parts)
