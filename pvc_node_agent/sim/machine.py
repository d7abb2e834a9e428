# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine: its power, its networks, its domains, and the agent on it, which is made of the agent's own parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from pvc_state.errors import StoreUnavailable
from pvc_state.memory_store import MemoryStore
from pvc_state.records import Alive, Service
from pvc_state.store import Store

from ..events import (
    DomainGone,
    DomainSeen,
    Event,
    FactsSeen,
    LeaveSeen,
    LoadsSeen,
    ServicesSeen,
    StorageCutSeen,
    StorageSeen,
)
from ..feed import Feed
from ..lead.candidate import Candidate
from ..lead.events import LeadEvent
from ..lead.loop import LeadLoop, LeadPools
from ..lead.view import LeadView
from ..loop import Loop, Pools
from ..view import DomainState, Facts, Observer, Sentence, Services, Settings, View
from .ceph import NodeStorage, SimulatedCephFence
from .clock import MachineClock
from .hypervisor import SimulatedHypervisor, domain_of
from .jobs import Later
from .parts import ClusterPerformer, Dies, FragileStore, NodePerformer, Orders
from .turned import Turned

if TYPE_CHECKING:
    from .world import World


#: Seconds between two operations on Ceph that show whether it still serves a node.
PROBE = 1.0


