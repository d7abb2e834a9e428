# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out one effect. Blocking: the daemon calls it from worker threads, a test at once.

Before anything is done to a VM, the store confirms in one transaction that the claim, the record and this agent's own
ephemeral are still what the decision rested on. So neither a late watch nor a frozen process lets an old view act.
"""

from __future__ import annotations

from collections.abc import Callable

from pvc_state import codec, paths
from pvc_state.errors import PvcError, StoreError
from pvc_state.records import Claim, Health, NodeStatus
from pvc_state.store import Check, CommitRefused, Create, Delete, Op, Set, Store, Znode

from . import guarded
from .effects import (
    DeleteVolumes,
    DestroyDomain,
    DestroyStray,
    Effect,
    EnsureVolumes,
    HandOver,
    Publication,
    RemoveRecords,
    ResumeDomain,
    Right,
    ShutdownDomain,
    StartDomain,
    WriteHealth,
    WriteStatus,
)
from .env import EffectFailed, Hypervisor, Storage
from .events import Done, Failure


class Performer:
    """Carries effects out against the store, the hypervisor and the storage.

    Args:
        store: returns the store that this agent is enrolled with; raises StoreUnavailable when there is none.
    """

    def __init__(self, node: str, store: Callable[[], Store], hypervisor: Hypervisor, storage: Storage) -> None:
        self._node = node
        self._store = store
        self._hypervisor = hypervisor
        self._storage = storage

    def perform(self, effect: Effect) -> Done:
        """Carry the effect out; says how it went, and raises nothing but programming errors."""
        try:
            self._perform(effect)
        except CommitRefused as err:
            return Done(effect, self._kind(effect, err), str(err))
        except StoreError as err:
            return Done(effect, Failure.BLIND, str(err))
        except EffectFailed as err:
            return Done(effect, Failure.FAILED, str(err))
        except PvcError as err:
            return Done(effect, Failure.FAILED, str(err))
        return Done(effect)

    def _kind(self, effect: Effect, refused: CommitRefused) -> Failure:
        """Which of its grounds the effect has lost; what was read right and is wrong in the store is no ground."""
        path = refused.op.path
        if path == paths.alive(self._node):
            return Failure.BLIND
        if isinstance(effect, Publication) or path in (paths.claim(effect.vm), paths.vm(effect.vm)):
            return Failure.REFUSED
        return Failure.FAILED

    def _perform(self, effect: Effect) -> None:
        match effect:
            case EnsureVolumes():
                self._confirm(effect.vm, effect.right)
                self._storage.ensure(effect.disks)
            case StartDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.start(effect.vm, effect.record, effect.right.epoch)
            case ShutdownDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.shutdown(effect.vm, effect.uuid)
            case DestroyDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.destroy(effect.vm, effect.uuid)
            case ResumeDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.resume(effect.vm, effect.uuid)
            case DestroyStray():
                self._confirm_stray(effect)
                self._hypervisor.destroy(effect.vm, effect.uuid)
            case DeleteVolumes():
                self._confirm(effect.vm, effect.right)
                self._storage.remove(effect.disks)
            case HandOver():
                self._hand_over(effect)
            case RemoveRecords():
                self._remove_records(effect)
            case WriteStatus():
                self._write_status(effect.status)
            case WriteHealth():
                self._write_health(effect.health)

    def _own(self) -> Check:
        """This agent is enrolled: an ephemeral is never written again after its creation."""
        return Check(paths.alive(self._node), 0)

    def _held(self, vm: str, right: Right) -> list[Check]:
        return [
            self._own(),
            Check(paths.claim(vm), right.claim_version),
            Check(paths.vm(vm), right.record_version),
        ]

    def _confirm(self, vm: str, right: Right) -> None:
        self._store().commit(self._held(vm, right))

    def _confirm_stray(self, effect: DestroyStray) -> None:
        """The newest claim does not allow the domain; an unreadable one is no proof of that."""
        store = self._store()
        store.sync()
        path = paths.claim(effect.vm)
        znode = store.get(path)
        if znode is None:
            return
        claim = codec.stored(Claim, znode).value
        if claim is None:
            raise EffectFailed("its claim is damaged")
        if (claim.node, claim.epoch) == (self._node, effect.epoch):
            raise EffectFailed("its claim allows it after all")

    def _hand_over(self, effect: HandOver) -> None:
        successor = codec.encode(Claim(effect.to, effect.right.epoch + 1))
        guarded.commit(
            self._store(),
            [
                self._own(),
                Check(paths.vm(effect.vm), effect.right.record_version),
                Set(paths.claim(effect.vm), successor, effect.right.claim_version),
                Delete(paths.assigned(self._node, effect.vm), 0),
                Create(paths.assigned(effect.to, effect.vm)),
            ],
        )

    def _remove_records(self, effect: RemoveRecords) -> None:
        guarded.commit(
            self._store(),
            [
                self._own(),
                Delete(paths.vm(effect.vm), effect.right.record_version),
                Delete(paths.claim(effect.vm), effect.right.claim_version),
                Delete(paths.assigned(self._node, effect.vm), 0),
            ],
        )

    def _write_status(self, status: NodeStatus) -> None:
        store = self._store()
        znode = store.get(paths.status(self._node))
        store.commit([self._own(), _put(paths.status(self._node), codec.encode(status), znode)])

    def _write_health(self, health: Health) -> None:
        store = self._store()
        parent, znode = store.get_many([paths.HEALTH, paths.health(self._node)])
        # a tree from before this path existed; when two agents make it at once, one of them tries again
        first = [Create(paths.HEALTH)] if parent is None else []
        store.commit([self._own(), *first, _put(paths.health(self._node), codec.encode(health), znode)])


def _put(path: str, data: bytes, before: Znode | None) -> Op:
    return Create(path, data) if before is None else Set(path, data, before.version)
