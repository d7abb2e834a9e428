# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots for placement, made without a store: a cluster in a few words, and what becomes of it when moves are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pvc_state.codec import Stored, encode
from pvc_state.records import (
    Alive,
    Claim,
    Disk,
    Evidence,
    Fence,
    Ha,
    Nic,
    Node,
    NodeStatus,
    Rule,
    Schema,
    Settings,
    SignOff,
    Vm,
    VmStatus,
)
from pvc_state.snapshot import Snapshot

RESERVE = 1024


@dataclass(repr=False)
class Situation:
    """A cluster that a test describes. All nodes are alive, of 4 GiB with 1 GiB reserved, unless it says otherwise."""

    nodes: dict[str, Stored[Node]] = field(default_factory=dict)
    status: dict[str, Stored[NodeStatus]] = field(default_factory=dict)
    alive: dict[str, Stored[Alive]] = field(default_factory=dict)
    vms: dict[str, Stored[Vm]] = field(default_factory=dict)
    claims: dict[str, Stored[Claim]] = field(default_factory=dict)
    rules: dict[str, Stored[Rule]] = field(default_factory=dict)
    fences: dict[str, Stored[Fence]] = field(default_factory=dict)
    settings: Settings = field(default_factory=lambda: Settings(placement="fewest_vms"))

    def __repr__(self) -> str:
        """What differs from the usual, for a failed test to be read."""
        lines = [
            f"node {name} {encode(stored.value)!r} {encode(self.status[name].value)!r}"
            for name, stored in self.nodes.items()
        ]
        lines += [f"no session of {name}" for name in self.nodes if name not in self.alive]
        lines += [
            f"vm {name} {encode(stored.value)!r} {encode(self.claims[name].value)!r}"
            for name, stored in self.vms.items()
        ]
        lines += [f"rule {name} {encode(stored.value)!r}" for name, stored in self.rules.items()]
        lines += [f"fence {name} {encode(stored.value)!r}" for name, stored in self.fences.items()]
        return "\n".join([f"settings {encode(self.settings)!r}", *lines])

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        printer.text(repr(self))

    def node(self, name: str, memory: int = 4096, cpus: int = 4, **options: Any) -> None:
        """One more node. Options: of Node; pools, bridges, leaving, cpu_models, load, load_memory: as in its status."""
        reported = ("pools", "bridges", "leaving", "cpu_models", "load", "load_memory")
        of_status = {key: options.pop(key) for key in reported if key in options}
        self.nodes[name] = Stored(Node(memory_reserve=RESERVE, **options), 0)
        reach = {"pools": ("vms",), "bridges": ("br0",), **of_status}
        self.status[name] = Stored(NodeStatus("0", "boot", memory, cpus, **reach), 0)
        self.alive[name] = Stored(Alive("boot", "agent"), 0)

    def vm(self, name: str, node: str, memory: int = 512, **options: Any) -> None:
        """One more VM, on a node. Options: of Vm, of Ha and of Claim; bound: Vm.node."""
        of_claim = {key: options.pop(key) for key in ("to", "home", "tried", "epoch") if key in options}
        of_ha = {key: options.pop(key) for key in Ha.__dataclass_fields__ if key in options}
        bound = options.pop("bound", None)
        self.vms[name] = Stored(Vm(uuid=name, memory=memory, node=bound, ha=Ha(**of_ha), **options), 0)
        epoch = of_claim.pop("epoch", 1)
        generation = 1 if of_claim.get("tried") else 0
        self.claims[name] = Stored(Claim(node, epoch, generation=generation, **of_claim), 0)

    def rule(
        self, name: str, kind: str, vms: str, nodes: Mapping[str, int] | None = None, strict: bool = False
    ) -> None:
        self.rules[name] = Stored(Rule(kind, tuple(vms.split()), dict(nodes or {}), strict), 0)

    def observe(self, name: str, state: str, reason: str = "", **fields: Any) -> None:
        """What the owner reports of a VM, of its present claim and record."""
        claim, vm = self.claims[name].value, self.vms[name].value
        assert claim is not None
        assert vm is not None
        seen = VmStatus(
            **{"state": state, "epoch": claim.epoch, "generation": vm.generation, "reason": reason, **fields}
        )
        status = self.status[claim.node].value
        assert status is not None
        self.status[claim.node] = Stored(replace(status, vms={**status.vms, name: seen}), 0)

    def die(self, node: str, *kinds: str, state: str = "proven", epoch: int = 0) -> None:
        """A node's session ends; with kinds of evidence, it gets a fence that they prove."""
        self.alive.pop(node, None)
        if kinds:
            evidence = tuple(Evidence(kind, "proven") for kind in kinds)
            self.fences[node] = Stored(Fence("1-1", state, "gone", evidence=evidence, epoch=epoch), 0)

    def sign_off(self, node: str, why: str = "shut down by its administrator") -> None:
        status = self.status[node].value
        assert status is not None
        self.status[node] = Stored(replace(status, signed_off=SignOff(True, why)), 0)
        self.alive.pop(node, None)

    @property
    def snapshot(self) -> Snapshot:
        return Snapshot(
            Schema(1, "lab", "id"),
            0,
            0,
            dict(self.nodes),
            dict(self.status),
            dict(self.alive),
            {},
            dict(self.vms),
            dict(self.claims),
            Stored(self.settings, 0),
            dict(self.rules),
            dict(self.fences),
        )


def situation(nodes: int = 3, **options: Any) -> Situation:
    """A cluster of node1, node2, … with these options."""
    made = Situation()
    for number in range(1, nodes + 1):
        made.node(f"node{number}", **options)
    return made


def moved(snapshot: Snapshot, moves: Mapping[str, str], **claim: Any) -> Snapshot:
    """The cluster once VMs have arrived at other nodes, where what is to run runs. claim: fields by VM."""
    claims = dict(snapshot.claims)
    for name, to in moves.items():
        before = claims[name].value
        assert before is not None
        after = replace(before, node=to, to="", epoch=before.epoch + 1, **claim.get(name, {}))
        claims[name] = Stored(after, claims[name].version + 1)
    return replace(snapshot, claims=claims)


def ssd(pool: str = "ssd") -> tuple[Disk, ...]:
    """A disk in a pool that the usual node does not reach."""
    return (Disk(pool, "web-0"),)


def nic(bridge: str) -> tuple[Nic, ...]:
    return (Nic(bridge, "02:00:00:00:00:01"),)
