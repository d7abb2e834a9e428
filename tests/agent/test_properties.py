# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens, in whatever order: the invariants hold at every effect, and calm brings what is wanted."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pvc_node_agent.view import DomainState
from pvc_state import codec, paths
from pvc_state.records import Claim, Fence, HostDevice, Vm
from pvc_state.requests import DiskRequest, VmRequest
from pvc_state.store import SessionState
from tests.agent.world import Node, World

NODES = ("node1", "node2")
VMS = ("vm1", "vm2", "vm3")
nodes = st.sampled_from(NODES)
vms = st.sampled_from(VMS)


class Watched:
    """Stands before a node's hypervisor and checks each effect against the truth in the store at that moment."""

    def __init__(self, world: World, node: Node) -> None:
        self.world = world
        self.node = node
        inner = node.hypervisor
        self.start, self.shutdown, self.destroy = inner.start, inner.shutdown, inner.destroy
        self.resume, self.change = inner.resume, inner.change_hardware
        inner.change_hardware = self.checked_change  # type: ignore[method-assign]
        inner.resume = self.checked_resume  # type: ignore[method-assign]
        inner.start = self.checked_start  # type: ignore[method-assign]
        inner.shutdown = self.checked_shutdown  # type: ignore[method-assign]
        inner.destroy = self.checked_destroy  # type: ignore[method-assign]

    def sees(self) -> None:
        assert self.node.store is not None
        assert self.node.store._state is SessionState.CONNECTED, "an effect began without sight of the store"
        assert not self.world.is_down, "an effect began without a quorum"

    def truth(self, vm: str) -> tuple[Claim | None, Vm | None]:
        claim, record = self.world.znode(paths.claim(vm)), self.world.znode(paths.vm(vm))
        return (
            codec.decode(Claim, claim.data) if claim else None,
            codec.decode(Vm, record.data) if record else None,
        )

    def checked_start(self, vm: str, record: Vm, epoch: int, host_devices: tuple[HostDevice, ...] = ()) -> None:
        self.sees()
        claim, wanted = self.truth(vm)
        assert claim is not None
        assert (claim.node, claim.epoch) == (self.node.name, epoch), (
            f"{vm} was started on {self.node.name} under {claim}"
        )
        assert self.fence() in (None, "held"), f"{vm} was started on a fenced node"
        assert not self.cut(), f"{vm} was started on a node that Ceph refuses"
        assert wanted is not None
        assert wanted == record, f"{vm} was started from an old record"
        assert wanted.state == "started"
        self.start(vm, record, epoch, host_devices)

    def checked_change(self, vm: str, uuid: str, record: Vm) -> None:
        self.sees()
        claim, wanted = self.truth(vm)
        domain = self.node.hypervisor.domains.get(vm)
        assert claim is not None
        assert domain is None or (claim.node, claim.epoch) == (self.node.name, domain.epoch), f"{vm} was changed"
        assert wanted == record, f"{vm} was changed after an old record"
        self.change(vm, uuid, record)

    def fence(self) -> str | None:
        znode = self.world.znode(paths.fence(self.node.name))
        return codec.decode(Fence, znode.data).state if znode else None

    def cut(self) -> bool:
        """Whether the agent knows that Ceph refuses its node."""
        return self.node.loop is not None and bool(self.node.view.storage.cut)

    def checked_resume(self, vm: str, uuid: str) -> None:
        self.sees()
        claim, _wanted = self.truth(vm)
        domain = self.node.hypervisor.domains.get(vm)
        assert claim is not None
        assert domain is None or (claim.node, claim.epoch) == (self.node.name, domain.epoch), f"{vm} was let run on"
        self.resume(vm, uuid)

    def checked_shutdown(self, vm: str, uuid: str) -> None:
        self.sees()
        claim, wanted = self.truth(vm)
        assert claim is not None
        assert claim.node == self.node.name
        assert wanted is not None
        cold = claim.to and (claim.cold or not wanted.live)
        assert wanted.state != "started" or cold, f"{vm} was stopped without cause"
        self.shutdown(vm, uuid)

    def checked_destroy(self, vm: str, uuid: str) -> None:
        if self.cut():
            self.destroy(vm, uuid)
            return
        self.sees()
        claim, wanted = self.truth(vm)
        domain = self.node.hypervisor.domains.get(vm)
        held = (claim.node, claim.epoch) if claim is not None else None
        rightful = domain is not None and held == (self.node.name, domain.epoch)
        if claim is not None and domain is not None and (claim.to, claim.epoch + 1) == (self.node.name, domain.epoch):
            assert self.fence() not in (None, "held"), f"{vm} was destroyed on its way here"
        stopped = domain is not None and domain.state is DomainState.ARRIVED
        if rightful and not stopped and self.fence() in (None, "held") and not (claim and claim.cold):
            assert wanted is not None
            assert wanted.state != "started", f"{vm} was destroyed without cause"
        self.destroy(vm, uuid)


