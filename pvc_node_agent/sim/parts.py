# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a simulated machine's agent is made of, where that differs from a real one's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pvc_state.errors import StoreUnavailable
from pvc_state.memory_store import MemoryStore
from pvc_state.store import Op, SessionState, Watch, Znode

from ..effects import Effect, Publication, ShutdownDomain, StartDomain
from ..env import EffectFailed
from ..events import Done
from ..lead.effects import LeadEffect
from ..lead.events import DeviceResult, Written
from ..lead.perform import LeadPerformer
from ..perform import Performer
from .jobs import Later

if TYPE_CHECKING:
    from .machine import Machine


class Dies(BaseException):
    """The agent's process ends here and now: nothing that it was about to do is done."""


class FragileStore:
    """A client whose requests may fail while its session lives on: its library goes on pinging."""

    def __init__(self, store: MemoryStore, faulty: Callable[[], bool]) -> None:
        self._store = store
        self._faulty = faulty

    def _asked(self) -> MemoryStore:
        if self._faulty():
            raise StoreUnavailable("the store did not answer in time")
        return self._store

    @property
    def session_id(self) -> int:
        return self._store.session_id

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        return self._asked().get(path, watch)

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        return self._asked().get_many(paths, watch)

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        return self._asked().children(path, watch)

    def commit(self, ops: Sequence[Op]) -> None:
        self._asked().commit(ops)

    def sync(self) -> None:
        self._asked().sync()

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        self._store.on_session(callback)

    def close(self) -> None:
        self._store.close()


class NodePerformer(Performer):
    """Tells of each effect that it has carried out."""

    def __init__(self, machine: Machine, node: str, *parts: Any) -> None:
        super().__init__(node, *parts)
        self._machine = machine

    def perform(self, effect: Effect) -> Done:
        done = super().perform(effect)
        self._machine.performed(effect)
        return done

    def _perform(self, effect: Effect) -> str | None:
        faults = None if isinstance(effect, Publication) else self._machine.world.faults.get(effect.vm)
        if faults is not None:
            try:
                faults.check(effect, self._machine.name)
                claim = self._machine.world.desired(effect.vm)[1] if isinstance(effect, ShutdownDomain) else None
                if claim is not None and claim.to:
                    faults.check_move(self._machine.name)
            except EffectFailed:
                if isinstance(effect, StartDomain):
                    self._machine.hypervisor.happened("start_failed", effect.vm)
                raise
        return super()._perform(effect)


class ClusterPerformer(LeadPerformer):
    """Tells of each effect that it has carried out."""

    def __init__(self, machine: Machine, node: str, *parts: Any) -> None:
        super().__init__(node, *parts)
        self._machine = machine

    def perform(self, effect: LeadEffect, epoch: int) -> Written | DeviceResult:
        done = super().perform(effect, epoch)
        if self._machine.lead_performer is self:
            self._machine.performed(effect)
        return done


class Orders:
    """The threads that carry out what takes its time: a leader's orders outside the store, and moves."""

    def __init__(self, machine: Machine, later: Later) -> None:
        self._machine = machine
        self._later = later

    def submit(self, job: Callable[[], None]) -> None:
        self._later.submit(lambda: self._machine.world.carry_out(self._machine, job))
