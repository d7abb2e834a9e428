# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated libvirt: what it and QEMU do, as far as the seam shows it. It outlives the agent, as they do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pvc_state.records import Vm

from ..env import EffectFailed, NotAnswering
from ..events import DomainGone, DomainSeen, Event, HypervisorDown, HypervisorUp
from ..view import Domain, DomainState


@dataclass
class Faults:
    """What is scripted to go wrong with one VM.

    Attributes:
        start_fails: attempts that fail before one succeeds; counted anew after that one. move_fails: the same for moves.
        stop_fails: whether it never stops.
        node: the faults are there on this node only; empty: on all.
        lock: who has locked it against starts, stops and moves; empty: nobody.
    """

    start_fails: int = 0
    move_fails: int = 0
    stop_fails: bool = False
    node: str = ""
    lock: str = ""
    starts: int = field(default=0, init=False)
    moves: int = field(default=0, init=False)

    def check_start(self, node: str) -> None:
        """Raises EffectFailed for an attempt that is to fail."""
        self._check_lock()
        if self.start_fails and self._here(node):
            self.starts += 1
            if self.starts <= self.start_fails:
                raise EffectFailed(f"its start was made to fail ({self.starts} of {self.start_fails})")
            self.starts = 0

    def check_move(self, node: str) -> None:
        """Raises EffectFailed for an attempt that is to fail. Args: node: where it comes from."""
        self._check_lock()
        if self.move_fails and self._here(node):
            self.moves += 1
            if self.moves <= self.move_fails:
                raise EffectFailed(f"its move was made to fail ({self.moves} of {self.move_fails})")
            self.moves = 0

    def check_stop(self, node: str) -> None:
        """Raises EffectFailed when it is not to stop."""
        self._check_lock()
        if self.stop_fails and self._here(node):
            raise EffectFailed("it was made not to stop")

    def _here(self, node: str) -> bool:
        return self.node in ("", node)

    def _check_lock(self) -> None:
        if self.lock:
            raise EffectFailed(f"it is locked ({self.lock})")


class SimulatedHypervisor:
    """The domains of one node.

    Args:
        say: records what is done, in words.
        faults: of VMs, shared by all nodes.
        peer: the hypervisor at an address, for live moves; None when that cannot be reached.

    Attributes:
        obedient: whether guests power off when they are asked to.
        failing: why every start fails; empty: none does.
        breaks: whether moves fail here after the guest has arrived there.
        up: whether libvirt answers.
        starts: all that were started, with their epochs.
        before: called before each start, stop and move, with what it is and its VM: may raise, or let time pass.
        happened: called after each.
    """

    def __init__(
        self,
        node: str,
        say: Callable[[str], None],
        faults: dict[str, Faults] | None = None,
        peer: Callable[[str], SimulatedHypervisor | None] = lambda _address: None,
    ) -> None:
        self.node = node
        self.say = say
        self.faults = faults if faults is not None else {}
        self.peer = peer
        self.domains: dict[str, Domain] = {}
        self.post: Callable[[Event], None] = lambda _event: None
        self.obedient = True
        self.failing = ""
        self.breaks = False
        self.up = True
        self.starts: list[tuple[str, int]] = []
        self.before: Callable[[str, str], None] = lambda _what, _vm: None
        self.happened: Callable[[str, str], None] = lambda _what, _vm: None

    def attach(self, post: Callable[[Event], None]) -> None:
        """An agent has connected: it is told what runs."""
        self.post = post
        if self.up:
            post(HypervisorUp(dict(self.domains)))

    # --- the seam -----------------------------------------------------------------------------------------------------

    def start(self, vm: str, record: Vm, epoch: int) -> None:
        self.before("start", vm)
        self._check()
        try:
            if self.failing:
                raise EffectFailed(self.failing)
            self._faults(vm).check_start(self.node)
        except EffectFailed:
            self.happened("start_failed", vm)
            raise
        assert vm not in self.domains, f"{vm} was started twice"
        self.say(f"start {vm} epoch {epoch}")
        self.starts.append((vm, epoch))
        self.domains[vm] = Domain(record.uuid, DomainState.RUNNING, epoch, record.definition)
        self.happened("start", vm)
        self.post(DomainSeen(vm, self.domains[vm]))

    def shutdown(self, vm: str, uuid: str) -> None:
        self.before("shutdown", vm)
        self._check()
        self.say(f"shutdown {vm}")
        self._faults(vm).check_stop(self.node)
        if self.obedient:
            self._end(vm, uuid, "its guest powered itself off")

    def destroy(self, vm: str, uuid: str) -> None:
        self.before("destroy", vm)
        self._check()
        self.say(f"destroy {vm}")
        faults = self._faults(vm)
        if faults.stop_fails:
            faults.check_stop(self.node)
        self._end(vm, uuid, "it was destroyed")

    def resume(self, vm: str, uuid: str) -> None:
        self._check()
        if not self._is(vm, uuid):
            return
        arrived = self.domains[vm].state is DomainState.ARRIVED
        self.say(f"resume {vm} epoch {self.domains[vm].epoch}" if arrived else f"resume {vm}")
        if arrived:
            self.happened("moved_live", vm)
        self.change(vm, DomainState.RUNNING)

    def migrate(self, vm: str, uuid: str, to: str, epoch: int) -> None:
        self.before("migrate", vm)
        self._check()
        if not self._is(vm, uuid):
            raise EffectFailed("it does not run here any more")
        domain = self.domains[vm]
        self._faults(vm).check_move(self.node)
        target = self.peer(to)
        if target is None or not target.up:
            raise EffectFailed(f"libvirt on {to} cannot be reached")
        assert vm not in target.domains, f"{vm} runs on both ends of a move"
        self.say(f"migrate {vm} to {target.node}")
        # it waits there, paused, until the agent there has its claim
        paused = domain.state is DomainState.PAUSED
        there = replace(domain, epoch=epoch, state=DomainState.PAUSED if paused else DomainState.ARRIVED)
        target.domains[vm] = there
        target.tell(DomainSeen(vm, there))
        if self.breaks:
            raise EffectFailed("the connection broke at the end of the move")
        self.domains.pop(vm)
        self.tell(DomainGone(vm, f"its guest was moved to {target.node}"))

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
        self.post(HypervisorUp(dict(self.domains)))

    def tell(self, event: Event) -> None:
        if self.up:
            self.post(event)

    def _is(self, vm: str, uuid: str) -> bool:
        """Whether the domain of that id runs here."""
        return vm in self.domains and self.domains[vm].uuid == uuid

    def _end(self, vm: str, uuid: str, cause: str) -> None:
        if self._is(vm, uuid):
            self.end(vm, cause)

    def _faults(self, vm: str) -> Faults:
        return self.faults.get(vm) or Faults()

    def _check(self) -> None:
        if not self.up:
            raise NotAnswering("libvirt does not answer")
