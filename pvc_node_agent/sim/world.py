# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster in memory.

Nothing runs by itself and no time passes: ``settle()`` turns everything until nothing is left to do, ``advance()``
moves the clock from one thing to do to the next. What happened is in ``log``, in words.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

from pvc_state import codec, paths
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.memory_tree import Event as TreeEvent
from pvc_state.memory_tree import Tree
from pvc_state.records import Claim, Service, Vm
from pvc_state.store import ANYONE, Access, Op, Znode

from ..view import Sentence
from .ceph import SimulatedCeph
from .clock import VirtualClock
from .faults import Faults
from .hypervisor import SimulatedHypervisor
from .machine import Machine
from .parts import Dies
from .power import SimulatedPower
from .strand import Strand

#: Turns at one moment after which the agents count as never coming to rest.
_RESTLESS = 2000


class RecordingTree(Tree):
    """Remembers who changed it last, and how."""

    def __init__(self) -> None:
        super().__init__()
        self.last: tuple[Sequence[Op], int] = ((), 0)

    def apply(self, ops: Sequence[Op], session: int, identity: str, given: Access) -> list[TreeEvent]:
        events = super().apply(ops, session, identity, given)
        self.last = (ops, session)
        return events

    def end_session(self, session: int) -> list[TreeEvent]:
        self.last = ((), 0)
        return super().end_session(session)


class WatchedEnsemble(MemoryEnsemble):
    """Tells of every transaction, in order, what it has changed."""

    def __init__(self, clock: Callable[[], float], told: Callable[[Sequence[TreeEvent]], None]) -> None:
        super().__init__(clock)
        self._tree = RecordingTree()
        self._told = told

    @property
    def last(self) -> tuple[Sequence[Op], int]:
        """The operations of the last transaction, and the session that made it; 0 for the servers themselves."""
        assert isinstance(self._tree, RecordingTree)
        return self._tree.last

    def late(self, late: bool) -> None:
        """Whether watches and news of sessions are held back from now on; when not, what waits is delivered."""
        self._queued = late
        self._settle()

    def _announce(self, events: Sequence[TreeEvent]) -> None:
        self._told(events)
        super()._announce(events)

    def peek(self, path: str) -> Znode | None:
        """What the servers hold, whoever reaches them."""
        return self._tree.read(path, ANYONE)

    @property
    def zxid(self) -> int:
        """Grows with every transaction, refused ones and sessions included."""
        return self._tree.zxid

    def names(self, path: str) -> list[str]:
        """The names below a path."""
        return self._tree.children(path, ANYONE) or []


