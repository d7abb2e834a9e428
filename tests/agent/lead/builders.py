# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as the leader's step sees it, one field at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pvc_node_agent.lead.absorb import absorb
from pvc_node_agent.lead.effects import LeadEffect
from pvc_node_agent.lead.events import AliveSeen, Elected, LeadEvent, TreeSeen
from pvc_node_agent.lead.step import step
from pvc_node_agent.lead.view import LeadOutcome, LeadView
from pvc_state.codec import Stored
from pvc_state.records import Alive, Claim, Fence, Node, NodeStatus, Schema, Settings, Vm
from pvc_state.snapshot import Snapshot, empty

NODES = ("node1", "node2", "node3")


def address(node: str) -> str:
    return f"10.0.2.1{node[-1]}"


def status(node: str, **changes: Any) -> NodeStatus:
    known = NodeStatus(
        "0.1.0",
        boot_id=f"boot-of-{node}",
        memory=8192,
        cpus=8,
        pools=("vms",),
        bridges=("br0",),
        addresses={"storage": address(node)},
    )
    return replace(known, **changes)


def cluster(*, alive: Iterable[str] = NODES, nodes: Iterable[str] = NODES, **changes: Any) -> Snapshot:
    """Three coordinators without VMs, of which these live."""
    snapshot = empty(Schema(1, "test", "id"))
    return replace(
        snapshot,
        nodes={name: Stored(Node(coordinator=True), 4) for name in nodes},
        status={name: Stored(status(name), 7) for name in nodes},
        alive={name: Stored(Alive(f"boot-of-{name}", f"agent-of-{name}"), 0) for name in alive},
        **changes,
    )


def with_vms(snapshot: Snapshot, owners: Mapping[str, str], **options: Any) -> Snapshot:
    """The cluster with these VMs, each on its node."""
    options = {"memory": 512, **options}
    return replace(
        snapshot,
        vms={name: Stored(Vm(f"uuid-of-{name}", **options), 2) for name in owners},
        claims={name: Stored(Claim(node, 3), 5) for name, node in owners.items()},
    )


def fenced(snapshot: Snapshot, node: str, fence: Fence, version: int = 1) -> Snapshot:
    return replace(snapshot, fences={**snapshot.fences, node: Stored(fence, version)})


def policy(snapshot: Snapshot, **changes: Any) -> Snapshot:
    return replace(snapshot, settings=Stored(replace(snapshot.policy, **changes), 1))


def settings(**changes: Any) -> Stored[Settings]:
    return Stored(Settings(**changes), 1)


class Led:
    """A leader's view, and what its steps ask for."""

    def __init__(self, snapshot: Snapshot, *, sighted: Iterable[str] = NODES, now: float = 1000.0) -> None:
        self.now = now
        self.view = LeadView(node="node1", wall="2026-01-01T00:00:00Z")
        self.see(AliveSeen(frozenset(sighted)), AliveSeen(frozenset(snapshot.alive)), Elected(7), TreeSeen(snapshot))

    def see(self, *events: LeadEvent) -> None:
        for event in events:
            self.view = absorb(self.now, self.view, event)

    def step(self) -> LeadOutcome:
        outcome = step(self.now, self.view)
        self.view = self.view.after(outcome)
        return outcome

    def effects(self) -> tuple[LeadEffect, ...]:
        return self.step().effects
