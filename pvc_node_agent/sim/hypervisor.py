# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated libvirt: what it and QEMU do, as far as the seam shows it. It outlives the agent, as they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pvc_state.records import Migration, Vm

from ..env import EffectFailed, NotAnswering
from ..events import DomainGone, DomainSeen, Event, HypervisorDown, HypervisorUp
from ..view import Domain, DomainState, Processor


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
        self.up = True
        self.leaving: set[str] = set()
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

    def start(self, vm: str, record: Vm, epoch: int) -> None:
        self.before("start", vm)
        self._check()
        if self.failing:
            raise EffectFailed(self.failing)
        assert vm not in self.domains, f"{vm} was started twice"
        self.say(f"start {vm} epoch {epoch}")
        self.starts.append((vm, epoch))
        self.left.discard(vm)
        self.domains[vm] = Domain(record.uuid, DomainState.RUNNING, epoch, record.definition)
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

    def migrate(self, vm: str, uuid: str, to: str, epoch: int, _how: Migration) -> None:
        self.before("migrate", vm)
        self._check()
        if vm in self.leaving:
            self._await_move(vm)
            return
        if not self._is(vm, uuid):
            raise EffectFailed("it does not run here any more")
        domain = self.domains[vm]
        target = self.peer(to)
        if target is None or not target.up:
            raise EffectFailed(f"libvirt on {to} cannot be reached")
        if vm in target.domains:
            raise EffectFailed(f"libvirt did not move it: domain {vm} exists on {target.node} already")
        self.say(f"migrate {vm} to {target.node}")
        # it waits there, paused, until the agent there has its claim
        there = Domain(uuid, DomainState.ARRIVED, epoch, domain.definition)
        target.domains[vm] = there
        target.incoming.add(vm)
        target.left.discard(vm)
        (target.asleep.add if domain.state is DomainState.PAUSED else target.asleep.discard)(vm)
        target.tell(DomainSeen(vm, there))
        self.leaving.add(vm)
        self.takes("move")
        try:
            self._arrive(vm, domain.uuid, to, target, there)
        except EffectFailed:
            if vm in self.domains:
                self.tell(DomainSeen(vm, self.domains[vm]))
            raise

    def _arrive(self, vm: str, uuid: str, to: str, target: SimulatedHypervisor, there: Domain) -> None:
        """The end of a move, whatever became of either end meanwhile."""
        called_off = vm not in self.leaving
        self.leaving.discard(vm)
        is_there = target.domains.get(vm) is there and vm in target.incoming
        if is_there:
            target.incoming.discard(vm)
        if not self._is(vm, uuid) or called_off or self.peer(to) is not target or not is_there:
            if is_there:
                target.end(vm, "the guest that was to arrive has not")
            raise EffectFailed("libvirt did not move it: it was called off" if called_off else "the move broke off")
        if self.breaks:
            raise EffectFailed("the connection broke at the end of the move")
        self.domains.pop(vm)
        self.left.add(vm)
        self.tell(DomainGone(vm, f"its guest was moved to {target.node}"))

    def _await_move(self, vm: str) -> None:
        """An agent before this one has begun it, and cannot be told how it ended."""
        while vm in self.leaving:
            self.takes("move")
        if vm in self.domains:
            raise EffectFailed("the move that was under way has failed")

    def cancel_move(self, vm: str, uuid: str) -> None:
        self.before("cancel", vm)
        self._check()
        if vm in self.leaving and self._is(vm, uuid):
            self.say(f"cancel the move of {vm}")
            self.leaving.discard(vm)
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
        domains = {vm: replace(domain, leaving=vm in self.leaving) for vm, domain in self.domains.items()}
        return HypervisorUp(domains, self.processor, frozenset(self.left))

    def tell(self, event: Event) -> None:
        if self.up:
            self.post(event)

    def _is(self, vm: str, uuid: str) -> bool:
        """Whether the domain of that id runs here."""
        return vm in self.domains and self.domains[vm].uuid == uuid

    def _end(self, vm: str, uuid: str, cause: str) -> None:
        if self._is(vm, uuid):
            self.end(vm, cause)

    def _check(self) -> None:
        if not self.up:
            raise NotAnswering("libvirt does not answer")
