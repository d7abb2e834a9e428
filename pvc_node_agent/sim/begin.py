# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case's cluster as it is at the begin: its tree, and what an earlier leader has written in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pvc_state import codec, paths
from pvc_state.commit import commit_nodes
from pvc_state.errors import InvalidRequest
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Claim, Disk, Evidence, Fence, Ha, Migration, Node, NodeStatus, Settings, Vm, VmStatus
from pvc_state.requests import NodeRequest
from pvc_state.store import Create, Delete, Set
from pvc_state.store import Op as StoreOp

from ..answer import GIVEN_UP
from .case import Case, Load, ServiceSpec
from .ceph import SimulatedCephFence
from .chronicle import Chronicle
from .faults import Faults
from .machine import Machine

#: Seconds of a session, as long as the peer waits for a silent node.
SESSION = 60.0
CLUSTER = "simulated"
#: An id that stays: what is derived from it (ids of VMs) is the same in every run.
CLUSTER_ID = "00000000-0000-4000-8000-000000000001"


class Begin(Chronicle):
    """The cluster of a case, before anything happens.

    Attributes:
        loads: what VMs use while they run, by VM.
    """

    def __init__(self, case: Case) -> None:
        super().__init__(session_timeout=SESSION)
        self.case = case
        self.loads: dict[str, Load] = {}
        self._build()

    def _build(self) -> None:
        case = self.case
        requests = [NodeRequest(name, coordinator=True, memory_reserve=0) for name in case.nodes]
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, requests, CLUSTER, CLUSTER_ID))
        settings = Settings(
            shutdown_policy=case.policy.shutdown,
            placement=case.policy.placement,
            session_timeout=SESSION,
            rebalance=case.policy.rebalance,
            rebalance_threshold=case.policy.gain,
        )
        self.user.commit([Create(paths.SETTINGS, codec.encode(settings))])
        for number, rule in enumerate(case.rules):
            self.user.commit([Create(paths.rule(f"rule-{number:03d}"), codec.encode(rule))])
        for name, spec in case.services.items():
            self._add(name, spec)
        for name, node in case.nodes.items():
            machine = self.add_machine(name, powered=False)
            machine.facts = replace(machine.facts, memory=node.memory, cpus=node.cpus)
        self._remember()
        for name, node in case.nodes.items():
            if node.powered:
                self.nodes[name].power_on()
                if not node.connected:
                    self.nodes[name].isolate()
        self.changed()

    def _add(self, name: str, spec: ServiceSpec) -> None:
        number = len(self.faults) + 1
        self.loads[name] = spec.load or Load()
        self.faults[name] = Faults(spec.start_fails, spec.move_fails, spec.stop_fails, spec.faulty_node)
        vm = Vm(
            uuid=f"00000000-0000-4000-8000-{number:012d}",
            memory=spec.memory,
            vcpus=spec.cpus,
            state=spec.wanted,
            disks=(Disk("vms", f"{name}-disk0", 1 << 30),),
            migration=Migration("live" if spec.live else "shutdown"),
            ha=Ha(spec.max_local_restarts, spec.max_moves, failback=spec.failback),
        )
        self.user.commit(
            [
                Create(paths.vm(name), codec.encode(vm)),
                Create(paths.claim(name), codec.encode(Claim(spec.node, 1))),
                Create(paths.assigned(spec.node, name)),
            ]
        )

    def _remember(self) -> None:
        """What an earlier leader had written."""
        stored = self.case.stored
        fenced = {node: "" for node, state in stored.nodes.items() if state == "to_be_fenced"}
        vms: dict[str, dict[str, VmStatus]] = {node: {} for node in stored.nodes}
        for vm, was in stored.services.items():
            spec = self.case.services.get(vm)
            if spec is None:
                continue  # its records were removed meanwhile
            node, state, reason = was.node, was.state, "its node has shut down cleanly"
            if state in ("started", "stopped", "unmanaged"):
                node = spec.node
            elif state == "moving" and spec.node not in (node, was.to):
                # it lies on a node that its move is not about: nobody but a person can say what became of it
                node, state, reason = spec.node, "failed", f"it was to move from {was.node}, and is on {spec.node}"
            tried = was.tried
            if state == "failed":
                reason = f"{GIVEN_UP}: {reason if node != was.node else 'an earlier leader saw it fail'}"
                tried = (*tried, *[node] * (spec.max_moves - len(tried)))
            to = was.to if state == "moving" else ""
            why = "begun by an earlier leader" if to else ""
            self._replace_claim(
                vm, Claim(node, 1, to=to, why=why, home=was.home, tried=tried, generation=1 if tried else 0)
            )
            if state in ("waiting_for_fence", "waiting_for_recovery"):
                fenced[node] = ""
            if state in ("failed", "frozen"):
                vms.setdefault(node, {})[vm] = VmStatus(state, 1, 1, reason)
        for node, state in stored.nodes.items():
            if state == "maintenance":
                self._set_node(node, "maintenance")
        for node in sorted({*vms, *fenced}):
            self._report(self.nodes[node], vms.get(node, {}))
        for node in sorted(fenced):
            self._fence(self.nodes[node])

    def _report(self, machine: Machine, vms: Mapping[str, VmStatus]) -> None:
        """A node has been here before, and has told of itself."""
        facts = machine.facts
        status = NodeStatus(
            facts.agent,
            facts.boot_id,
            memory=facts.memory,
            cpus=facts.cpus,
            pools=facts.pools or (),
            bridges=facts.bridges,
            addresses=facts.addresses,
            vms=vms,
            storage_address=machine.storage_address,
        )
        self.user.commit([Create(paths.status(machine.name), codec.encode(status))])

    def _fence(self, machine: Machine) -> None:
        """An earlier leader has cut a node off, and died before it gave anything of it to others."""
        where = tuple(sorted({machine.address, machine.storage_address}))
        epoch = SimulatedCephFence(self.storage, lambda: True).cut(where)
        fence = Fence(
            f"{machine.name}-0-0",
            "proven",
            "its session had ended under an earlier leader",
            boot_id=machine.boot_id,
            addresses=where,
            evidence=(Evidence("storage_cut", "proven", "an earlier leader had it cut", epoch=epoch),),
            cut=True,
            proven_by="storage_cut",
            epoch=epoch,
        )
        self.user.commit([Create(paths.fence(machine.name), codec.encode(fence))])

    def _replace_claim(self, vm: str, claim: Claim) -> None:
        znode = self.user.get(paths.claim(vm))
        before = self.record(Claim, paths.claim(vm))
        if znode is None or before is None:
            raise InvalidRequest(f"there is no VM {vm}", obj="stored_state_at_start", remedy="declare it")
        ops: list[StoreOp] = [Set(paths.claim(vm), codec.encode(claim), znode.version)]
        old, new = {before.node, before.to} - {""}, {claim.node, claim.to} - {""}
        ops += [Delete(paths.assigned(node, vm), 0) for node in sorted(old - new)]
        ops += [Create(paths.assigned(node, vm)) for node in sorted(new - old)]
        self.user.commit(ops)

    def _set_node(self, name: str, state: str) -> None:
        """What is wanted of a node from now on."""
        znode, node = self.user.get(paths.node(name)), self.record(Node, paths.node(name))
        assert znode is not None
        changed = replace(node, state=state, generation=node.generation + 1)
        self.user.commit([Set(paths.node(name), codec.encode(changed), znode.version)])
