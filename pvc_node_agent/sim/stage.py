# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster for hard times: all that may go wrong, by name, and what must be true once it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pvc_state import codec, paths
from pvc_state.commit import commit_nodes
from pvc_state.errors import InvalidRequest, StoreError
from pvc_state.placement import Placement
from pvc_state.plan import guard
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Claim, Disk, Fence, FenceDevice, Ha, Node, NodeStatus, Rule, Service, Settings, Vm
from pvc_state.requests import DeadRequest, NodeRequest
from pvc_state.snapshot import load
from pvc_state.store import CommitRefused, Create, Delete, Op, Set

from .begin import CLUSTER, CLUSTER_ID
from .faults import Faults
from .machine import Machine
from .parts import Dies
from .witness import Witness

#: Seconds of a session; a leader waits so long for nodes that it has never seen.
SESSION, BOOT_GRACE = 6.0, 30.0
#: Seconds until a routing daemon has noticed that a neighbour is gone, or back.
BFD = 0.7
#: Seconds until the last OSD knows of a new osdmap.
LAG = 3.0
#: Seconds after which everything that is to come true has come true, once nothing goes wrong any more.
CALM = 400.0


def fence_devices(node: str, count: int = 1) -> list[FenceDevice]:
    """The fence devices of a node."""
    names = ["bmc", *(f"bmc{number}" for number in range(2, count + 1))]
    return [FenceDevice(name, "ipmi", f"{name}-{node}", "root", "bmc") for name in names]


