# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out one effect. Blocking: the daemon calls it from worker threads, a test at once.

Before anything is done to a VM, the store confirms in one transaction that the claim, the record and this agent's own
ephemeral are still what the decision rested on. So neither a late watch nor a frozen process lets an old view act.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from pvc_state import codec, paths
from pvc_state.errors import PvcError, StoreError
from pvc_state.records import Claim, Health, HostDevice, Node, NodeStatus, Vm
from pvc_state.store import Check, CommitRefused, Create, Delete, Op, Refused, Set, Store, Znode

from . import guarded
from .decide import arriving
from .effects import (
    ArrangeSnapshots,
    AskUnasked,
    CancelMove,
    ChangeDomain,
    DeleteVolumes,
    Depart,
    DestroyDomain,
    DestroyStray,
    DestroyUnasked,
    Effect,
    EnsureVolumes,
    GrowDisks,
    HandOver,
    MigrateDomain,
    Publication,
    ReleaseDomain,
    RemoveRecords,
    ResetDomain,
    ResumeDomain,
    Right,
    RollBack,
    ShutdownDomain,
    StartDomain,
    WriteHealth,
    WriteStatus,
)
from .env import EffectFailed, Hypervisor, NotAnswering, Storage
from .events import Done, Failure


class _JoinedAnew(Exception):
    """The decision was made under an ephemeral that is gone."""


