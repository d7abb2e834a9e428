# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small cluster in memory: the agent's own parts, with a simulated hypervisor and storage behind the seam.

Nothing runs by itself and no time passes: ``settle()`` turns everything until nothing is left to do, ``advance()``
moves the clock from one thing to do to the next. What happened is in ``log``, in words.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.events import DomainGone, DomainSeen, Event, FactsSeen, HypervisorDown, HypervisorUp, ServicesSeen
from pvc_node_agent.feed import Feed
from pvc_node_agent.loop import Loop, Pools
from pvc_node_agent.perform import Performer
from pvc_node_agent.view import Domain, DomainState, Facts, Observer, Sentence, Services, View
from pvc_state import codec, paths, staging
from pvc_state.commit import commit, commit_nodes
from pvc_state.errors import InvalidRequest, StoreUnavailable
from pvc_state.memory_store import MemoryEnsemble, MemoryStore
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Alive, Claim, Disk, Fence, Health, NodeStatus, Schema, Service, Vm, VmStatus
from pvc_state.requests import NodeRequest, VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Check, Create, Delete, Op, Set, Store, Znode

SESSION_TIMEOUT = 6.0


class VirtualClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time


class SimulatedHypervisor:
    """What libvirt and QEMU do, as far as the seam shows it. It outlives the agent, as they do."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.domains: dict[str, Domain] = {}
        self.post: Callable[[Event], None] = lambda _event: None
        self.obedient = True
        self.failing = ""
        self.up = True
        self.starts: list[tuple[str, int]] = []
        self.migration = ""
        self.reach: Callable[[str], SimulatedHypervisor] = lambda _address: self

    def attach(self, post: Callable[[Event], None]) -> None:
        self.post = post
        if self.up:
            post(HypervisorUp(dict(self.domains)))

    def start(self, vm: str, record: Vm, epoch: int) -> None:
        self._check()
        if self.failing:
            raise EffectFailed(self.failing)
        assert vm not in self.domains, f"{vm} was started twice"
        self.say(f"start {vm} epoch {epoch}")
        self.starts.append((vm, epoch))
        self.domains[vm] = Domain(record.uuid, DomainState.RUNNING, epoch, record.definition)
        self.post(DomainSeen(vm, self.domains[vm]))

    def shutdown(self, vm: str, uuid: str) -> None:
        self._check()
        self.say(f"shutdown {vm}")
        if self.obedient:
            self.end(vm, "its guest powered itself off")

    def destroy(self, vm: str, uuid: str) -> None:
        self._check()
        self.say(f"destroy {vm}")
        self.end(vm, "it was destroyed")

    def resume(self, vm: str, uuid: str) -> None:
        self._check()
        self.say(f"resume {vm} epoch {self.domains[vm].epoch}" if vm in self.domains else f"resume {vm}")
        self.change(vm, DomainState.RUNNING)

    def migrate(self, vm: str, uuid: str, to: str, epoch: int) -> None:
        self._check()
        if self.migration and self.migration != "breaks at the end":
            raise EffectFailed(self.migration)
        target = self.reach(to)
        assert vm not in target.domains, f"{vm} was moved to where it is"
        if vm not in self.domains or not target.up:
            raise EffectFailed("libvirt did not move it: unable to connect to server")
        self.say(f"move {vm} to {to}")
        paused = self.domains[vm].state is DomainState.PAUSED
        there = replace(self.domains[vm], epoch=epoch, state=DomainState.PAUSED if paused else DomainState.ARRIVED)
        target.domains[vm] = there
        target.tell(DomainSeen(vm, there))
        if self.migration:
            raise EffectFailed("libvirt did not move it: the connection broke")
        self.end(vm, "it was moved to another node")

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def end(self, vm: str, cause: str) -> None:
        if self.domains.pop(vm, None):
            self.tell(DomainGone(vm, cause))

    def change(self, vm: str, state: DomainState) -> None:
        self.domains[vm] = replace(self.domains[vm], state=state)
        self.tell(DomainSeen(vm, self.domains[vm]))

    def stop_answering(self) -> None:
        self.up = False
        self.post(HypervisorDown("libvirt does not answer: connection refused"))

    def answer_again(self) -> None:
        self.up = True
        self.post(HypervisorUp(dict(self.domains)))

    def tell(self, event: Event) -> None:
        if self.up:
            self.post(event)

    def _check(self) -> None:
        if not self.up:
            raise EffectFailed("libvirt does not answer")


class SimulatedStorage:
    """One Ceph for all nodes."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.volumes: set[str] = set()
        self.barriers: list[int] = []
        self.failing = ""

    def ensure(self, disks: Sequence[Disk], barrier: int) -> None:
        self.barriers.append(barrier)
        for disk in disks:
            name = f"{disk.pool}/{disk.volume}"
            if self.failing:
                raise EffectFailed(self.failing)
            if name in self.volumes:
                continue
            if disk.size is None:
                raise EffectFailed(f"volume {name} does not exist: create it, or give the disk a size")
            self.say(f"create {name}")
            self.volumes.add(name)

    def remove(self, disks: Sequence[Disk]) -> None:
        for disk in disks:
            if self.failing:
                raise EffectFailed(self.failing)
            self.say(f"remove {disk.pool}/{disk.volume}")
            self.volumes.discard(f"{disk.pool}/{disk.volume}")