class Stage(Witness):
    """A cluster.

    Args:
        coordinators, hypervisors: how many nodes of each kind.
        vms: how many VMs, spread over all nodes.
        evidence: kinds that suffice; fence devices exist where ``powered_off`` is among them.
        devices: how many each node has. together: whether each switches one supply of it.
        rules: of the VMs. on: the nodes that have them at first; all without it.
        write_seconds: that each effect of a leader takes. memory: MiB of each node.
        orders: seconds that its orders to Ceph and to fence devices take: ``cut``, ``restore``, ``power``.
        settings: of the cluster, as in records.Settings.

    Attributes:
        stays_off: whether a machine that reboots stays off.
    """

    def __init__(
        self,
        coordinators: int = 3,
        hypervisors: int = 0,
        vms: int = 3,
        evidence: Sequence[str] = ("storage_cut", "powered_off"),
        rules: Sequence[Rule] = (),
        on: Sequence[str] = (),
        write_seconds: float = 0.002,
        memory: int = 8192,
        orders: Mapping[str, float] = MappingProxyType({}),
        devices: int = 1,
        together: bool = False,
        **settings: Any,
    ) -> None:
        self._stalls: dict[str, float] = {}
        self.stays_off = False
        super().__init__(session_timeout=SESSION)
        self.storage.lag = LAG
        self.orders = dict(orders)
        self.early = bool(settings.get("early_suspicion"))
        names = [f"node{number}" for number in range(1, coordinators + hypervisors + 1)]
        requests = [
            NodeRequest(
                name,
                coordinator=number < coordinators,
                memory_reserve=0,
                fence=fence_devices(name, devices) if "powered_off" in evidence else [],
                fence_together=together,
            )
            for number, name in enumerate(names)
        ]
        if together:
            self.power.feeds = {name: frozenset(one.address for one in fence_devices(name, devices)) for name in names}
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, requests, CLUSTER, CLUSTER_ID))
        policy = Settings(
            placement="fewest_vms",
            evidence=tuple(evidence),
            session_timeout=SESSION,
            boot_grace=BOOT_GRACE,
            storm_limit=len(names),
        )
        self.user.commit([Create(paths.SETTINGS, codec.encode(replace(policy, **settings)))])
        for number, rule in enumerate(rules):
            self.user.commit([Create(paths.rule(f"rule-{number}"), codec.encode(rule))])
        self.vms = [f"vm{number}" for number in range(1, vms + 1)]
        for number, vm in enumerate(self.vms):
            self._create(vm, (on or names)[number % len(on or names)], number)
        self.write_seconds = write_seconds
        for number, name in enumerate(names):
            machine = self.add_machine(name, coordinator=number < coordinators)
            machine.install(machine.facts.agent, memory=memory)
            self._look_around(machine)
        self._feel()
        self.settle()

    def _create(self, vm: str, node: str, number: int) -> None:
        self.faults[vm] = Faults()
        record = Vm(
            uuid=f"00000000-0000-4000-8000-{number:012d}",
            memory=256,
            disks=(Disk("vms", f"{vm}-disk0", 1 << 30),),
            shutdown_timeout=15,
            ha=Ha(max_local_restarts=-1),
        )
        self.user.commit(
            [
                Create(paths.vm(vm), codec.encode(record)),
                Create(paths.claim(vm), codec.encode(Claim(node, 1))),
                Create(paths.assigned(node, vm)),
            ]
        )

    def settle(self) -> None:
        super().settle()
        self.check()

    # --- what may go wrong, and what people do ------------------------------------------------------------------------

    def changed(self) -> None:
        super().changed()
        for machine in self.nodes.values():
            if self.early and machine.powered and not machine.paused:
                self.after(BFD, lambda machine=machine: self._look_around(machine))  # type: ignore[misc]

    def _look_around(self, machine: Machine) -> None:
        """What the routing daemon of a machine says of its neighbours."""
        if self.early and machine.loop is not None and not machine.paused:
            machine.see(*self.services(machine))

    def services(self, machine: Machine) -> tuple[Service, ...]:
        if not self.early:
            return super().services(machine)
        router = Service("frr", "10.0.0.254", "up")
        others = [other for other in self.nodes.values() if other is not machine]
        reached = {other.address: machine.connected and other.connected for other in others}
        return (router, *(Service("frr", address, "up" if up else "down") for address, up in reached.items()))

    def left(self, machine: Machine, *, reboot: bool) -> None:
        machine.power_cut()
        if reboot and not self.stays_off:
            self.after(20.0, machine.power_on)

    def crash_after(self, node: str, effects: int) -> None:
        """The agent of a node dies right after it has carried out so many effects from now on."""
        machine, left = self.nodes[node], effects

        def performed(_effect: object) -> None:
            nonlocal left
            left -= 1
            if left <= 0:
                machine.performed = lambda _effect: None
                raise Dies

        machine.performed = performed

    def stall(self, node: str, seconds: float) -> None:
        """The next start of a node stands still between the store's word and libvirt, and the whole machine with it."""
        self._stalls[node] = seconds

    def about(self, what: str, machine: Machine, vm: str) -> None:
        seconds = self._stalls.pop(machine.name, 0.0) if what == "start" else 0.0
        if not seconds:
            super().about(what, machine, vm)
            return
        boots = machine.boots
        machine.pause()
        self._pass(seconds)
        if machine.boots != boots or not machine.powered:
            raise Dies
        machine.thaw(jobs=False)

    def move(self, vm: str, to: str) -> bool:
        """A user wants a running VM to move."""
        try:
            snapshot = load(self.user)
            stored, record = snapshot.claims[vm], snapshot.vms[vm]
            claim = stored.value
            assert claim is not None
            assert record.value is not None
            if claim.to or claim.node == to or Placement(snapshot).why_not({vm: record.value}, to):
                return False
            moving = replace(claim, to=to, why="a user wants it there", home="")
            ops: list[Op] = [Set(paths.claim(vm), codec.encode(moving), stored.version), Create(paths.assigned(to, vm))]
            self.user.commit([*guard(snapshot), *ops])
        except (StoreError, CommitRefused):
            return False
        return True

    def cancel(self, vm: str) -> bool:
        """A user wants a VM to be moved no more."""
        try:
            znode = self.user.get(paths.claim(vm))
            assert znode is not None
            claim = codec.decode(Claim, znode.data)
            if not claim.to:
                return False
            stays = replace(claim, to="", why="", home="")
            ops: list[Op] = [
                Set(paths.claim(vm), codec.encode(stays), znode.version),
                Delete(paths.assigned(claim.to, vm), 0),
            ]
            self.user.commit([*guard(load(self.user)), *ops])
        except (StoreError, CommitRefused):
            return False
        return True

    def store(self, on: bool) -> None:
        """All servers of the store are stopped, or started."""
        self.switched_off = not on
        self.changed()

    def want(self, vm: str, state: str) -> bool:
        """A user wants a VM to be in a state; returns whether that was acknowledged."""
        return self._change(paths.vm(vm), Vm, state=state)

    def node_state(self, node: str, state: str) -> bool:
        """A user wants a node to be ready, drained or in maintenance."""
        return self._change(paths.node(node), Node, state=state)

    def maintenance(self, on: bool) -> bool:
        return self.set(maintenance=on)

    def set(self, **settings: Any) -> bool:
        """A user wants other settings of the cluster."""
        return self._change(paths.SETTINGS, Settings, **settings)

    def declare_dead(self, node: str) -> bool:
        """An operator vouches that a node is off; returns whether that was accepted."""
        request = NodeRequest(node, declared_dead=DeadRequest("the board is dead", "an operator"))
        try:
            commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, [request], CLUSTER, CLUSTER_ID))
        except (InvalidRequest, StoreError, CommitRefused):
            return False
        return True

    def leader(self) -> str:
        """The node whose agent leads; empty: none."""
        leads = [name for name, machine in self.nodes.items() if machine.loop is not None and machine.lead.view.epoch]
        return leads[0] if leads else ""

    def _change(self, path: str, cls: type[Any], **changes: Any) -> bool:
        try:
            znode = self.user.get(path)
            assert znode is not None
            record = codec.decode(cls, znode.data)
            record = replace(record, generation=record.generation + 1, **changes)
            self.user.commit([*guard(load(self.user)), Set(path, codec.encode(record), znode.version)])
        except (StoreError, CommitRefused):
            return False
        return True

    # --- what must be true in the end ---------------------------------------------------------------------------------

    def serve(self) -> None:
        """Whatever is still broken: each VM that should run does, on a machine that reaches its volumes.

        True while the store has its quorum, evidence can be had, and some node has room.
        """
        for vm in self.vms:
            record, claim = self.desired(vm)
            machine = self.nodes[claim.node]
            if record.state == "started" and not (machine.writes(vm) and machine.serves):
                self.violated("L1", f"{vm} is out of service, its claim is {claim}")
        self.check()

    def heal(self, but: str = "") -> None:
        """Nothing is broken any more, and everybody is there; but one node, if that is named."""
        self.ensemble.late(False)
        self.store(True)
        self.storage.failing = self.storage.fence_failing = ""
        self.power.moods.clear()
        self._stalls.clear()
        for name, machine in self.nodes.items():
            if name == but:
                continue
            machine.performed = lambda _effect: None
            machine.store_faulty, machine.jobs_run = False, True
            machine.hypervisor.failing, machine.hypervisor.obedient = "", True
            machine.hypervisor.breaks = False
            machine.thaw()
            if not machine.hypervisor.up:
                machine.hypervisor.answer_again()
            machine.power_on()
            machine.reconnect()
            if machine.loop is None and machine.powered:
                machine.start_agent()
        self.maintenance(False)

    def calm(self) -> None:
        """Let it come to rest, and check what must then be true."""
        self.heal()
        self.advance(CALM)
        for name, machine in self.nodes.items():
            if machine.loop is None:
                machine.power_on()
                if machine.loop is None:
                    machine.start_agent()
            self.node_state(name, "ready")
        self.advance(CALM)
        for vm in self.vms:
            self._as_wanted(vm)
        for name in self.nodes:
            fence = self.record(Fence, paths.fence(name))
            if fence is not None:
                self.violated("L2", f"{name} still has a fence: {fence.state}, {fence.why}")
        if self.storage.blocklist:
            self.violated("L7", f"the blocklist still holds {', '.join(self.storage.blocklist)}")
        self._index()
        before = self.ensemble.zxid
        self.advance(3 * CALM)
        if self.ensemble.zxid != before:
            self.violated("L7", "something is written although nothing changes")
        self.check()

    def _as_wanted(self, vm: str) -> None:
        record, claim = self.desired(vm)
        where = [name for name, machine in self.nodes.items() if vm in machine.hypervisor.domains]
        if record.state == "started" and where != [claim.node]:
            self.violated("L1", f"{vm} should run on {claim.node} and runs on {', '.join(where) or 'no node'}")
        if record.state in ("stopped", "disabled") and where:
            self.violated("S4", f"{vm} should be {record.state} and runs on {', '.join(where)}")
        if claim.to:
            self.violated("L2", f"{vm} is still on its way to {claim.to}: {claim.why}")
        status = self.record(NodeStatus, paths.status(claim.node))
        shown = status.vms.get(vm) if status is not None else None
        steady = {"started": "running", "stopped": "stopped", "disabled": "stopped"}.get(record.state)
        if steady is not None and (shown is None or shown.state != steady or shown.generation != record.generation):
            self.violated("L2", f"{vm} should be shown as {steady}, and is {shown}")

    def _index(self) -> None:
        wanted = {
            paths.assigned(node, vm)
            for vm in self.vms
            for node in (self.desired(vm)[1].node, self.desired(vm)[1].to)
            if node
        }
        found = {paths.assigned(node, vm) for node in self.nodes for vm in self.ensemble.names(paths.assigned(node))}
        if wanted != found:
            self.violated("L7", f"the index has {sorted(found - wanted)} too many and {sorted(wanted - found)} too few")