class Machine:
    """A machine, with or without a running agent.

    Args:
        manager: whether its agent may lead. coordinator: whether a server of the store runs on it.

    Attributes:
        powered: its power. reaches_store, reaches_ceph: its networks, as far as they matter.
        paused: whether it is frozen, guests and all. store_faulty: whether the store answers it with errors.
        jobs_run: whether what its agent has decided is carried out.
        performed: called after each effect that its agent has carried out; may raise Dies.
        sentences: what its agents have said. troubles: what went wrong with them.
    """

    def __init__(
        self,
        world: World,
        name: str,
        number: int,
        *,
        powered: bool = True,
        manager: bool = True,
        coordinator: bool = True,
    ) -> None:
        self.world = world
        self.name = name
        self.address = f"10.0.0.{number}"
        self.storage_address = f"10.0.1.{number}"
        self.clock = MachineClock(world.clock)
        self.powered = powered
        self.reaches_store = self.reaches_ceph = powered
        self.manager = manager
        self.coordinator = coordinator
        self.performed: Callable[[object], None] = lambda _effect: None
        self.paused_at: float | None = None
        self.jobs_run = True
        self.probe_at: float | None = None
        self.cut_seen = False
        self.rebooting: bool | None = None
        self.store_faulty = False
        self.boots = 1
        self.agents = 0
        self.boot_id = f"boot-1-of-{name}"
        self.hypervisor = SimulatedHypervisor(name, self.say, world.hypervisor_at)
        self.hypervisor.before = lambda what, vm: world.about(what, self, vm)
        self.hypervisor.takes = world.takes
        self.hypervisor.happened = lambda what, vm: world.happened(what, self, vm)
        self.storage = NodeStorage(world.storage, self.storage_address, lambda: self.reaches_ceph)
        addresses = {"cluster": self.address, "storage": self.storage_address}
        self.facts = Facts("0.1.0", self.boot_id, 8192, 4, pools=("vms",), bridges=("br0",), addresses=addresses)
        self.sentences: list[str] = []
        self.troubles: list[str] = []
        self.services: tuple[Service, ...] = ()
        self.store: MemoryStore | None = None
        self.loop: Loop | None = None
        self.lead_performer: ClusterPerformer | None = None

    def say(self, text: str | Sentence) -> None:
        if isinstance(text, Sentence):
            self.sentences.append(str(text))
            self.world.told(self, text)
        else:
            self.world.note(f"{self.name}: {text}")

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    # --- the agent ----------------------------------------------------------------------------------------------------

    def start_agent(self) -> None:
        world = self.world
        self.agents += 1
        self.later = Later(self.clock)
        self.hypervisor_jobs = Later(self.clock)
        self.lead_jobs = Later(self.clock, self.world.write_seconds)
        self.inbox: SimpleQueue[Event | None] = SimpleQueue()
        instance = f"agent-{self.agents}-of-{self.name}"
        self.services = self.world.services(self)
        self.feed = Feed(
            self.name, self._connect, Alive(self.boot_id, instance), self.clock, self._heard, world.session_timeout
        )
        self.performer = NodePerformer(
            self, self.name, self.feed.store, self.hypervisor, self.storage, self.feed.enrolment
        )
        kinds = frozenset(service.kind for service in self.services)
        observer = Observer(instance, world.clock.wall(), kinds) if kinds else None
        self.loop = Loop(
            View(node=self.name, settings=Settings(), services=Services(observer)),
            self.inbox,
            self.clock,
            self.feed,
            self.performer,
            Pools(
                hypervisor=self.hypervisor_jobs,
                storage=self.later,
                store=self.later,
                moves=Orders(self, self.hypervisor_jobs),
            ),
            self,
            session_timeout=lambda: self.feed.session_timeout,
            idle=10.0,
            sign_of_life=lambda _view: None,
        )
        self._prepare_to_lead(instance)
        self.candidate.stand(self.manager)
        self.turned = (
            Turned(self.loop, self.inbox, self.feed, self.clock),
            Turned(self.lead, self.lead_inbox, self.candidate, self.clock),
        )
        self.hypervisor.attach(self.inbox.put)
        self.inbox.put(FactsSeen(self.facts))
        self.cut_seen = False
        self.loads: dict[str, tuple[float, int]] = {}
        self.probe()
        if self.services:
            self.see(*self.services)

    def _measure(self) -> bool:
        """What its guests use is looked at all the time, where this cluster looks at it at all; whether it has changed."""
        loads = {vm: load for vm in sorted(self.running) if (load := self.world.load_of(vm)) is not None}
        changed = loads != self.loads
        if changed:
            self.loads = loads
            self.inbox.put(LoadsSeen(loads))
        return changed

    def probe(self) -> None:
        """It tries an operation on Ceph within a second, and until Ceph has answered."""
        self.probe_at = self.world.clock.now() + PROBE

    def _probe(self) -> bool:
        now = self.world.clock.now()
        if self.probe_at is None or now < self.probe_at:
            return False
        answered = self.reaches_ceph and self.world.storage.quorate()
        self.probe_at = None if answered else now + PROBE
        if not answered:
            return False
        cut = self.world.storage.refuses(self.storage_address)
        if not cut and self.storage_address in self.world.storage.blocklist:
            self.probe_at = now + PROBE  # the OSDs are about to hear of it
        if cut and not self.cut_seen:
            self.inbox.put(StorageCutSeen("its clients are on Ceph's blocklist"))
        elif not cut:
            self.inbox.put(StorageSeen(self.storage_address))
        self.cut_seen = cut
        return True

    def _heard(self, event: Event) -> None:
        self.inbox.put(event)
        self.candidate.hear(event)

    def _prepare_to_lead(self, instance: str) -> None:
        world = self.world
        self.lead_inbox: SimpleQueue[LeadEvent | None] = SimpleQueue()
        self.candidate = Candidate(self.name, instance, self.feed.store, self.clock, self.lead_inbox.put)
        ceph = SimulatedCephFence(world.storage, lambda: self.reaches_ceph, world.takes)
        orders = Orders(self, self.lead_jobs)
        self.lead_performer = ClusterPerformer(
            self, self.name, self.feed.store, ceph, world.power, self, self.candidate.doubt
        )
        self.lead: LeadLoop = LeadLoop(
            LeadView(self.name),
            self.lead_inbox,
            self.clock,
            self.candidate,
            self.lead_performer,
            LeadPools(ceph=orders, power=orders, store=self.lead_jobs),
            self,
            wall=self.clock.wall,
            session_timeout=lambda: self.feed.session_timeout,
            idle=10.0,
        )

    def see(self, *services: Service) -> None:
        """Its services are now like this."""
        self.services = services
        for kind in sorted({service.kind for service in services} or {"ceph"}):
            those = tuple(service for service in services if service.kind == kind)
            self.inbox.put(ServicesSeen(kind, those, self.world.clock.wall()))

    def _connect(self, session_timeout: float) -> Store:
        if not self.reaches_store:
            raise StoreUnavailable("no server of the ensemble answers")
        self.store = self.world.ensemble.connect(session_timeout)
        return FragileStore(self.store, lambda: self.store_faulty)

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

    def stop_leading(self) -> None:
        """Its agent leaves leading to others."""
        self.manager = False
        if self.loop is not None:
            self.candidate.stand(False)

    def start_leading(self) -> None:
        """Its agent may lead again."""
        self.manager = True
        if self.loop is not None:
            self.candidate.stand(True)

    def install(self, version: str, **changes: Any) -> None:
        """Its agent is of this version now; further changes of its facts."""
        self.facts = replace(self.facts, agent=version, **changes)
        if self.loop is not None:
            self.inbox.put(FactsSeen(self.facts))

    def adopt(self, vm: str) -> None:
        """The VM runs here already, whoever started it."""
        record, claim = self.world.desired(vm)
        self.hypervisor.domains[vm] = domain_of(vm, record, claim.epoch)
        self.hypervisor.tell(DomainSeen(vm, self.hypervisor.domains[vm]))

    def release(self, vm: str, to: Machine) -> None:
        """A person moves the guest of a VM to another machine, if it runs here."""
        domain = self.hypervisor.domains.pop(vm, None)
        if domain is not None:
            self.hypervisor.tell(DomainGone(vm, f"its guest was moved to {to.name}"))
            to.adopt(vm)

    # --- the machine --------------------------------------------------------------------------------------------------

    def power_cut(self) -> None:
        """Its power is gone at once, and all that ran on it."""
        if not self.powered:
            return
        self.powered = self.reaches_store = self.reaches_ceph = False
        self.paused_at = self.rebooting = None
        self.kill_agent()
        for those in (self.hypervisor.domains, self.hypervisor.leaving, self.hypervisor.incoming):
            those.clear()
        self.world.changed()

    def power_on(self) -> None:
        """It boots, connected, with an agent."""
        if self.powered:
            return
        self.powered = self.reaches_store = self.reaches_ceph = True
        self.store_faulty = False
        self.world.power.on(self.name)
        self.boots += 1
        self.boot_id = f"boot-{self.boots}-of-{self.name}"
        self.facts = replace(self.facts, boot_id=self.boot_id)
        self.world.changed()
        self.start_agent()

    def leave(self, *, reboot: bool) -> None:
        """Its service manager shuts it down, or reboots it: its agent is told first, and waited for."""
        if not self.powered or self.rebooting is not None:
            return
        self.rebooting = reboot
        if self.loop is not None:
            self.inbox.put(LeaveSeen(reboot))

    def _left(self) -> bool:
        """Whether its agent has nothing left to do before the power goes."""
        if self.rebooting is None or (self.loop is not None and not (self.view.leaving and self.view.leaving.over)):
            return False
        reboot, self.rebooting = self.rebooting, None
        for vm in sorted(self.running):
            self.hypervisor.end(vm, "its machine was shut down")
        self.world.left(self, reboot=reboot)
        return True

    def reboot(self) -> None:
        """Power off and on: another boot, and no domains."""
        self.power_cut()
        self.power_on()

    def isolate(self) -> None:
        """It reaches no other node any more, neither the store nor Ceph."""
        self.network(store=False, ceph=False)

    def reconnect(self) -> None:
        if self.powered:
            self.network(store=True, ceph=True)

    def network(self, *, store: bool, ceph: bool) -> None:
        """What it reaches from now on."""
        self.reaches_store, self.reaches_ceph = store, ceph
        self._meet()
        self.world.changed()

    def pause(self) -> None:
        """It stands still, guests and all, and nobody hears of it."""
        if self.powered and not self.paused:
            self.paused_at = self.clock.now()
            self._meet()
            self.world.changed()

    def thaw(self, *, jobs: bool = True) -> None:
        """It runs on, and does not know for how long it has stood still.

        Args:
            jobs: whether what had been decided before is carried out first: threads do not wait for the loop.
        """
        if self.paused_at is None:
            return
        slept, self.paused_at = self.clock.now() - self.paused_at, None
        if self.loop is not None and jobs:
            self._run_jobs()
        if self.loop is not None and slept > self.feed.session_timeout / 2:
            reason = f"this agent did not run for {slept:.0f} s"
            self.inbox.put(self.loop.frozen(reason))
            self.feed.doubt(reason)
            self.lead_inbox.put(self.lead.frozen(reason))
            self.candidate.doubt(reason)
        self._meet()
        self.world.changed()

    def _meet(self) -> None:
        """Its client of the store is heard of, or not."""
        if self.store is not None:
            heard = self.reaches_store and not self.paused
            (self.world.ensemble.heal if heard else self.world.ensemble.cut)(self.store)

    @property
    def paused(self) -> bool:
        return self.paused_at is not None

    @property
    def connected(self) -> bool:
        """Whether it counts for the quorum of the store."""
        return self.powered and self.reaches_store and not self.paused

    # --- turning ------------------------------------------------------------------------------------------------------

    def turn(self) -> bool:
        """One turn of everything that this machine has to do; returns whether there was anything."""
        if self.paused or self._left():
            return False
        if self.loop is None:
            return False
        try:
            return self._turn()
        except Dies:
            self.kill_agent()
            return True

    def _turn(self) -> bool:
        looked = self._probe(), self._measure()
        before = sum(each.turns for each in self.turned)
        busy = [each.turn() for each in self.turned]
        self.world.steps += sum(each.turns for each in self.turned) - before
        return self._run_jobs() or any(busy) or any(looked)

    def _run_jobs(self) -> bool:
        waiting = (self.later, self.hypervisor_jobs, self.lead_jobs)
        jobs = [job for later in waiting for job in later.take()] if self.world.jobs_run and self.jobs_run else []
        for job in jobs:
            job()
        return bool(jobs)

    def next_at(self) -> float | None:
        """When it has something to do although nothing happens."""
        if self.loop is None or self.paused:
            return None
        sources = (*self.turned, self.later, self.hypervisor_jobs, self.lead_jobs)
        times = [self.probe_at, *(self.clock.when(each.next_at()) for each in sources)]
        return min((time for time in times if time is not None), default=None)

    @property
    def view(self) -> View:
        assert self.loop is not None
        return self.loop.view

    @property
    def running(self) -> set[str]:
        """The VMs whose guests run here, or could; not those that wait for their claim, having been moved here."""
        domains = self.hypervisor.domains
        return {vm for vm, domain in domains.items() if domain.state is not DomainState.ARRIVED}

    def writes(self, vm: str) -> bool:
        """Whether the VM's guest on this machine can write to its volumes, now or when a network is whole again."""
        return self.powered and vm in self.running and not self.world.storage.refuses(self.storage_address)

    @property
    def serves(self) -> bool:
        """Whether its guests reach their volumes now."""
        return self.powered and self.reaches_ceph and not self.paused
