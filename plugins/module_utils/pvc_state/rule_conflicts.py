# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether rules can be kept all at once, whatever room nodes have; if not, the smallest set of them that cannot. Pure.

What counts is what is strict: together, apart, strict node preferences, and VMs' own option ``node``. VMs that are kept
together are one that needs a node; the question is then whether each can be given one of its nodes so that no two that
are kept apart have the same. For one rule ``apart`` that is a matching of VMs and nodes, which is answered in full; for
several that overlap it is a colouring, tried within a bound: what nobody could work out is no contradiction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import NamedTuple

from .reasons import listed
from .records import Rule

#: How many steps a colouring may take, and how many sets of rules are tried for a smaller one.
STEPS = 20_000
SETS = 3_000


class Demand(NamedTuple):
    """What a rule, or a VM's option ``node``, asks of some VMs. vms: those that exist, sorted."""

    label: str
    kind: str
    vms: tuple[str, ...]
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Contradiction:
    """Demands that cannot be kept together while any of them is left out, and why, in words."""

    demands: tuple[str, ...]
    why: str


def contradiction(
    rules: Mapping[str, Rule], changed: Collection[str], bound: Mapping[str, str | None], nodes: Collection[str]
) -> Contradiction | None:
    """The smallest set of demands, one of the changed rules among them, that cannot be kept.

    Args:
        rules: all rules, as they are to be. changed: names of those that are new or have changed.
        bound: all VMs that exist, each with its option ``node``. nodes: all nodes that exist.
    """
    demands = [demand for name, rule in sorted(rules.items()) if (demand := _demand(name, rule, bound))]
    demands += [
        Demand(f"the option node of {vm}", "node_preference", (vm,), frozenset({node}))
        for vm, node in sorted(bound.items())
        if node is not None
    ]
    for part in _parts(demands, changed):
        while why_impossible(part, nodes):
            core = _smallest(part, nodes)
            if any(demand.label in changed for demand in core):
                return Contradiction(tuple(one.label for one in core), why_impossible(core, nodes))
            # it was so before, and nobody asks about it now
            part = [demand for demand in part if demand != core[0]]
    return None


def why_impossible(demands: Sequence[Demand], nodes: Collection[str]) -> str:
    """Why no choice of nodes keeps all demands; empty: one does, or none could be ruled out."""
    leader = _leaders(demands)
    allowed: dict[str, frozenset[str]] = {}
    for demand in demands:
        if demand.kind == "node_preference":
            for vm in demand.vms:
                allowed[leader[vm]] = allowed.get(leader[vm], frozenset(nodes)) & demand.nodes
    for one, left in sorted(allowed.items()):
        if not left:
            group = sorted(vm for vm in leader if leader[vm] == one)
            return f"no node is left for {listed(group)}"
    apart = [demand for demand in demands if demand.kind == "apart"]
    for demand in apart:
        seen: dict[str, str] = {}
        for vm in demand.vms:
            if leader[vm] in seen:
                return f"{seen[leader[vm]]} and {vm} would be kept both together and apart"
            seen[leader[vm]] = vm
        if why := _why_too_many({one: allowed.get(one, frozenset(nodes)) for one in seen}):
            return why
    if len(apart) > 1 and not _colourable(apart, leader, allowed, frozenset(nodes)):
        return "no choice of nodes keeps apart all that are to be"
    return ""


def _demand(name: str, rule: Rule, bound: Mapping[str, str | None]) -> Demand | None:
    """What a rule asks of VMs that exist; None when it cannot be broken."""
    vms = tuple(sorted({vm for vm in rule.vms if vm in bound}))
    if rule.kind == "node_preference":
        return Demand(name, rule.kind, vms, frozenset(rule.nodes)) if rule.strict and vms else None
    return Demand(name, rule.kind, vms) if rule.kind in ("together", "apart") and len(vms) > 1 else None


def _parts(demands: Sequence[Demand], changed: Collection[str]) -> Iterable[list[Demand]]:
    """The demands that have to do with changed rules, those apart that share no VM with each other."""
    by_vm: dict[str, list[Demand]] = {}
    for demand in demands:
        for vm in demand.vms:
            by_vm.setdefault(vm, []).append(demand)
    seen: set[Demand] = set()
    for first in demands:
        if first.label not in changed or first in seen:
            continue
        found, ahead = {first}, [first]
        while ahead:
            for vm in ahead.pop().vms:
                new = set(by_vm[vm]) - found
                found |= new
                ahead += new
        seen |= found
        yield [demand for demand in demands if demand in found]


