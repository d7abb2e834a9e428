# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot or none, requests) -> Plan* for nodes. The first plan of nodes initialises an empty tree."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from . import paths
from .codec import Stored, encode
from .errors import DamagedRecord
from .plan import Change, Plan, guard
from .records import SCHEMA_VERSION, Node, Schema
from .requests import UNSET, NodeRequest
from .snapshot import Snapshot, empty
from .store import Create, Delete, Op, Set
from .views import desired_node
from .vm_options import Checker

MEMORY_RESERVE = range(16 * 1024 * 1024 + 1)


def plan_nodes(
    snapshot: Snapshot | None, requests: Sequence[NodeRequest], cluster_name: str, cluster_id: str = ""
) -> Plan:
    """Plan any number of nodes at once; raises InvalidRequest or DamagedRecord for the first that cannot be.

    Args:
        snapshot: None for a tree that is not initialised yet.
        cluster_name: must be the tree's own if it is initialised.
        cluster_id: of a tree to be initialised; random when empty.
    """
    checker = Checker("cluster")
    checker.name(cluster_name, "cluster_name")
    if snapshot is not None and snapshot.schema.cluster != cluster_name:
        checker.refuse(
            "cluster_name",
            f"the store's root belongs to cluster {snapshot.schema.cluster}, not {cluster_name}",
            "check hosts and root, or give the right name",
        )
    initial: tuple[Op, ...] = ()
    if snapshot is None:
        snapshot, initial = _initial(cluster_name, cluster_id or str(uuid.uuid4()))
    work = _Work(snapshot)
    for request in requests:
        work.add(request)
    plan = work.plan()
    return dataclasses.replace(plan, guard=initial) if initial else plan


def _initial(cluster_name: str, cluster_id: str) -> tuple[Snapshot, tuple[Op, ...]]:
    schema = Schema(SCHEMA_VERSION, cluster_name, cluster_id)
    # /schema comes last: whoever sees it sees a whole tree, also in a store that does not do all at once.
    parents = [Create(path) for path in (*paths.PARENTS, paths.JOURNAL)]
    return empty(schema), (*parents, Create(paths.SCHEMA, encode(schema)))


class _Work:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.nodes = dict(snapshot.nodes)
        self.status = dict(snapshot.status)
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: NodeRequest) -> None:
        check = Checker(f"node {request.name}")
        name = check.name(request.name)
        if name in self.why:
            check.refuse("name", "it is in the list twice", "name each node once")
        stored = self.snapshot.nodes.get(name)
        if stored is not None and stored.value is None:
            raise DamagedRecord(
                f"{paths.node(name)} holds no valid record: {stored.invalid}",
                obj=f"node {name}",
                remedy=f"restore {paths.node(name)}, or set it to {{}} for a node with all defaults",
            )
        before = stored.value if stored else None
        if check.choice("state", request.state, ("present", "absent")) == "absent":
            self._remove(check, request, before)
            return
        after = self._options(check, request, before or Node())
        if before is None or stored is None:
            ops: tuple[Op, ...] = (Create(paths.node(name), encode(after)), Create(paths.assigned(name)))
            self.nodes[name] = Stored(after, 0)
            self._change(name, None, desired_node(after), "added to the cluster", ops)
        elif after == before:
            self.why[name] = "nothing to change"
        else:
            after = dataclasses.replace(after, generation=before.generation + 1)
            old, new = desired_node(before), desired_node(after)
            why = ", ".join(f"{key} {old[key]} -> {new[key]}" for key in old if old[key] != new[key])
            self.nodes[name] = Stored(after, stored.version + 1)
            self._change(name, old, new, why, (Set(paths.node(name), encode(after), stored.version),))

    def plan(self) -> Plan:
        after = dataclasses.replace(
            self.snapshot, nodes=MappingProxyType(self.nodes), status=MappingProxyType(self.status)
        )
        return Plan(tuple(self.changes), tuple(self.groups), guard(self.snapshot), after, MappingProxyType(self.why))

    def _options(self, check: Checker, request: NodeRequest, base: Node) -> Node:
        values: dict[str, Any] = {}
        if request.coordinator is not UNSET:
            values["coordinator"] = check.truth("coordinator", request.coordinator)
        if request.memory_reserve is not UNSET:
            values["memory_reserve"] = check.number("memory_reserve", request.memory_reserve, MEMORY_RESERVE, "MiB")
        return dataclasses.replace(base, **values)

    def _remove(self, check: Checker, request: NodeRequest, before: Node | None) -> None:
        name = request.name
        for option in ("coordinator", "memory_reserve"):
            if getattr(request, option) is not UNSET:
                check.refuse(option, "it makes no sense with state absent", "leave it out")
        if before is None:
            self.why[name] = "it does not exist"
            return
        used = sorted(
            vm
            for vm, stored in self.snapshot.vms.items()
            if self.snapshot.owner(vm) == name or (stored.value is not None and stored.value.node == name)
        )
        if used:
            listed = ", ".join(used[:5]) + (f" and {len(used) - 5} more" if len(used) > 5 else "")
            check.refuse("state", f"it holds {listed}", "delete them or move them away first")
        if name in self.snapshot.alive:
            check.refuse("state", "its agent runs", "stop pvc-node-agent on it first")
        ops: list[Op] = [
            Delete(paths.node(name), self.snapshot.nodes[name].version),
            Delete(paths.assigned(name), 0),
        ]
        status = self.status.pop(name, None)
        if status is not None:
            ops.append(Delete(paths.status(name), status.version))
        health = self.snapshot.health.get(name)
        if health is not None:
            ops.append(Delete(paths.health(name), health.version))
        del self.nodes[name]
        self._change(name, desired_node(before), None, "removed from the cluster", tuple(ops))

    def _change(
        self, name: str, before: dict[str, Any] | None, after: dict[str, Any] | None, why: str, ops: tuple[Op, ...]
    ) -> None:
        self.changes.append(Change("node", name, before, after, why))
        self.groups.append(ops)
        self.why[name] = why
