# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot or none, requests) -> Plan* for nodes. The first plan of nodes initialises an empty tree."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, cast

from . import host_devices, paths, plan_autostart
from .codec import Stored, encode
from .errors import DamagedRecord
from .node_limits import why_closed, why_down
from .node_options import NodeChecker
from .plan import Change, Plan, each, guard, sentence
from .reasons import listed
from .records import NODE_STATES, SCHEMA_VERSION, Claim, Declaration, Node, Schema, Vm, sign_off, surely_off
from .requests import UNSET, NodeRequest
from .snapshot import Snapshot, empty
from .store import Check, Create, Delete, Op, Set, absent
from .views import desired_node, desired_vm
from .vm_options import Checker

STATES = ("present", *NODE_STATES, "absent")

#: Options that make sense only for a node that stays.
_PRESENT_OPTIONS = ("coordinator", "memory_reserve", "fence", "fence_together", "devices", "return_vms")

#: Options that describe a node: with none of them, and no word that it is to be registered, a task means one that exists.
_DESCRIBES = ("coordinator", "memory_reserve", "fence", "fence_together", "devices")


def plan_nodes(
    snapshot: Snapshot | None,
    requests: Sequence[NodeRequest],
    cluster_name: str,
    cluster_id: str = "",
    *,
    force: bool = False,
) -> Plan:
    """Plan any number of nodes at once; raises InvalidRequest, DamagedRecord or Refusals for what cannot be.

    Args:
        snapshot: None for a tree that is not initialised yet.
        cluster_name: must be the tree's own if it is initialised.
        cluster_id: of a tree to be initialised; random when empty.
        force: whether even the last node that takes VMs may be drained while VMs run on it.
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
    each(requests, work.add)
    plan = work.plan()
    if not force:
        _leave_one(snapshot, plan.after)
    return dataclasses.replace(plan, guard=initial) if initial else plan


def _initial(cluster_name: str, cluster_id: str) -> tuple[Snapshot, tuple[Op, ...]]:
    schema = Schema(SCHEMA_VERSION, cluster_name, cluster_id)
    # /schema comes last: whoever sees it sees a whole tree, also in a store that does not do all at once.
    parents = [Create(path) for path in (*paths.PARENTS, paths.JOURNAL)]
    return empty(schema), (*parents, Create(paths.SCHEMA, encode(schema)))


def _leave_one(before: Snapshot, after: Snapshot) -> None:
    """Refuse to drain the last nodes that take VMs while VMs run there: these could only stay, or be lost."""
    drained = [node for node in after.nodes if _ready(before, node) and not _ready(after, node)]
    if not drained or any(_ready(after, node) and not why_down(after, node) for node in after.nodes):
        return
    running = [
        name
        for name, stored in sorted(after.vms.items())
        if stored.value is not None and stored.value.state == "started" and after.owner(name) in drained
    ]
    if running:
        others = [f"{node} {why_closed(after, node)}" for node in sorted(after.nodes.keys() - drained)]
        alone = f" ({', '.join(others)})" if others else ""
        last = "it is the last node that takes VMs" if len(drained) == 1 else "no other node takes VMs"
        Checker(f"node {', '.join(sorted(drained))}").refuse(
            "state",
            f"{last}{alone}, and {listed(running)} {'runs' if len(running) == 1 else 'run'} there",
            "make another node ready first, stop these VMs, or give force=true if they may stay where they are",
        )


def _ready(snapshot: Snapshot, node: str) -> bool:
    stored = snapshot.nodes.get(node)
    return stored is not None and stored.value is not None and stored.value.state == "ready"


class _Work:
    """A plan in the making."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.claims = dict(snapshot.claims)
        self.nodes = dict(snapshot.nodes)
        self.vms = dict(snapshot.vms)
        self.status = dict(snapshot.status)
        self.declared = dict(snapshot.declared)
        self.changes: list[Change] = []
        self.groups: list[tuple[Op, ...]] = []
        self.why: dict[str, str] = {}

    def add(self, request: NodeRequest) -> None:
        check = NodeChecker(request.name)
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
        state = check.choice("state", request.state, STATES)
        if state == "absent":
            self._remove(check, request, before)
            return
        if before is None and state in NODE_STATES and all(getattr(request, one) is UNSET for one in _DESCRIBES):
            check.refuse(
                "name", "it does not exist", "name a node of the cluster; a new one is registered without state"
            )
        after = check.options(request, before or Node())
        if state != "present":
            after = dataclasses.replace(after, state=state)
        host_devices.not_in_use(check, self.snapshot, name, after)
        if not after.fence and (before is None or before.fence):
            self._only_power_off(check)
        if before is None or stored is None:
            ops: tuple[Op, ...] = (Create(paths.node(name), encode(after)), Create(paths.assigned(name)))
            self.nodes[name] = Stored(after, 0)
            self._change(name, None, desired_node(after), "added to the cluster", ops)
        elif after == before:
            self.why[name] = "nothing to change"
        else:
            after = dataclasses.replace(after, generation=before.generation + 1)
            old, new = desired_node(before), desired_node(after)
            why = ", ".join(_difference(key, old[key], new[key]) for key in old if old[key] != new[key])
            self.nodes[name] = Stored(after, stored.version + 1)
            started, ops = plan_autostart.autostarts(self.snapshot, name, before, after)
            self.vms.update(started)
            why = sentence([why, f"starts {', '.join(sorted(started))}" if started else ""])
            self._change(name, old, new, why, (Set(paths.node(name), encode(after), stored.version), *ops))
            for vm, record in started.items():
                was, is_now = (desired_vm(cast(Vm, one.value)) for one in (self.snapshot.vms[vm], record))
                self.changes.append(Change("vm", vm, was, is_now, f"it starts, since {name} takes VMs again"))
        if request.declared_dead is not UNSET:
            self._declare(check, request)
        if request.return_vms is not UNSET:
            self._keep_away(check, name, state, check.truth("return_vms", request.return_vms))

    def plan(self) -> Plan:
        after = dataclasses.replace(
            self.snapshot,
            nodes=MappingProxyType(self.nodes),
            vms=MappingProxyType(self.vms),
            claims=MappingProxyType(self.claims),
            status=MappingProxyType(self.status),
            declared=MappingProxyType(self.declared),
        )
        return Plan(tuple(self.changes), tuple(self.groups), guard(self.snapshot), after, MappingProxyType(self.why))

    def _keep_away(self, check: Checker, name: str, state: str, return_vms: bool) -> None:
        """VMs that were moved away from the node forget that it is their home."""
        if state != "ready":
            check.refuse("return_vms", f"it makes no sense with state {state}", "give it with state ready")
        if return_vms:
            return
        kept = [vm for vm, stored in sorted(self.claims.items()) if stored.value and stored.value.home == name]
        for vm in kept:
            stored = self.claims[vm]
            claim = dataclasses.replace(cast(Claim, stored.value), home="", away=False)  # a sound one: it has a home
            self.claims[vm] = Stored(claim, stored.version + 1)
            views = ({"claim": {"home": name}}, {"claim": {"home": None}})
            self.changes.append(Change("vm", vm, *views, f"it stays where it is, and does not return to {name}"))
            self.groups.append((Set(paths.claim(vm), encode(claim), stored.version),))
        if kept:
            said = f"{listed(kept)} {'does' if len(kept) == 1 else 'do'} not return"
            known = self.why[name]
            self.why[name] = said if known == "nothing to change" else sentence([known, said])

    def _only_power_off(self, check: Checker) -> None:
        if self.snapshot.policy.evidence == ("powered_off",):
            problem = (
                "without a fence device nothing could prove that it is off, and the settings accept no other evidence"
            )
            check.refuse("fence", problem, "declare a fence device, or accept storage_cut in the settings, too")

    def _declare(self, check: NodeChecker, request: NodeRequest) -> None:
        """An operator vouches that the node is off: only where a fence waits for it, and nobody has seen it alive."""
        if request.declared_dead is UNSET:
            return
        name, dead = request.name, check.dead(request.declared_dead)
        fence, stored = self.snapshot.fences.get(name), self.snapshot.declared.get(name)
        status = self.snapshot.status.get(name)
        signed_off = status is not None and status.value is not None and status.value.signed_off is not None
        if name in self.snapshot.alive:
            problem = "it is alive: its agent has a session"
            check.refuse("declared_dead", problem, "power it off first; it is then fenced by itself")
        if fence is None and not signed_off:
            problem = "no fence of it stands, so nothing waits for such a declaration"
            check.refuse(
                "declared_dead", problem, "wait until the leader has fenced it, as node_info shows, or leave it out"
            )
        if fence is not None and fence.value is None:
            path = paths.fence(name)
            raise DamagedRecord(
                f"{path} holds no valid record: {fence.invalid}", obj=check.obj, remedy=f"restore {path}"
            )
        answers = fence.value.id if fence and fence.value else sign_off(status.version if status else 0)
        if stored is not None and stored.value is not None and stored.value.fence == answers:
            self.why[name] = sentence([self.why[name], f"declared dead already by {stored.value.by}"])
            return
        word = Declaration(answers, dead.by, dead.why, dead.at)
        path, data = paths.declared(name), encode(word)
        write: Op = Create(path, data) if stored is None else Set(path, data, stored.version)
        self.declared[name] = Stored(word, 0 if stored is None else stored.version + 1)
        self.changes.append(Change("declared dead", name, None, {"by": word.by, "why": word.why}, word.why))
        rests_on = (Check(paths.status(name), status.version),) if fence is None and status is not None else ()
        self.groups.append((*absent(paths.alive(name)), *rests_on, write))
        said = f"declared dead by {word.by}: {word.why}"
        known = self.why[name]
        self.why[name] = said if known == "nothing to change" else sentence([known, said])

    def _remove(self, check: NodeChecker, request: NodeRequest, before: Node | None) -> None:
        name = request.name
        for option in _PRESENT_OPTIONS:
            if getattr(request, option) is not UNSET:
                check.refuse(option, "it makes no sense with state absent", "leave it out")
        fence = self.snapshot.fences.get(name)
        vouched = fence is not None and request.declared_dead is not UNSET
        if before is None:
            self.why[name] = "it does not exist"
            if vouched:
                self._declare(check, request)
            elif fence is not None:
                still = (
                    f"its fence stands{', and Ceph refuses its addresses' if fence.value and fence.value.cut else ''}"
                )
                self.why[name] = f"it does not exist, but {still}: vouch for it with declared_dead to have that lifted"
            return
        used = sorted(
            vm
            for vm, stored in self.snapshot.vms.items()
            if name in (self.snapshot.owner(vm), self.snapshot.target(vm))
            or (stored.value is not None and stored.value.node == name)
        )
        if used:
            check.refuse("state", f"it holds {listed(used, 5)}", "delete them or move them away first")
        if name in self.snapshot.alive:
            check.refuse("state", "its agent runs", "stop pvc-node-agent on it first")
        if fence is not None and not vouched:
            if fence.value is None or fence.value.state != "proven":
                remedy = "wait until its fence is proven, as fence_info shows, or declare it dead"
                check.refuse("state", "it is not certain that it is off", remedy)
            if not surely_off(fence.value):
                problem = "it is only cut off from its storage, and Ceph would have to refuse its addresses for ever"
                check.refuse(
                    "state", problem, "make sure that it is off, and say so with declared_dead beside state absent"
                )
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
        if vouched:
            self._declare(check, request)

    def _change(
        self, name: str, before: dict[str, Any] | None, after: dict[str, Any] | None, why: str, ops: tuple[Op, ...]
    ) -> None:
        self.changes.append(Change("node", name, before, after, why))
        self.groups.append(ops)
        self.why[name] = why


def _difference(key: str, old: Any, new: Any) -> str:
    """What differs, in words: devices by name."""
    if key in ("fence", "devices"):
        old, new = (", ".join(device["name"] for device in devices) or "none" for devices in (old, new))
        return f"{key} {old} -> {new}" if old != new else f"{key} changed"
    words = ["none" if value == "" else value for value in (old, new)]
    return f"{key} {words[0]} -> {words[1]}"
