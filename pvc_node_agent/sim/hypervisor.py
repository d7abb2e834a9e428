# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated libvirt: what it and QEMU do, as far as the seam shows it. It outlives the agent, as they do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pvc_state.hardware_changes import compare, volume
from pvc_state.records import Disk, HostDevice, Migration, Vm

from ..domain_mark import mark_of
from ..env import EffectFailed, NotAnswering
from ..events import DomainGone, DomainSeen, Event, HypervisorDown, HypervisorUp
from ..view import Domain, DomainState, Processor


@dataclass(frozen=True, eq=False)
class Journey:
    """A guest on its way to a node; another one to the same node is not the same."""

    to: str


class SimulatedHypervisor:
    """The domains of one node.

    Args:
        say: records what is done, in words.
        peer: the hypervisor at an address, for live moves; None when that cannot be reached.

    Attributes:
        obedient: whether guests power off when they are asked to.
        failing: why every start fails; empty: none does.
        breaks: whether moves fail here after the guest has arrived there.
        up: whether libvirt answers.
        built: the hardware that each domain has, by VM. devices: what of the node each was last started with.
        clinging: VMs whose guests do not let go of disks that are taken from them.
        leaving: VMs whose guests are on their way to other nodes. incoming: and those on their way here.
        left: VMs whose last domain here was moved away.
        asleep: VMs that were moved here, and were paused by somebody before that.
        takes: called while something takes its time, with what it is: ``move``.
        starts: all that were started, with their epochs.
        before: called before each start, stop and move, with what it is and its VM: may raise, or let time pass.
        happened: called after each.
    """

    def __init__(
        self,
        node: str,
        say: Callable[[str], None],
        peer: Callable[[str], SimulatedHypervisor | None] = lambda _address: None,
    ) -> None:
        self.node = node
        self.say = say
        self.peer = peer
        self.domains: dict[str, Domain] = {}
        self.post: Callable[[Event], None] = lambda _event: None
        self.obedient = True
        self.failing = ""
        self.breaks = False
        self.built: dict[str, Vm] = {}
        self.clinging: set[str] = set()
        self.devices: dict[str, tuple[HostDevice, ...]] = {}
        self.up = True
        self.leaving: dict[str, Journey] = {}
        self.incoming: set[str] = set()
        self.asleep: set[str] = set()
        self.left: set[str] = set()
        self.takes: Callable[[str], None] = lambda _what: None
        self.processor = Processor("Model", ("Model", "Older"), "host-model")
        self.starts: list[tuple[str, int]] = []
        self.before: Callable[[str, str], None] = lambda _what, _vm: None
        self.happened: Callable[[str, str], None] = lambda _what, _vm: None

    def attach(self, post: Callable[[Event], None]) -> None:
        """An agent has connected: it is told what runs."""
        self.post = post
        if self.up:
            post(self._seen())

    # --- the seam -----------------------------------------------------------------------------------------------------

    def start(self, vm: str, record: Vm, epoch: int, host_devices: tuple[HostDevice, ...] = ()) -> None:
        self.before("start", vm)
        self._check()
        if self.failing:
            raise EffectFailed(self.failing)
        assert vm not in self.domains, f"{vm} was started twice"
        self.say(f"start {vm} epoch {epoch}")
        self.starts.append((vm, epoch))
        self.left.discard(vm)
        self.domains[vm] = domain_of(vm, record, epoch)
        self.built[vm] = record
        self.devices[vm] = host_devices
        self.happened("start", vm)
        self.post(DomainSeen(vm, self.domains[vm]))

    def shutdown(self, vm: str, uuid: str) -> None:
        self.before("shutdown", vm)
        self._check()
        self.say(f"shutdown {vm}")
        if self.obedient:
            self._end(vm, uuid, "its guest powered itself off")

    def destroy(self, vm: str, uuid: str) -> None:
        self.before("destroy", vm)
        self._check()
        self.say(f"destroy {vm}")
        self._end(vm, uuid, "it was destroyed")

    def resume(self, vm: str, uuid: str) -> str:
        self._check()
        if not self._is(vm, uuid):
            return ""
        arrived = self.domains[vm].state is DomainState.ARRIVED
        if vm in self.incoming:
            raise EffectFailed("its guest has not wholly arrived")
        self.say(f"resume {vm} epoch {self.domains[vm].epoch}" if arrived else f"resume {vm}")
        if arrived:
            self.happened("moved_live", vm)
        asleep = arrived and vm in self.asleep
        self.asleep.discard(vm)
        self.change(vm, DomainState.PAUSED if asleep else DomainState.RUNNING)
        return "in 1.0 s; its guest stood still for 100 ms" if arrived else ""

    def reset(self, vm: str, uuid: str, serial: int) -> None:
        self.before("reset", vm)
        self._check()
        if self._is(vm, uuid):
            self.say(f"reset {vm}")
            self._mark(vm, reset=serial, held=False)

    def grow(self, vm: str, uuid: str, disks: Sequence[Disk]) -> None:
        self.before("grow", vm)
        self._check()
        if self._is(vm, uuid):
            sizes = dict(self.domains[vm].sizes)
            for disk in disks:
                self.say(f"grow {disk.pool}/{disk.volume} to {disk.size}")
                sizes[f"{disk.pool}/{disk.volume}"] = disk.size or 0
            self._mark(vm, sizes=tuple(sizes.items()))

    @contextmanager
    def hold(self, vm: str, uuid: str, several: bool) -> Iterator[None]:
        self.before("hold", vm)
        self._check()
        if not self._is(vm, uuid):
            raise EffectFailed("it does not run any more")
        self.say(f"hold {vm}" if several else f"hold {vm}, which has one disk")
        self._mark(vm, held=True)
        try:
            yield
        finally:
            self.release(vm, uuid)

    def release(self, vm: str, uuid: str) -> None:
        self._check()
        if self._is(vm, uuid):
            self.say(f"release {vm}")
            self._mark(vm, held=False)

    def change_hardware(self, vm: str, uuid: str, record: Vm) -> None:
        self.before("change", vm)
        self._check()
        if not self._is(vm, uuid):
            raise EffectFailed("it does not run here any more")
        self.say(f"change {vm}")
        built = self.built.get(vm, record)
        gone = [disk for disk in built.disks if volume(disk) not in map(volume, record.disks)]
        kept = tuple(gone) if vm in self.clinging else ()
        later = compare(built, record).later
        self.built[vm] = replace(built if later else record, disks=(*record.disks, *kept), nics=record.nics)
        self.happened("change", vm)
        known = dict(self.domains[vm].sizes)
        there = {volume(disk): known.get(volume(disk), disk.size) for disk in (*record.disks, *kept)}
        sizes = tuple((name, size) for name, size in there.items() if size is not None)
        self.domains[vm] = replace(self.domains[vm], sizes=sizes)
        if kept:
            names = ", ".join(map(volume, kept))
            raise EffectFailed(f"its guest does not let go of {names}: stop the VM to take it away")
        domain, definition = self.domains[vm], record.definition
        if later:
            self.domains[vm] = replace(domain, applied=definition, pending=later)
        else:
            self.domains[vm] = replace(domain, definition=definition, applied=0, pending=())
        self.tell(DomainSeen(vm, self.domains[vm]))

    def forget(self, vm: str, _record: Vm) -> None:
        self._check()
        self.say(f"forget {vm}")

    def holds(self, vm: str) -> set[str]:
        """The volumes that a domain has open."""
        return set(map(volume, self.built[vm].disks)) if vm in self.domains else set()

    def migrate(self, vm: str, uuid: str, to: str, address: str, epoch: int, _how: Migration) -> str:
        self.before("migrate", vm)
        self._check()
        if vm in self.leaving:
            return self._await_move(vm)
        if not self._is(vm, uuid):
            raise EffectFailed("it does not run here any more")
        domain = self.domains[vm]
        target = self.peer(address)
        if target is None or not target.up:
            raise EffectFailed(f"libvirt on {to} cannot be reached")
        if vm in target.domains:
            raise EffectFailed(f"libvirt did not move it: domain {vm} exists on {target.node} already")
        self.say(f"migrate {vm} to {target.node}")
        # it waits there, paused, until the agent there has its claim
        there = replace(domain, epoch=epoch, state=DomainState.ARRIVED)
        target.domains[vm] = there
        if vm in self.built:
            target.built[vm] = self.built[vm]
        target.incoming.add(vm)
        target.left.discard(vm)
        (target.asleep.add if domain.state is DomainState.PAUSED else target.asleep.discard)(vm)
        target.tell(DomainSeen(vm, there))
        journey = self.leaving[vm] = Journey(to)
        self.takes("move")
        try:
            self._arrive(vm, domain.uuid, address, target, there, journey)
        except EffectFailed:
            if vm in self.domains:
                self.tell(DomainSeen(vm, self.domains[vm]))
            raise
        return to

    def _arrive(
        self, vm: str, uuid: str, address: str, target: SimulatedHypervisor, there: Domain, journey: Journey
    ) -> None:
        """The end of a move, whatever became of either end meanwhile."""
        called_off = self.leaving.get(vm) is not journey
        if not called_off:
            del self.leaving[vm]
        is_there = target.domains.get(vm) is there and vm in target.incoming
        if is_there:
            target.incoming.discard(vm)
        if not self._is(vm, uuid) or called_off or self.peer(address) is not target or not is_there:
            if is_there:
                target.end(vm, "the guest that was to arrive has not")
            raise EffectFailed("libvirt did not move it: it was called off" if called_off else "the move broke off")
        if self.breaks:
            raise EffectFailed("the connection broke at the end of the move")
        self.domains.pop(vm)
        self.left.add(vm)
        self.tell(DomainGone(vm, f"its guest was moved to {target.node}"))

    def _await_move(self, vm: str) -> str:
        """An agent before this one has begun it, and cannot be told how it ended."""
        journey = self.leaving[vm]
        while self.leaving.get(vm) is journey:
            self.takes("move")
        if vm in self.domains:
            raise EffectFailed("the move that was under way has failed")
        return journey.to

    def cancel_move(self, vm: str, uuid: str) -> None:
        self.before("cancel", vm)
        self._check()
        if vm in self.leaving and self._is(vm, uuid):
            self.say(f"cancel the move of {vm}")
            del self.leaving[vm]
            self.tell(DomainSeen(vm, self.domains[vm]))

    # --- what happens by itself ---------------------------------------------------------------------------------------

    def end(self, vm: str, cause: str) -> None:
        """A domain ends."""
        if self.domains.pop(vm, None):
            self.happened("stop", vm)
            self.tell(DomainGone(vm, cause))

    def change(self, vm: str, state: DomainState) -> None:
        """A domain's state changes."""
        self.domains[vm] = replace(self.domains[vm], state=state)
        self.tell(DomainSeen(vm, self.domains[vm]))

    def stop_answering(self) -> None:
        self.up = False
        self.post(HypervisorDown("libvirt does not answer: connection refused"))

    def answer_again(self) -> None:
        self.up = True
        self.post(self._seen())

    def _seen(self) -> HypervisorUp:
        domains = {
            vm: replace(domain, leaving=True, going=self.leaving[vm].to) if vm in self.leaving else domain
            for vm, domain in self.domains.items()
        }
        return HypervisorUp(domains, self.processor, frozenset(self.left))

    def tell(self, event: Event) -> None:
        if self.up:
            self.post(event)

    def _mark(self, vm: str, **changes: object) -> None:
        self.domains[vm] = replace(self.domains[vm], **changes)  # type: ignore[arg-type]
        self.tell(DomainSeen(vm, self.domains[vm]))

    def _is(self, vm: str, uuid: str) -> bool:
        """Whether the domain of that id runs here."""
        return vm in self.domains and self.domains[vm].uuid == uuid

    def _end(self, vm: str, uuid: str, cause: str) -> None:
        if self._is(vm, uuid):
            self.end(vm, cause)

    def _check(self) -> None:
        if not self.up:
            raise NotAnswering("libvirt does not answer")


def domain_of(vm: str, record: Vm, epoch: int) -> Domain:
    """A domain that has just been started, with the marks that the real one has."""
    mark = mark_of(vm, record, epoch)
    return Domain(
        record.uuid,
        DomainState.RUNNING,
        epoch,
        mark.definition,
        restart=mark.restart,
        reset=mark.reset,
        sizes=mark.sizes,
    )
