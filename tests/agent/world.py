# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cluster in memory: the agent's own parts, with a simulated hypervisor and storage behind the seam.

Nothing runs by itself and no time passes: ``settle()`` turns everything until nothing is left to do, ``advance()``
moves the clock from one thing to do to the next. What happened is in ``log``, in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from pvc_node_agent.sim import world as simulated
from pvc_node_agent.sim.machine import Machine
from pvc_state import codec, paths, staging
from pvc_state.commit import commit, commit_nodes
from pvc_state.errors import InvalidRequest, StoreUnavailable
from pvc_state.memory_store import MemoryStore
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Claim, Fence, Health, NodeStatus, Schema, Service, Settings, Vm, VmStatus
from pvc_state.requests import NodeRequest, VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Check, Create, Delete, Op, Set, Znode

SESSION_TIMEOUT = 6.0


class Node(Machine):
    """A machine whose services are looked at, too."""

    world: simulated.World

    def start_agent(self) -> None:
        self.services = self.services or (Service("ceph", "osd.0", "up"), Service("ceph", "osd.1", "up"))
        super().start_agent()


class World(simulated.World):
    """The cluster.

    Args:
        leading: whether its agents also stand for the lead.
    """

    def __init__(self, *nodes: str, leading: bool = False) -> None:
        self.leading = leading
        super().__init__(session_timeout=SESSION_TIMEOUT, time=1000.0)
        requests = [NodeRequest(name, coordinator=True) for name in nodes]
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, requests, "test"))
        for name in nodes:
            self.add_machine(name)
        self.settle()

    def add_machine(self, name: str, *, powered: bool = True, coordinator: bool = True) -> Node:
        self.nodes[name] = node = Node(self, name, len(self.nodes) + 1, powered=powered, manager=self.leading)
        node.start_agent()
        return node

    # --- what users and tests ask for ---------------------------------------------------------------------------------

    def want(self, *requests: VmRequest) -> None:
        commit(self.user, lambda snapshot: plan_vms(snapshot, requests))

    def want_unless_refused(self, *requests: VmRequest) -> None:
        """For requests that the plan may refuse, such as a move of what is to run."""
        with suppress(InvalidRequest):
            self.want(*requests)

    def run_jobs_but_starts(self) -> None:
        """Let the hypervisors hang, and everything else go on."""
        for _turn in range(3):
            for node in self.nodes.values():
                for job in node.later.take():
                    job()
            self.settle()

    def declare(self, node: str) -> None:
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, [NodeRequest(node)], "test"))

    def take_claim(self, vm: str, node: str, claim: Znode) -> None:
        """Give a claim to another node, as a recovery will."""
        before = codec.decode(Claim, claim.data)
        self.user.commit(
            [
                Set(paths.claim(vm), codec.encode(Claim(node, before.epoch + 1)), claim.version),
                Delete(paths.assigned(before.node, vm), 0),
                Create(paths.assigned(node, vm)),
            ]
        )

    def move(self, vm: str, to: str, why: str = "test", **changes: Any) -> None:
        """Have a VM moved, as a leader does: the claim says where, the index has it for both. Nowhere: no more."""
        znode = self.znode(paths.claim(vm))
        assert znode is not None
        before = codec.decode(Claim, znode.data)
        after = replace(before, to=to, why=why if to else "", **changes)
        ops: list[Op] = [Set(paths.claim(vm), codec.encode(after), znode.version)]
        if before.to and before.to != to:
            ops.append(Delete(paths.assigned(before.to, vm), 0))
        if to and to != before.to:
            ops.append(Create(paths.assigned(to, vm)))
        self.user.commit(ops)

    def fence(self, node: str, state: str | None, **changes: Any) -> None:
        """Make a node's fence, change it, or take it away (None), as a leader does; with it goes the node's session."""
        path = paths.fence(node)
        znode = self.znode(path)
        if state is None:
            assert znode is not None
            self.user.commit([Delete(path, znode.version)])
        elif znode is not None:
            record = replace(codec.decode(Fence, znode.data), state=state, **changes)
            self.user.commit([Set(path, codec.encode(record), znode.version)])
        else:
            alive = self.znode(paths.alive(node))
            ops: list[Op] = [Delete(paths.alive(node), alive.version)] if alive is not None else []
            record = Fence(id="1-1", state=state, why="its session has ended", **changes)
            self.user.commit([*ops, Create(path, codec.encode(record))])

    def set_policy(self, shutdown_policy: str) -> None:
        """Say what becomes of the VMs of a node that shuts down."""
        data, znode = codec.encode(Settings(shutdown_policy=shutdown_policy)), self.znode(paths.SETTINGS)
        self.user.commit([Create(paths.SETTINGS, data) if znode is None else Set(paths.SETTINGS, data, znode.version)])

    def damage(self, path: str) -> None:
        znode = self.znode(path)
        assert znode is not None
        self.user.commit([Set(path, b"{", znode.version)])

    def set_schema_version(self, version: int) -> None:
        znode = self.znode(paths.SCHEMA)
        assert znode is not None
        schema = replace(codec.decode(Schema, znode.data), version=version)
        self.user.commit([Set(paths.SCHEMA, codec.encode(schema), znode.version)])

    def want_blindly(self, vm: str, **changes: Any) -> None:
        """Change a record as other software might, past the library's rules."""
        znode = self.znode(paths.vm(vm))
        assert znode is not None
        record = replace(codec.decode(Vm, znode.data), **changes)
        self.user.commit([Set(paths.vm(vm), codec.encode(record), znode.version)])

    def leave_large_plan_behind(self, requests: Sequence[VmRequest]) -> None:
        """Commit a plan in the way of large ones, and die right after it became visible."""
        writer = self.ensemble.connect()
        snapshot = load(writer)
        plan = plan_vms(snapshot, requests)
        checks = [op for op in plan.guard if isinstance(op, Check)]
        dying = _DiesWhenCommitted(writer)
        with suppress(StoreUnavailable):
            staging.commit(dying, checks, plan.groups, snapshot.journal)
        assert dying.dead

    def zxid(self) -> int:
        """Grows with every write to the store, wherever it is."""
        self.user.commit([Create("/probe"), Delete("/probe", 0)])
        self.user.commit([Create("/probe")])
        znode = self.user.get("/probe")
        assert znode is not None
        self.user.commit([Delete("/probe", 0)])
        self.probes = getattr(self, "probes", 0) + 1
        return znode.czxid - 3 * self.probes

    def znode(self, path: str) -> Znode | None:
        return self.user.get(path)

    def claim(self, vm: str) -> Claim | None:
        znode = self.znode(paths.claim(vm))
        return codec.decode(Claim, znode.data) if znode else None

    def status(self, node: str) -> NodeStatus:
        znode = self.znode(paths.status(node))
        assert znode is not None
        return codec.decode(NodeStatus, znode.data)

    def health(self, node: str) -> Health:
        znode = self.znode(paths.health(node))
        assert znode is not None
        return codec.decode(Health, znode.data)

    def vm(self, name: str) -> VmStatus:
        """What the owner of the VM publishes of it."""
        claim = self.claim(name)
        assert claim is not None
        return self.status(claim.node).vms[name]


class _DiesWhenCommitted:
    """A store whose user dies right after the journal points at the plan."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        if self.dead:
            raise StoreUnavailable("dead")
        return getattr(self._store, name)

    def commit(self, ops: Sequence[Op]) -> None:
        if self.dead:
            raise StoreUnavailable("dead")
        self._store.commit(ops)
        self.dead = any(isinstance(op, Set) and op.path == paths.JOURNAL for op in ops)