class Later:
    """Jobs that wait until they are run by hand, as threads would run them some time."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def take(self) -> list[Callable[[], None]]:
        jobs, self.jobs = self.jobs, []
        return jobs


class Node:
    """A machine, with or without a running agent."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.boot_id = f"boot-1-of-{name}"
        self.hypervisor = SimulatedHypervisor(self.say)
        self.hypervisor.reach = lambda address: world.nodes[address].hypervisor
        self.facts = Facts(
            "0.1.0", self.boot_id, 8192, 4, pools=("vms",), bridges=("br0",), addresses={"cluster": name}
        )
        self.sentences: list[str] = []
        self.troubles: list[str] = []
        self.services: tuple[Service, ...] = (Service("ceph", "osd.0", "up"), Service("ceph", "osd.1", "up"))
        self.store: MemoryStore | None = None
        self.loop: Loop | None = None
        self.start_agent()

    def say(self, text: str | Sentence) -> None:
        if isinstance(text, Sentence):
            self.sentences.append(str(text))
        else:
            self.world.log.append(f"{self.name}: {text}")

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    def start_agent(self) -> None:
        self.later = Later()
        self.hypervisor_jobs = Later()
        self.inbox: SimpleQueue[Event | None] = SimpleQueue()
        self.feed_at: float | None = 0.0
        self.wake_at: float | None = None
        instance = f"agent-{uuid.uuid4().hex[:8]}"
        self.feed = Feed(self.name, self._connect, Alive(self.boot_id, instance), self.world.clock, self.inbox.put)
        self.performer = Performer(self.name, self.feed.store, self.hypervisor, self.world.storage)
        self.loop = Loop(
            View(node=self.name, services=Services(Observer(instance, self.world.wall_clock(), frozenset({"ceph"})))),
            self.inbox,
            self.world.clock,
            self.feed,
            self.performer,
            Pools(hypervisor=self.hypervisor_jobs, storage=self.later, store=self.later),
            self,
            frozen_after=SESSION_TIMEOUT / 2,
            idle=10.0,
            sign_of_life=lambda _view: None,
        )
        self.hypervisor.attach(self.inbox.put)
        self.inbox.put(FactsSeen(self.facts))
        self.see(*self.services)

    def see(self, *services: Service) -> None:
        """Its services are now like this."""
        self.services = services
        self.inbox.put(ServicesSeen("ceph", services, self.world.wall_clock()))

    def _connect(self) -> Store:
        self.store = self.world.ensemble.connect(SESSION_TIMEOUT)
        return self.store

    def kill_agent(self) -> None:
        """kill -9: its session goes on until it times out, its VMs live."""
        self.loop = None
        self.hypervisor.attach(lambda _event: None)
        if self.store is not None:
            self.world.ensemble.cut(self.store)
            self.store = None

    def restart_agent(self) -> None:
        self.kill_agent()
        self.start_agent()

    def reboot(self) -> None:
        """Power off and on: another boot, and no domains."""
        self.kill_agent()
        self.hypervisor.domains.clear()
        self.boot_id = self.boot_id.replace("boot-1", "boot-2")
        self.facts = replace(self.facts, boot_id=self.boot_id)
        self.start_agent()

    # --- turning ------------------------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """One turn of everything that this node has to do; returns whether there was anything."""
        if self.loop is None:
            return False
        self.feed.work.clear()
        self.feed_at = self.feed.pump()
        events: list[Event] = []
        try:
            while True:
                event = self.inbox.get_nowait()
                if event is not None:
                    events.append(event)
        except Empty:
            pass
        due = self.wake_at is not None and self.world.clock.now() >= self.wake_at
        if events or due:
            self.wake_at = self.loop.turn(events)
        jobs = [*self.later.take(), *self.hypervisor_jobs.take()] if self.world.jobs_run else []
        for job in jobs:
            job()
        return bool(events or due or jobs or self.feed.work.is_set())

    @property
    def view(self) -> View:
        assert self.loop is not None
        return self.loop.view

    @property
    def running(self) -> set[str]:
        return set(self.hypervisor.domains)