class World:
    """The cluster.

    Attributes:
        session_timeout: seconds that a node may be silent.
        write_seconds: that a leader's effect takes. jobs_run: whether effects are carried out.
        happenings: what happened, as (time, event, fields). steps: of agents so far.
        faults: scripted, by VM.
        orders: seconds that a leader's orders take, by kind: ``cut``, ``restore``, ``power``; and libvirt's, ``move``.
    """

    def __init__(self, *, session_timeout: float = 6.0, time: float = 0.0) -> None:
        self.log: list[str] = []
        self.happenings: list[tuple[float, str, dict[str, Any]]] = []
        self.session_timeout = session_timeout
        self.write_seconds = 0.0
        self.steps = 0
        self.jobs_run = True
        self.is_down = False
        self.clock = VirtualClock(time)
        self.ensemble = WatchedEnsemble(self.clock.now, self._tree_changed)
        self.user = self.ensemble.connect()
        self.storage = SimulatedCeph(self.note, self.clock.now)
        self.storage.changed = self._blocklist_changed
        self.storage.quorate = lambda: not self.is_down
        self.storage.refused = self.clients_refused
        self.power = SimulatedPower(self._behind, self.note)
        self.power.takes = self.takes
        self.power.asked = lambda name: self.power_asked(self.nodes[name])
        self.power.taking = lambda name: self.power_taken(self.nodes[name])
        self.orders: dict[str, float] = {}
        self._strand: Strand | None = None
        self.faults: dict[str, Faults] = {}
        self.nodes: dict[str, Machine] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timed = 0
        self._asleep: float | None = None

    def __getitem__(self, name: str) -> Machine:
        return self.nodes[name]

    # --- what is told, for those who keep accounts ----------------------------------------------------------------------

    def note(self, text: str) -> None:
        """Something was done, in words."""
        self.log.append(text)

    def told(self, machine: Machine, sentence: Sentence) -> None:
        """An agent has said what it decided and why."""

    def about(self, what: str, machine: Machine, vm: str) -> None:
        """A hypervisor is about to do something."""

    def happened(self, what: str, machine: Machine, vm: str) -> None:
        """A hypervisor did something."""

    def changed(self) -> None:
        """Power or network of a machine changed."""

    def left(self, machine: Machine, *, reboot: bool) -> None:
        """A machine has shut down, as its agent sees it: all that is left is its power."""

    def load_of(self, vm: str) -> tuple[float, int] | None:
        """What the guest of a VM uses: processors, and MiB; None: nobody looks at that here."""
        del vm
        return None

    def services(self, machine: Machine) -> tuple[Service, ...]:
        """What a machine's agent finds as it begins, beside VMs."""
        return machine.services

    def clients_refused(self, addresses: Sequence[str]) -> None:
        """A leader's order to Ceph has had its effect."""

    def power_asked(self, machine: Machine) -> None:
        """A fence device of a machine that has its power was told to take it."""

    def power_taken(self, machine: Machine) -> None:
        """A fence device takes a machine's power now."""

    def _tree_changed(self, events: Sequence[TreeEvent]) -> None:
        """A transaction has changed the tree."""

    def desired(self, vm: str) -> tuple[Vm, Claim]:
        """The record and the claim of a VM, as the servers hold them."""
        record, claim = self.ensemble.peek(paths.vm(vm)), self.ensemble.peek(paths.claim(vm))
        assert record is not None
        assert claim is not None
        return codec.decode(Vm, record.data), codec.decode(Claim, claim.data)

    # --- machines -----------------------------------------------------------------------------------------------------

    def add_machine(self, name: str, *, powered: bool = True, coordinator: bool = True) -> Machine:
        machine = Machine(self, name, len(self.nodes) + 1, powered=powered, coordinator=coordinator)
        self.nodes[name] = machine
        if powered:
            machine.start_agent()
        return machine

    def hypervisor_at(self, address: str) -> SimulatedHypervisor | None:
        """The hypervisor of a machine that can be reached, by its address or name."""
        for machine in self.nodes.values():
            if address in (machine.address, machine.name):
                return machine.hypervisor if machine.connected else None
        return None

    def _blocklist_changed(self) -> None:
        for machine in self.nodes.values():
            machine.probe()

    def _behind(self, address: str) -> Machine:
        """The machine that a fence device belongs to: bmc-NAME, bmc2-NAME."""
        return self.nodes[address.partition("-")[2]]

    # --- orders that take their time ----------------------------------------------------------------------------------

    def carry_out(self, machine: Machine, job: Callable[[], None]) -> None:
        """Do what a leader has ordered outside the store, or a move; the rest of the cluster goes on meanwhile.

        An order that is on its way has its effect, whether or not the agent that gave it lives then.
        """
        if self.orders:
            self._go_on(machine, machine.agents, Strand(job))
        else:
            job()

    def _go_on(self, machine: Machine, agent: int, strand: Strand) -> None:
        self._strand, before = strand, self._strand
        self._asleep = None
        try:
            strand.resume()
        except Dies:
            if machine.agents == agent:
                machine.kill_agent()
        finally:
            self._strand = before
        if self._asleep is not None:
            self.after(self._asleep, lambda: self._go_on(machine, agent, strand))

    def takes(self, order: str) -> None:
        seconds = self.orders.get(order, 0.0)
        if self._strand is not None and seconds:
            strand, self._asleep = self._strand, seconds
            strand.sleep()

    # --- time ---------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Turn everything until nothing happens any more without time passing."""
        for _turn in range(_RESTLESS):
            busy = [node.turn() for node in list(self.nodes.values())]
            if not any(busy):
                return
        raise AssertionError("the agents never come to rest")

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Do something later."""
        self._timed += 1
        heapq.heappush(self._timers, (self.clock.time + seconds, self._timed, do))

    def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen when it is due."""
        self.settle()
        self._pass(seconds)

    def _pass(self, seconds: float) -> None:
        end = self.clock.time + seconds
        restless = 0
        while True:
            due = [time for node in self.nodes.values() if (time := node.next_at()) is not None]
            expiry = self.ensemble.next_expiry()
            if expiry is not None:
                due.append(expiry)
            if self._timers:
                due.append(self._timers[0][0])
            before = self.clock.time
            self.clock.time = min([end, *(max(time, before) for time in due)])
            restless = restless + 1 if self.clock.time == before else 0
            assert restless < _RESTLESS, f"time stands still at {before:g}"
            self.ensemble.tick()
            while self._timers and self._timers[0][0] <= self.clock.time:
                heapq.heappop(self._timers)[2]()
            self.settle()
            if self.clock.time >= end:
                return

    # --- the store ----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """No server of the store answers."""
        self.is_down = True
        self.ensemble.down()

    def up(self) -> None:
        self.is_down = False
        self.ensemble.up()
