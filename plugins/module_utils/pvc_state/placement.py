# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where VMs go: filters that each give a reason, then preferences, then a score. One engine for every purpose. Pure.

A Placement lasts for one pass: what it has placed counts for what it places next. Its indexes are built once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .errors import InvalidRequest
from .occupancy import Occupancy
from .question import Question
from .reasons import grouped
from .records import Vm


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


class Placement(Occupancy):
    """Where VMs are, where they may go, and what this pass has decided."""

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
        question = Question(self, unit, against or {}, past_stopped=past_stopped)
        nodes = question.fitting()
        if not nodes:
            return NoPlace({node: question.why_not(node) for node in self.nodes})
        nodes, preferred = question.preferred(nodes)
        best = question.score().best(nodes, question.size)
        return Choice(best, question.why(best, nodes, preferred))

    def why_not(self, unit: Mapping[str, Vm], node: str, against: Mapping[str, str] | None = None) -> str:
        """What speaks against a node for VMs that are placed as one; empty: nothing."""
        return Question(self, unit, against or {}).why_not(node)

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
