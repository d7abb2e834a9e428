# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""If this node died now: which of its VMs goes where, in what order, what does not fit, and why. Pure.

It is the leader's own plan, made of a snapshot in which the node is dead. The same report serves the module
failover_info and the simulator.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from .plan_recovery import Move, plan_recovery
from .records import Vm
from .snapshot import Snapshot


@dataclass(frozen=True)
class Failover:
    """What would become of one node's VMs.

    Attributes:
        node: the one that dies. moves: in the order in which they are made.
        waiting: VMs that run nowhere then, each with the reason, by priority.
        staying: VMs that belong to it and are left alone, each with the reason.
        held: why nothing at all would be done; empty: it would be.
        proof: what could prove that the node is gone.
    """

    node: str
    moves: tuple[Move, ...]
    waiting: tuple[tuple[str, str], ...]
    staying: tuple[tuple[str, str], ...]
    held: str
    proof: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether every VM that should run elsewhere would."""
        return not self.waiting and not self.held

    @property
    def sentence(self) -> str:
        """The report in a sentence or two."""
        total = len(self.moves) + len(self.waiting)
        if not total:
            return f"If {self.node} died now, no VM would have to run elsewhere."
        parts = [f"If {self.node} died now, {len(self.moves)} of {total} VMs would run elsewhere."]
        if self.waiting:
            names = [f"{vm} ({why})" for vm, why in self.waiting[:3]]
            more = [f"{len(self.waiting) - 3} more"] if len(self.waiting) > 3 else []
            parts.append(f"Waiting: {', '.join([*names, *more])}.")
        if self.held:
            parts.append(f"But nothing would be done at first: {self.held}.")
        return " ".join(parts)


def failover_view(failover: Failover) -> dict[str, Any]:
    """The report as plain data, for results."""
    return {
        "node": failover.node,
        "sentence": failover.sentence,
        "fits": failover.fits,
        "moves": [{"vm": move.vm, "to": move.to, "why": move.why} for move in failover.moves],
        "waiting": [{"vm": vm, "why": why} for vm, why in failover.waiting],
        "staying": [{"vm": vm, "why": why} for vm, why in failover.staying],
        "held": failover.held,
        "proof": list(failover.proof),
    }


def failovers(snapshot: Snapshot, nodes: Collection[str] | None = None) -> Sequence[Failover]:
    """The report for each of these nodes (None: for all), as if it alone died; nodes that do not exist are left out."""
    return [_failover(snapshot, node) for node in sorted(snapshot.nodes) if nodes is None or node in nodes]


def _failover(snapshot: Snapshot, node: str) -> Failover:
    plan = plan_recovery(snapshot, node)
    waiting = sorted(plan.waiting.items(), key=lambda item: (-_priority(snapshot, item[0]), item[0]))
    told = {move.vm for move in plan.moves} | plan.waiting.keys()
    staying = [
        (name, why)
        for name, stored in sorted(snapshot.vms.items())
        if name not in told
        and snapshot.owner(name) == node
        and (why := _why_staying(stored.value) if stored.value else "")
    ]
    return Failover(node, plan.moves, tuple(waiting), tuple(staying), _held(snapshot), _proof(snapshot, node))


def _priority(snapshot: Snapshot, name: str) -> int:
    stored = snapshot.vms.get(name)
    return stored.value.ha.priority if stored is not None and stored.value is not None else 0


def _why_staying(vm: Vm) -> str:
    return {
        "disabled": "it is disabled, and stays where it is",
        "ignored": "it is ignored, whatever happens",
    }.get(vm.state, f"it is {vm.state}")


def _held(snapshot: Snapshot) -> str:
    return "the cluster is in maintenance" if snapshot.policy.maintenance else ""


def _proof(snapshot: Snapshot, node: str) -> tuple[str, ...]:
    """What the settings accept, as far as the node has it."""
    found = []
    for kind in snapshot.policy.evidence:
        if kind == "powered_off":
            stored = snapshot.nodes[node]
            found += [f"powered off by {device.name}" for device in stored.value.fence] if stored.value else []
        else:
            found.append("storage cut")
    return tuple(found)