class Anything(RuleBasedStateMachine):
    """What users, guests, machines and the network may do."""

    @initialize()
    def begin(self) -> None:
        self.world = World(*NODES)
        for node in self.world.nodes.values():
            Watched(self.world, node)

    # --- users --------------------------------------------------------------------------------------------------------

    @rule(vm=vms, state=st.sampled_from(("started", "stopped", "disabled")), memory=st.sampled_from((64, 128)))
    def want(self, vm: str, state: str, memory: int) -> None:
        if not self.world.is_down and self._known(vm) in (None, "started", "stopped", "disabled"):
            disks = [DiskRequest(size=1 << 20)]
            self.world.want_unless_refused(VmRequest(vm, state=state, memory=memory, disks=disks, shutdown_timeout=15))

    @rule(vm=vms, shared=st.sets(st.sampled_from(("vol1", "vol2"))))
    def disks(self, vm: str, shared: set[str]) -> None:
        """Volumes come and go, and more than one VM wants them."""
        if not self.world.is_down and self._known(vm) in ("started", "stopped", "disabled"):
            disks = [DiskRequest(), *(DiskRequest(1 << 20, volume=volume) for volume in sorted(shared))]
            self.world.want_unless_refused(VmRequest(vm, disks=disks))

    @rule(vm=vms, other=vms, volume=st.sampled_from(("vol1", "vol2")), seconds=st.sampled_from((0.0, 2.0)))
    def hand_on(self, vm: str, other: str, volume: str, seconds: float) -> None:
        """A volume is given to one VM, taken from it although its guest clings to it, and given to another one."""
        if vm == other or self.world.is_down or not {self._known(vm), self._known(other)} <= {"started", "stopped"}:
            return
        for node in self.world.nodes.values():
            node.hypervisor.clinging.add(vm)
        own, more = DiskRequest(), DiskRequest(1 << 20, volume=volume)
        for name, disks in ((vm, [own, more]), (vm, [own]), (other, [own, more])):
            self.world.want_unless_refused(VmRequest(name, disks=disks))
            self.world.advance(seconds)

    @rule(node=nodes, vm=vms, clings=st.booleans())
    def cling(self, node: str, vm: str, clings: bool) -> None:
        """A guest does not let go of its disks, or does."""
        clinging = self.world[node].hypervisor.clinging
        (clinging.add if clings else clinging.discard)(vm)

    @rule(vm=vms, delete_volumes=st.booleans())
    def remove(self, vm: str, delete_volumes: bool) -> None:
        if not self.world.is_down:
            self.world.want_unless_refused(VmRequest(vm, state="absent", delete_volumes=delete_volumes))

    @rule(vm=vms, node=st.sampled_from((*NODES, None)))
    def bind(self, vm: str, node: str | None) -> None:
        if not self.world.is_down and self._known(vm) in ("stopped", "disabled"):
            self.world.want_unless_refused(VmRequest(vm, node=node))

    @rule(vm=vms, node=nodes)
    def recover_elsewhere(self, vm: str, node: str) -> None:
        """A leader takes a claim away, having proven that the VM does not run."""
        if self.world.is_down or any(vm in machine.running for machine in self.world.nodes.values()):
            return
        znode = self.world.znode(paths.claim(vm))
        if znode is not None and codec.decode(Claim, znode.data).node != node:
            self.world.take_claim(vm, node, znode)

    @rule(vm=vms, node=nodes, cold=st.booleans())
    def move(self, vm: str, node: str, cold: bool) -> None:
        """A leader has a VM moved."""
        claim = None if self.world.is_down else self.world.claim(vm)
        if claim is not None and claim.node != node:
            self.world.move(vm, node, cold=cold)

    @rule(vm=vms)
    def stay(self, vm: str) -> None:
        """It has thought better of it."""
        claim = None if self.world.is_down else self.world.claim(vm)
        if claim is not None and claim.to:
            self.world.move(vm, "", cold=False)

    @rule(node=nodes, state=st.sampled_from(("held", "collecting", "proven")))
    def fence(self, node: str, state: str) -> None:
        """A leader fences a node: its session ends with that."""
        if not self.world.is_down:
            self.world.fence(node, state)

    @rule(node=nodes)
    def lift(self, node: str) -> None:
        """It ends the fence of a node that is clean."""
        if not self.world.is_down:
            self._lift(node)

    @rule(node=nodes, cut=st.booleans())
    def storage_cut(self, node: str, cut: bool) -> None:
        """Ceph refuses a node, or serves it again."""
        blocklist, address = self.world.storage.blocklist, self.world[node].storage_address
        if cut:
            blocklist[address] = 1
        else:
            blocklist.pop(address, None)

    @rule(node=nodes, breaks=st.booleans())
    def connection(self, node: str, breaks: bool) -> None:
        """Connections between libvirts break at the end of moves, or they do not."""
        self.world[node].hypervisor.breaks = breaks

    # --- guests and hypervisors ---------------------------------------------------------------------------------------

    @rule(node=nodes, vm=vms, cause=st.sampled_from(("its QEMU died", "its guest powered itself off")))
    def end(self, node: str, vm: str, cause: str) -> None:
        self.world[node].hypervisor.end(vm, cause)

    @rule(node=nodes, vm=vms, state=st.sampled_from((DomainState.IO_ERROR, DomainState.PAUSED, DomainState.RUNNING)))
    def change(self, node: str, vm: str, state: DomainState) -> None:
        if vm in self.world[node].running:
            self.world[node].hypervisor.change(vm, state)

    @rule(node=nodes, obedient=st.booleans(), failing=st.sampled_from(("", "no such bridge")))
    def mood(self, node: str, obedient: bool, failing: str) -> None:
        self.world[node].hypervisor.obedient = obedient
        self.world[node].hypervisor.failing = failing

    @rule(failing=st.sampled_from(("", "Ceph does not answer")))
    def storage(self, failing: str) -> None:
        self.world.storage.failing = failing

    @rule(node=nodes)
    def libvirt_away(self, node: str) -> None:
        if self.world[node].hypervisor.up:
            self.world[node].hypervisor.stop_answering()

    @rule(node=nodes)
    def libvirt_back(self, node: str) -> None:
        if not self.world[node].hypervisor.up:
            self.world[node].hypervisor.answer_again()

    # --- agents, machines, the store ----------------------------------------------------------------------------------

    @rule(node=nodes)
    def restart_agent(self, node: str) -> None:
        self.world[node].restart_agent()

    @rule(node=nodes)
    def reboot(self, node: str) -> None:
        self.world[node].reboot()

    @rule(node=nodes)
    def expire(self, node: str) -> None:
        store = self.world[node].store
        if store is not None and not self.world.is_down:
            self.world.ensemble.expire(store)

    @rule(node=nodes, cut=st.booleans())
    def network(self, node: str, cut: bool) -> None:
        store = self.world[node].store
        if store is not None:
            (self.world.ensemble.cut if cut else self.world.ensemble.heal)(store)

    @precondition(lambda self: not self.world.is_down)
    @rule()
    def quorum_lost(self) -> None:
        self.world.down()

    @precondition(lambda self: self.world.is_down)
    @rule()
    def quorum_back(self) -> None:
        self.world.up()

    @rule(run=st.booleans())
    def stall_effects(self, run: bool) -> None:
        """Decisions are made, but what carries them out stands still for a while."""
        self.world.jobs_run = run

    @rule(node=nodes)
    def one_turn(self, node: str) -> None:
        self.world[node].turn()

    @rule(seconds=st.sampled_from((0.0, 0.5, 3.0, 20.0, 200.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)

    # --- what must hold -----------------------------------------------------------------------------------------------

    @invariant()
    def nothing_runs_twice(self) -> None:
        running = [vm for node in self.world.nodes.values() for vm in node.running]
        assert len(running) == len(set(running)), f"running: {running}"

    @invariant()
    def no_volume_is_written_by_two(self) -> None:
        users: dict[str, set[str]] = {}
        for node in self.world.nodes.values():
            for vm in node.hypervisor.domains:
                for volume in node.hypervisor.holds(vm):
                    users.setdefault(volume, set()).add(vm)
        assert all(len(vms) == 1 for vms in users.values()), f"open: {users}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.jobs_run = True
        if world.is_down:
            world.up()
        world.storage.failing = ""
        for node in world.nodes.values():
            node.hypervisor.failing = ""
            node.hypervisor.obedient = True
            node.hypervisor.breaks = False
            node.hypervisor.clinging.clear()
            if not node.hypervisor.up:
                node.hypervisor.answer_again()
            if node.store is not None:
                world.ensemble.heal(node.store)
            for vm in node.running:
                node.hypervisor.change(vm, DomainState.RUNNING)
        world.storage.blocklist.clear()
        world.advance(200)
        for name in NODES:
            self._lift(name)
            assert world.znode(paths.fence(name)) is None, f"{name} was never clean"
        for vm in VMS:
            self._kick(vm)
        world.advance(200)
        for vm in VMS:
            self._as_wanted(vm)
        zxid = world.zxid()
        world.advance(3600)
        assert world.zxid() == zxid, "something was written although nothing changed"

    def _lift(self, node: str) -> None:
        znode = self.world.znode(paths.fence(node))
        fence = codec.decode(Fence, znode.data) if znode else None
        if fence is not None and (fence.state == "held" or self.world.status(node).clean == fence.id):
            assert fence.state == "held" or not self.world[node].hypervisor.domains, f"{node} is not clean"
            self.world.fence(node, None)

    def _kick(self, vm: str) -> None:
        """Its user says once more what is wanted, and a leader has given up what could not be moved."""
        claim = self.world.claim(vm)
        if claim is not None and claim.to and self.world.vm(vm).refused:
            self.world.move(vm, "", cold=False)
        if self._known(vm) is not None:
            self.world.want_blindly(vm, generation=1000)

    def _as_wanted(self, vm: str) -> None:
        wanted = self._known(vm)
        where = [node.name for node in self.world.nodes.values() if vm in node.running]
        claim = self.world.claim(vm)
        assert wanted != "absent", f"{vm} was never removed"
        if wanted == "started":
            assert claim is not None
            assert where == [claim.node]
            assert self.world.vm(vm).state == "running"
        else:
            assert where == []

    def _known(self, vm: str) -> str | None:
        znode = self.world.znode(paths.vm(vm))
        return codec.decode(Vm, znode.data).state if znode else None


TestAnything = Anything.TestCase
TestAnything.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
