# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small clusters in memory, and a stand-in for the agents' side of the tree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pvc_state import paths
from pvc_state.codec import decode, encode
from pvc_state.commit import Committed, commit, commit_nodes
from pvc_state.memory_store import MemoryEnsemble, MemoryStore
from pvc_state.plan import Plan
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Alive, Claim, Health, NodeStatus, Service, Vm, VmStatus
from pvc_state.requests import DiskRequest, NicRequest, NodeRequest, VmRequest
from pvc_state.snapshot import Snapshot, load
from pvc_state.staging import guard
from pvc_state.store import Create, Delete, Op, Set, Store

CLUSTER_ID = "6a0c7f0e-6f0a-4c43-9f0e-2f6b5d1c9a77"
GIB = 1 << 30


def request(name: str = "web1", **options: Any) -> VmRequest:
    """A VM of 512 MiB with one disk and one interface, unless told otherwise."""
    defaults = {"memory": 512, "disks": [DiskRequest(size=GIB)], "nics": [NicRequest("br0")]}
    return VmRequest(name, **{**defaults, **options})


class Cluster:
    """A cluster in memory: 4 GiB nodes with 1 GiB reserved, pool vms and bridge br0, all of them alive."""

    def __init__(self, nodes: int = 2, memory: int = 4096, store: Store | None = None) -> None:
        self.ensemble = MemoryEnsemble()
        self.store: Store = store or self.ensemble.connect()
        names = [f"node{index + 1}" for index in range(nodes)]
        requests = [NodeRequest(name) for name in names]
        commit_nodes(self.store, lambda snapshot: plan_nodes(snapshot, requests, "lab", CLUSTER_ID))
        self.agents = {name: Agent(self.store, name, memory) for name in names}

    def connect(self) -> MemoryStore:
        return self.ensemble.connect()

    @property
    def snapshot(self) -> Snapshot:
        return load(self.store)

    def plan(self, *requests: VmRequest) -> Plan:
        return plan_vms(self.snapshot, requests)

    def apply(self, *requests: VmRequest) -> Committed:
        return commit(self.store, lambda snapshot: plan_vms(snapshot, requests))

    def vm(self, name: str) -> Vm:
        vm = self.snapshot.vms[name].value
        assert vm is not None
        return vm

    def overwrite(self, path: str, data: bytes) -> None:
        """Damage a znode."""
        znode = self.store.get(path)
        assert znode is not None
        self.store.commit([Set(path, data, znode.version)])


class Agent:
    """Writes what a node's agent writes, when told to."""

    def __init__(self, store: Store, node: str, memory: int = 4096) -> None:
        self.store = store
        self.node = node
        report = NodeStatus("0", "boot", memory, 2, ("vms",), ("br0",), {"cluster": "10.0.0.1"})
        alive = Create(paths.alive(node), encode(Alive("boot", "agent")), ephemeral=True)
        store.commit([Create(paths.status(node), encode(report)), alive])

    def report(self, change: Callable[[NodeStatus], NodeStatus]) -> None:
        """Replace the node's status."""
        znode = self.store.get(paths.status(self.node))
        assert znode is not None
        status = encode(change(decode(NodeStatus, znode.data)))
        self.store.commit([Set(paths.status(self.node), status, znode.version)])

    def observe(self, name: str, state: str, **fields: Any) -> None:
        """Report a VM: by default at its present claim and record."""
        vm, claim = self._vm(name), self._claim(name)
        definition = vm.definition if state in ("starting", "running", "stopping") else 0
        observed = VmStatus(
            **{"state": state, "epoch": claim.epoch, "generation": vm.generation, "definition": definition, **fields}
        )
        self.report(lambda status: dataclasses.replace(status, vms={**status.vms, name: observed}))

    def tell(self, *services: Service, instance: str = "agent") -> None:
        """Publish how the services of the node are."""
        path, data = paths.health(self.node), encode(Health(instance, "then", services))
        znode = self.store.get(path)
        self.store.commit([Create(path, data) if znode is None else Set(path, data, znode.version)])

    def die(self) -> None:
        """The session ends."""
        self.store.commit([Delete(paths.alive(self.node), 0)])

    def come_back(self) -> None:
        """The session that ended begins again."""
        self.store.commit([Create(paths.alive(self.node), encode(Alive("boot", "agent")), ephemeral=True)])

    def remove(self, name: str) -> None:
        """Finish a deletion, as an agent does."""
        self._commit(*self._deletes(paths.vm(name), paths.claim(name), paths.assigned(self.node, name)))

    def hand_over(self, name: str, node: str) -> None:
        """Give a VM's claim to another node."""
        znode = self.store.get(paths.claim(name))
        assert znode is not None
        claim = decode(Claim, znode.data)
        self._commit(
            Set(paths.claim(name), encode(Claim(node, claim.epoch + 1)), znode.version),
            *self._deletes(paths.assigned(self.node, name)),
            Create(paths.assigned(node, name)),
        )

    def _commit(self, *ops: Op) -> None:
        self.store.commit([guard(self.store), *ops])

    def _deletes(self, *places: str) -> Sequence[Op]:
        znodes = zip(places, self.store.get_many(places), strict=True)
        return [Delete(path, znode.version) for path, znode in znodes if znode is not None]

    def _vm(self, name: str) -> Vm:
        znode = self.store.get(paths.vm(name))
        assert znode is not None
        return decode(Vm, znode.data)

    def _claim(self, name: str) -> Claim:
        znode = self.store.get(paths.claim(name))
        assert znode is not None
        return decode(Claim, znode.data)