def _smallest(demands: Sequence[Demand], nodes: Collection[str]) -> Sequence[Demand]:
    """The fewest of the demands that cannot be kept; beyond SETS tries, a set of which none can be left out."""
    core = list(demands)
    for demand in demands:
        without = [one for one in core if one != demand]
        if why_impossible(without, nodes):
            core = without
    tries = 0
    for size in range(1, len(core)):
        for some in combinations(demands, size):
            tries += 1
            if tries > SETS:
                return core
            if why_impossible(some, nodes):
                return some
    return core


def _leaders(demands: Sequence[Demand]) -> dict[str, str]:
    """By VM, the first by name of those that it is kept together with."""
    leader: dict[str, str] = {vm: vm for demand in demands for vm in demand.vms}

    def find(vm: str) -> str:
        while leader[vm] != vm:
            leader[vm] = vm = leader[leader[vm]]
        return vm

    for demand in demands:
        if demand.kind == "together":
            for one, other in pairwise(demand.vms):
                first, second = sorted((find(one), find(other)))
                leader[second] = first
    return {vm: find(vm) for vm in leader}


def _why_too_many(allowed: Mapping[str, frozenset[str]]) -> str:
    """Why VMs that are kept apart cannot each have a node of their own: some have fewer nodes than they are many."""
    taken: dict[str, str] = {}
    placed: dict[str, str] = {}
    for vm in sorted(allowed):
        reached = {vm}
        if not _match(vm, allowed, taken, placed, reached):
            where = frozenset[str]().union(*(allowed[one] for one in reached))
            may = f"may use only {listed(sorted(where))}" if where else "may use no node"
            return f"{len(reached)} VMs that are kept apart ({listed(sorted(reached))}) {may}"
    return ""


def _match(
    vm: str,
    allowed: Mapping[str, frozenset[str]],
    taken: dict[str, str],
    placed: dict[str, str],
    reached: set[str],
) -> bool:
    """Find a node for one more VM, moving others aside.

    Args:
        taken: who has which node; placed: the same by VM. reached: whose nodes were looked at.
    """
    origin: dict[str, str] = {}
    ahead = [vm]
    while ahead:
        one = ahead.pop()
        for node in sorted(allowed[one] - origin.keys()):
            origin[node] = one
            if node not in taken:
                _hand_on(node, origin, taken, placed)
                return True
            if taken[node] not in reached:
                reached.add(taken[node])
                ahead.append(taken[node])
    return False


def _hand_on(node: str, origin: Mapping[str, str], taken: dict[str, str], placed: dict[str, str]) -> None:
    """Give a free node to who looked at it, the node that this one had to who looked at that, and so on."""
    while True:
        holder = origin[node]
        previous = placed.get(holder)
        taken[node], placed[holder] = holder, node
        if previous is None:
            return
        node = previous


def _colourable(
    apart: Sequence[Demand], leader: Mapping[str, str], allowed: Mapping[str, frozenset[str]], nodes: frozenset[str]
) -> bool:
    """Whether all can have nodes so that no two that are kept apart have the same; True when STEPS were not enough."""
    neighbours: dict[str, set[str]] = {}
    for demand in apart:
        group = {leader[vm] for vm in demand.vms}
        for one in group:
            neighbours.setdefault(one, set()).update(group - {one})
    left = {one: set(allowed.get(one, nodes)) for one in neighbours}
    easy = True
    while easy:  # whoever has more nodes than others to avoid gets one of them in any case
        easy = any(_drop(one, neighbours, left) for one in sorted(left) if len(left[one]) > len(neighbours[one]))
    return _colour(left, neighbours, [STEPS])


def _drop(one: str, neighbours: dict[str, set[str]], left: dict[str, set[str]]) -> bool:
    for other in neighbours.pop(one):
        neighbours[other].discard(one)
    del left[one]
    return True


def _colour(left: Mapping[str, set[str]], neighbours: Mapping[str, set[str]], steps: list[int]) -> bool:
    if not left:
        return True
    steps[0] -= 1
    if steps[0] < 0:
        return True
    one = min(left, key=lambda vm: (len(left[vm]), -len(neighbours[vm]), vm))
    for node in sorted(left[one]):
        rest = {
            other: nodes - {node} if other in neighbours[one] else nodes
            for other, nodes in left.items()
            if other != one
        }
        if all(rest.values()) and _colour(rest, neighbours, steps):
            return True
    return False