class World:
    """The cluster."""

    def __init__(self, *nodes: str) -> None:
        self.log: list[str] = []
        self.jobs_run = True
        self.is_down = False
        self.clock = VirtualClock()
        self.ensemble = MemoryEnsemble(self.clock.now)
        self.user = self.ensemble.connect()
        self.storage = SimulatedStorage(self.log.append)
        requests = [NodeRequest(name, coordinator=True) for name in nodes]
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, requests, "test"))
        self.nodes = {name: Node(self, name) for name in nodes}
        self.settle()

    def __getitem__(self, name: str) -> Node:
        return self.nodes[name]

    def settle(self) -> None:
        """Turn everything until nothing happens any more without time passing."""
        for _turn in range(1000):
            busy = [node.turn() for node in self.nodes.values()]
            if not any(busy):
                return
        raise AssertionError("the agents never come to rest")

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen when it is due."""
        end = self.clock.time + seconds
        self.settle()
        while True:
            due = [node.wake_at for node in self.nodes.values() if node.loop and node.wake_at is not None]
            due += [node.feed_at for node in self.nodes.values() if node.loop and node.feed_at is not None]
            self.clock.time = min([end, *(max(time, self.clock.time) for time in due)])
            self.ensemble.tick()
            self.settle()
            if self.clock.time >= end:
                return

    # --- what users and tests ask for ---------------------------------------------------------------------------------

    def want(self, *requests: VmRequest) -> None:
        commit(self.user, lambda snapshot: plan_vms(snapshot, requests))

    def want_unless_refused(self, *requests: VmRequest) -> None:
        """For requests that the plan may refuse, such as a move of what is to run."""
        with suppress(InvalidRequest):
            self.want(*requests)

    def down(self) -> None:
        """No server of the store answers."""
        self.is_down = True
        self.ensemble.down()

    def up(self) -> None:
        self.is_down = False
        self.ensemble.up()

    def run_jobs_but_starts(self) -> None:
        """Let the hypervisors hang, and everything else go on."""
        for _turn in range(3):
            for node in self.nodes.values():
                for job in node.later.take():
                    job()
            self.settle()

    def declare(self, node: str) -> None:
        commit_nodes(self.user, lambda snapshot: plan_nodes(snapshot, [NodeRequest(node)], "test"))

    def add_machine(self, name: str) -> Node:
        self.nodes[name] = Node(self, name)
        return self.nodes[name]

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

    def wall_clock(self) -> str:
        return f"at {self.clock.time:g}"

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
