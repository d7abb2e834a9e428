# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How rules are kept: what breaks them now, what they name that does not exist, and which are one group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .reasons import listed
from .records import Rule
from .rule_book import RuleBook
from .snapshot import Snapshot

#: States of VMs for which rules count while they stay where they are.
_COUNT = ("started", "stopped")


def desired_rule(rule: Rule) -> dict[str, Any]:
    """What users decide of a rule."""
    nodes = sorted(rule.nodes.items(), key=lambda item: (-item[1], item[0]))
    return {
        "kind": rule.kind,
        "vms": list(rule.vms),
        "nodes": [{"name": node, "priority": priority} for node, priority in nodes],
        "strict": rule.strict or rule.kind != "node_preference",
        "document": rule.document,
    }


def rule_views(snapshot: Snapshot, names: Sequence[str]) -> list[dict[str, Any]]:
    """Rules with what becomes of them, as results show them. A damaged record shows as ``damaged`` and no more."""
    book = RuleBook(snapshot)
    found = []
    for name in names:
        stored = snapshot.rules[name]
        view: dict[str, Any] = {"name": name, "damaged": stored.invalid}
        if stored.value is not None:
            view |= {**desired_rule(stored.value), "generation": stored.value.generation}
            view["missing"] = missing(snapshot, stored.value)
            view["merged_with"] = _merged_with(book, name, stored.value)
            view["broken"] = broken(snapshot, stored.value)
        found.append(view)
    return found


def missing(snapshot: Snapshot, rule: Rule) -> list[str]:
    """VMs and nodes that a rule names and that do not exist: it is not about them until they do."""
    vms = [f"vm {name}" for name in rule.vms if name not in snapshot.vms]
    return vms + [f"node {name}" for name in sorted(rule.nodes) if name not in snapshot.nodes]


def broken(snapshot: Snapshot, rule: Rule) -> list[str]:
    """What breaks a strict rule where VMs are now, one sentence each; the leader moves them unless something is against it."""
    places = _places(snapshot, rule)
    if rule.kind == "node_preference":
        return [f"{vm} is on {node}" for vm, node in places.items() if rule.strict and node not in rule.nodes]
    nodes: dict[str, list[str]] = {}
    for vm, node in places.items():
        nodes.setdefault(node, []).append(vm)
    if rule.kind == "apart":
        return [f"{listed(vms)} are on {node}" for node, vms in sorted(nodes.items()) if len(vms) > 1]
    if rule.kind == "together" and len(nodes) > 1:
        return [f"{listed(vms)} {'is' if len(vms) == 1 else 'are'} on {node}" for node, vms in sorted(nodes.items())]
    return []


def _places(snapshot: Snapshot, rule: Rule) -> Mapping[str, str]:
    found = {}
    for name in sorted(set(rule.vms)):
        stored, node = snapshot.vms.get(name), snapshot.owner(name)
        if stored is not None and stored.value is not None and stored.value.state in _COUNT and node is not None:
            found[name] = node
    return found


def _merged_with(book: RuleBook, name: str, rule: Rule) -> list[str]:
    """Other rules ``together`` that share VMs with this one, directly or through others: they are one group."""
    group = book.groups.get(rule.vms[0]) if rule.kind == "together" and rule.vms else None
    return [other for other in group.rules if other != name] if group is not None else []