class Performer:
    """Carries effects out against the store, the hypervisor and the storage.

    Args:
        store: returns the store that this agent is enrolled with; raises StoreUnavailable when there is none.
        enrolment: which one of the agent's is the present one, see Right.
    """

    def __init__(
        self,
        node: str,
        store: Callable[[], Store],
        hypervisor: Hypervisor,
        storage: Storage,
        enrolment: Callable[[], int] = lambda: 0,
    ) -> None:
        self._node = node
        self._store = store
        self._hypervisor = hypervisor
        self._storage = storage
        self._enrolment = enrolment

    def perform(self, effect: Effect) -> Done:
        """Carry the effect out; says how it went, and raises nothing but programming errors."""
        try:
            told = self._perform(effect)
        except CommitRefused as err:
            return Done(effect, self._kind(effect, err), str(err))
        except _JoinedAnew as err:
            return Done(effect, Failure.REFUSED, str(err))
        except StoreError as err:
            return Done(effect, Failure.BLIND, str(err))
        except NotAnswering as err:
            return Done(effect, Failure.AWAY, str(err))
        except EffectFailed as err:
            return Done(effect, Failure.FAILED, str(err))
        except PvcError as err:
            return Done(effect, Failure.FAILED, str(err))
        return Done(effect, reason=told or "")

    def _kind(self, effect: Effect, refused: CommitRefused) -> Failure:
        """Which of its grounds the effect has lost; what was read right and is wrong in the store is no ground."""
        path = refused.op.path
        if path == paths.alive(self._node):
            return Failure.BLIND
        if isinstance(effect, Publication) or path in (paths.claim(effect.vm), paths.vm(effect.vm)):
            return Failure.REFUSED
        return Failure.FAILED

    def _perform(self, effect: Effect) -> str | None:
        """Returns how it went, where that is worth a word."""
        match effect:
            case EnsureVolumes():
                self._confirm(effect.vm, effect.right)
                self._storage.ensure(effect.disks, effect.barrier)
            case StartDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.start(effect.vm, effect.record, effect.right.epoch, self._devices(effect.record))
            case ShutdownDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.shutdown(effect.vm, effect.uuid)
            case DestroyDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.destroy(effect.vm, effect.uuid)
            case ResumeDomain():
                self._confirm(effect.vm, effect.right)
                return self._hypervisor.resume(effect.vm, effect.uuid)
            case ChangeDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.change_hardware(effect.vm, effect.record.uuid, effect.record)
            case ResetDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.reset(effect.vm, effect.uuid, effect.serial)
            case GrowDisks():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.grow(effect.vm, effect.uuid, effect.disks)
            case ReleaseDomain():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.release(effect.vm, effect.uuid)
            case ArrangeSnapshots():
                self._confirm(effect.vm, effect.right)
                self._storage.arrange(effect.disks, effect.snapshots, lambda: self._held_still(effect), effect.barrier)
            case RollBack():
                self._confirm(effect.vm, effect.right)
                self._storage.roll_back(effect.disks, effect.owner, effect.snapshot, effect.back.mark, effect.barrier)
            case MigrateDomain():
                return self._migrate(effect)
            case CancelMove():
                self._confirm(effect.vm, effect.right)
                self._hypervisor.cancel_move(effect.vm, effect.uuid)
            case AskUnasked():
                self._hypervisor.shutdown(effect.vm, effect.uuid)
            case DestroyUnasked():
                self._hypervisor.destroy(effect.vm, effect.uuid)
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
            case Depart():
                self._sign_off(effect.status)
            case WriteHealth():
                self._write_health(effect.health)
        return None

    def _devices(self, record: Vm) -> tuple[HostDevice, ...]:
        """The devices of this node that a record names, as they are declared now."""
        if not record.devices.host:
            return ()
        znode = self._store().get(paths.node(self._node))
        node = codec.stored(Node, znode).value if znode is not None else None
        declared = {device.name: device for device in node.devices} if node is not None else {}
        for name in record.devices.host:
            if name not in declared:
                raise EffectFailed(f"device {name} is not declared of this node: declare it, or take it from the VM")
        return tuple(declared[name] for name in record.devices.host)

    def _held_still(self, effect: ArrangeSnapshots) -> AbstractContextManager[None]:
        if not effect.uuid:
            return nullcontext()
        return self._hypervisor.hold(effect.vm, effect.uuid, len(effect.disks) > 1)

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
        self._still_the_same(right)

    def _still_the_same(self, right: Right) -> None:
        """Asked after the store has confirmed: then the ephemeral has existed all the time, and no fence could be made."""
        if right.enrolment != self._enrolment():
            raise _JoinedAnew("this agent has joined anew since that was decided")

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
        if (claim.node, claim.epoch) == (self._node, effect.epoch) or arriving(claim, self._node, effect.epoch):
            raise EffectFailed("its claim allows it after all")

    def _migrate(self, effect: MigrateDomain) -> str:
        """The target has a session, and has said where it is to be reached."""
        store = self._store()
        target = Check(paths.alive(effect.to), 0)
        store.commit([*self._held(effect.vm, effect.right), target])
        self._still_the_same(effect.right)
        znode = store.get(paths.status(effect.to))
        status = codec.stored(NodeStatus, znode).value if znode is not None else None
        address = status.addresses.get("cluster", "") if status is not None else ""
        if not address:
            raise EffectFailed(f"node {effect.to} does not say what its address in the network cluster is")
        epoch = effect.right.epoch + 1
        return self._hypervisor.migrate(effect.vm, effect.uuid, effect.to, address, epoch, effect.how)

    def _hand_over(self, effect: HandOver) -> None:
        store = self._store()
        old = self._claim(store, effect.vm, effect.right)
        epoch = old.epoch + 1
        guest = epoch if effect.with_guest else 0
        successor = replace(old, node=effect.to, epoch=epoch, with_guest=guest)
        # a guest goes to where it waits, wherever else it is wanted by now: it moves on from there
        onward = old.to if effect.with_guest and old.to not in (effect.to, self._node) else ""
        if not onward:
            successor = replace(successor, to="", why="", cold=False)
        # what has not moved with its guest would wait for a node that is gone, and perhaps for long
        there = [Check(paths.alive(effect.to), 0)] if effect.to == old.to and not effect.with_guest else []
        ops: list[Op] = [
            self._own(),
            *there,
            Check(paths.vm(effect.vm), effect.right.record_version),
            Set(paths.claim(effect.vm), codec.encode(successor), effect.right.claim_version),
            Delete(paths.assigned(self._node, effect.vm), 0),
        ]
        if old.to and old.to not in (effect.to, self._node, onward):
            ops += self._unless_gone(store, paths.assigned(old.to, effect.vm))
        if store.get(paths.assigned(effect.to, effect.vm)) is None:
            ops.append(Create(paths.assigned(effect.to, effect.vm)))
        guarded.commit(store, ops)

    def _remove_records(self, effect: RemoveRecords) -> None:
        store = self._store()
        old = self._claim(store, effect.vm, effect.right)
        znode = store.get(paths.vm(effect.vm))
        record = codec.stored(Vm, znode).value if znode is not None else None
        if record is not None and record.state == "absent" and (record.firmware == "uefi" or record.devices.tpm):
            # a VM of the same name has the same id: it must not find the secrets of this one
            self._confirm(effect.vm, effect.right)
            self._hypervisor.forget(effect.vm, record)
        ops: list[Op] = [
            self._own(),
            Delete(paths.vm(effect.vm), effect.right.record_version),
            Delete(paths.claim(effect.vm), effect.right.claim_version),
            Delete(paths.assigned(self._node, effect.vm), 0),
        ]
        if old.to and old.to != self._node:
            ops += self._unless_gone(store, paths.assigned(old.to, effect.vm))
        guarded.commit(store, ops)

    def _claim(self, store: Store, vm: str, right: Right) -> Claim:
        """The claim that the right names; raises CommitRefused when it has changed."""
        check = Check(paths.claim(vm), right.claim_version)
        znode = store.get(check.path)
        if znode is None:
            raise CommitRefused(check, Refused.NO_NODE)
        if znode.version != right.claim_version:
            raise CommitRefused(check, Refused.BAD_VERSION)
        return codec.decode(Claim, znode.data)

    def _unless_gone(self, store: Store, path: str) -> list[Op]:
        return [] if store.get(path) is None else [Delete(path, 0)]

    def _write_status(self, status: NodeStatus) -> None:
        store = self._store()
        znode = store.get(paths.status(self._node))
        store.commit([self._own(), _put(paths.status(self._node), codec.encode(status), znode)])

    def _sign_off(self, status: NodeStatus) -> None:
        """The last words, and the end of everything that this session holds: all of it or nothing."""
        store = self._store()
        znode, leader = store.get_many([paths.status(self._node), paths.LEADER])
        ops = [_put(paths.status(self._node), codec.encode(status), znode), Delete(paths.alive(self._node), 0)]
        if leader is not None and leader.owner == store.session_id:
            ops.append(Delete(paths.LEADER, leader.version))
        store.commit(ops)

    def _write_health(self, health: Health) -> None:
        store = self._store()
        parent, znode = store.get_many([paths.HEALTH, paths.health(self._node)])
        # a tree from before this path existed; when two agents make it at once, one of them tries again
        first = [Create(paths.HEALTH)] if parent is None else []
        store.commit([self._own(), *first, _put(paths.health(self._node), codec.encode(health), znode)])


def _put(path: str, data: bytes, before: Znode | None) -> Op:
    return Create(path, data) if before is None else Set(path, data, before.version)
