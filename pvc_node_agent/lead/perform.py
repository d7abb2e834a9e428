# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carry out one effect of the leader. Blocking: called from worker threads, or by a test at once.

Every write holds the epoch that its decision was made under, and that this node is alive. Before anything is done outside
the store, the store confirms both, and that the fence it is done for still stands: so neither a leader that was
replaced nor a process that was frozen lets an old decision act.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from pvc_state import codec, paths, staging
from pvc_state.errors import PvcError
from pvc_state.records import Claim, Fence
from pvc_state.store import Check, CommitRefused, Create, Delete, Op, Set, Store, absent

from .. import guarded
from ..env import CephFence, EffectFailed, PowerFence, Voice
from .effects import (
    BeginFence,
    ChangeClaim,
    CutStorage,
    DeviceEffect,
    EndFence,
    LeadEffect,
    MarkDown,
    PowerOff,
    Recover,
    Rehome,
    RestoreStorage,
    StoreEffect,
    UpdateFence,
    Write,
)
from .events import DeviceResult, MarkedDown, PowerRead, StorageCut, StorageRestored, Written

#: How many fences that are over are kept.
HISTORY = 100


class LeadPerformer:
    """Carries effects out against the store, Ceph and fence devices.

    Args:
        store: returns the store that this agent is enrolled with; raises StoreUnavailable when there is none.
        ceph, power: None for an agent that was not told by what to fence: whatever needs them fails, and says so.
        doubt: told when the store says that this agent may not lead any more.
    """

    def __init__(
        self,
        node: str,
        store: Callable[[], Store],
        ceph: CephFence | None,
        power: PowerFence | None,
        voice: Voice,
        doubt: Callable[[str], None],
    ) -> None:
        self._node = node
        self._store = store
        self._ceph = ceph
        self._power = power
        self._voice = voice
        self._doubt = doubt

    def perform(self, effect: LeadEffect, epoch: int) -> Written | DeviceResult:
        """Carry the effect out under the epoch that it was decided under; says how it went."""
        if isinstance(effect, Write):
            return self._write(effect, epoch)
        try:
            self._confirm(effect, epoch)
            return self._act(effect)
        except (CommitRefused, EffectFailed, PvcError) as err:
            return _failed(effect, str(err))
        except Exception as err:
            # a defect in one way to collect evidence must not keep this process from the others
            text = f"{type(err).__name__}: {err}"
            self._voice.trouble(f"{type(effect).__name__} for {effect.node} has failed by a defect: {text}")
            return _failed(effect, text)

    # --- outside the store --------------------------------------------------------------------------------------------

    def _confirm(self, effect: DeviceEffect, epoch: int) -> None:
        """The fence stands, and this agent leads. Only what is being lifted is restored, and nothing else of it done."""
        store = self._store()
        znode = store.get(paths.fence(effect.node))
        fence = codec.stored(Fence, znode).value if znode is not None else None
        if znode is None or fence is None or fence.id != effect.fence:
            raise EffectFailed("the fence that this was for is over")
        if (fence.state == "lifting") is not isinstance(effect, RestoreStorage):
            raise EffectFailed(f"the fence is {fence.state} by now")
        # a node that is back is not worth its power
        gone = absent(paths.alive(effect.node)) if isinstance(effect, PowerOff) else ()
        self._commit(store, [*self._leads(epoch), Check(paths.fence(effect.node), znode.version), *gone])

    def _act(self, effect: DeviceEffect) -> DeviceResult:
        ceph, power = self._ceph, self._power
        if ceph is None or power is None:
            raise EffectFailed(
                f"the agent of {self._node} leads, but its configuration does not say by what to fence: add section [fence]"
            )
        match effect:
            case CutStorage():
                return StorageCut(effect.node, effect.fence, ceph.cut(effect.addresses))
            case RestoreStorage():
                ceph.restore(effect.addresses)
                return StorageRestored(effect.node, effect.fence)
            case PowerOff():
                said = power.off(effect.device)
                return PowerRead(effect.node, effect.fence, effect.device.name, True, said)
            case MarkDown():
                return MarkedDown(effect.node, effect.fence, ceph.mark_down(effect.node))

    # --- the store ----------------------------------------------------------------------------------------------------

    def _write(self, effect: StoreEffect, epoch: int) -> Written:
        try:
            store = self._store()
            grounds = [*self._leads(epoch), *(Check(path, version) for path, version in effect.rests_on)]
            match effect:
                case BeginFence():
                    self._begin(store, grounds, effect)
                case UpdateFence():
                    path = paths.fence(_name(effect))
                    held = _absent(effect)
                    self._commit(store, [*grounds, *held, Set(path, codec.encode(effect.fence), effect.version)])
                case EndFence():
                    self._end(store, grounds, effect)
                case Recover():
                    self._recover(store, grounds, effect)
                case ChangeClaim():
                    self._change_claim(store, grounds, effect)
        except (CommitRefused, EffectFailed, PvcError) as err:
            return Written(effect, str(err) or type(err).__name__)
        return Written(effect)

    def _leads(self, epoch: int) -> list[Op]:
        return [Check(paths.EPOCH, epoch), Check(paths.alive(self._node), 0)]

    def _commit(
        self, store: Store, ops: Sequence[Op], how: Callable[[Store, Sequence[Op]], None] | None = None
    ) -> None:
        try:
            if how is None:
                store.commit(ops)
            else:
                how(store, ops)
        except CommitRefused as err:
            if err.op.path in (paths.EPOCH, paths.alive(self._node)):
                self._doubt(f"a write was refused: {err}")
            raise

    def _begin(self, store: Store, grounds: Sequence[Op], effect: BeginFence) -> None:
        node = _name(effect)
        alive = paths.alive(node)
        gone = absent(alive) if effect.alive is None else (Delete(alive, effect.alive),)
        self._commit(store, [*grounds, *gone, Create(paths.fence(node), codec.encode(effect.fence))])

    def _end(self, store: Store, grounds: Sequence[Op], effect: EndFence) -> None:
        node, past = _name(effect), effect.past
        znode = store.get(paths.fence(node))
        if znode is not None:
            past = dataclasses.replace(past, created=znode.czxid, changed=znode.mzxid)
        ops = [
            *grounds,
            Delete(paths.fence(node), effect.version),
            Create(paths.history(past.fence.id), codec.encode(past)),
        ]
        if effect.declared is not None:
            ops.append(Delete(paths.declared(node), effect.declared))
        if effect.node is None:
            self._commit(store, ops, guarded.commit)
        else:
            record, version = effect.node
            ops.append(Set(paths.node(node), codec.encode(record), version))
            self._commit(store, ops, guarded.commit_desired)
        _forget_old(store)

    def _recover(self, store: Store, grounds: Sequence[Op], effect: Recover) -> None:
        """In as few transactions as fit: each notes in the fence what it has moved."""
        path, left = paths.fence(_name(effect)), list(effect.claims)
        grounds = [*grounds, *_absent(effect)]
        note = Set(path, codec.encode(effect.fence), effect.version)
        base = staging.size([Check(paths.JOURNAL, 0), *grounds, note])
        for count, chunk in enumerate(_chunks(effect.claims, staging.LIMIT - base)):
            left = left[len(chunk) :]
            later = {each.vm for each in left}
            moves = {vm: why for vm, why in effect.fence.moves.items() if vm not in later}
            fence = dataclasses.replace(effect.fence, moves=moves)
            note = Set(path, codec.encode(fence), effect.version + count)
            self._commit_claims(store, [*grounds, note], chunk)

    def _change_claim(self, store: Store, grounds: Sequence[Op], effect: ChangeClaim) -> None:
        before = dataclasses.replace(effect.claim, to=effect.old_to)
        change = Rehome(effect.vm, before, effect.version, effect.claim, effect.record_version)
        self._commit_claims(store, grounds, [change])

    def _commit_claims(self, store: Store, grounds: Sequence[Op], changes: Sequence[Rehome]) -> None:
        """The index is as the claims say; should it not be, what is there is looked at once."""
        known: frozenset[str] | None = None
        while True:
            ops = [*grounds, *(op for change in changes for op in _ops(change, known))]
            try:
                return self._commit(store, ops, guarded.commit)
            except CommitRefused as err:
                if known is not None or not err.op.path.startswith(f"{paths.ASSIGNED}/"):
                    raise
            entries = sorted(entry for change in changes for entry in _entries(change, change.before, change.after))
            znodes = zip(entries, store.get_many(entries), strict=True)
            known = frozenset(path for path, znode in znodes if znode is not None)


def _name(effect: Write) -> str:
    """The node that a write is about."""
    return effect.subject.rpartition(" ")[2]


def _failed(effect: DeviceEffect, why: str) -> DeviceResult:
    match effect:
        case CutStorage():
            return StorageCut(effect.node, effect.fence, 0, why)
        case RestoreStorage():
            return StorageRestored(effect.node, effect.fence, why)
        case PowerOff():
            return PowerRead(effect.node, effect.fence, effect.device.name, False, why)
        case MarkDown():
            return MarkedDown(effect.node, effect.fence, f"not marked down: {why}")


def _absent(effect: UpdateFence | Recover) -> tuple[Op, ...]:
    """That the node has no session, where the effect rests on that."""
    return absent(paths.alive(_name(effect))) if effect.absent else ()


def _entries(change: Rehome, *claims: Claim) -> set[str]:
    """The index entries of a VM under these claims."""
    return {paths.assigned(node, change.vm) for claim in claims for node in (claim.node, claim.to) if node}


def _ops(change: Rehome, known: frozenset[str] | None = None) -> Iterator[Op]:
    """A claim's change, with its index. known: the entries that exist; None: those that the claim before should have."""
    yield Check(paths.vm(change.vm), change.record_version)
    yield Set(paths.claim(change.vm), codec.encode(change.after), change.version)
    wanted, before = _entries(change, change.after), _entries(change, change.before)
    there = before if known is None else known & (before | wanted)
    yield from (Delete(path, 0) for path in sorted(there - wanted))
    yield from (Create(path) for path in sorted(wanted - there))


def _chunks(changes: Iterable[Rehome], limit: int) -> Iterator[list[Rehome]]:
    chunk: list[Rehome] = []
    filled = 0
    for change in changes:
        needed = staging.size(list(_ops(change)))
        if chunk and filled + needed > limit:
            yield chunk
            chunk, filled = [], 0
        chunk.append(change)
        filled += needed
    if chunk:
        yield chunk


def _forget_old(store: Store) -> None:
    """Keep the newest fences that are over. Best effort: the next one's end tries again."""
    names = store.children(paths.HISTORY) or []
    znodes = zip(names, store.get_many([paths.history(name) for name in names]), strict=True)
    ages = sorted((znode.czxid, name, znode.version) for name, znode in znodes if znode is not None)
    old = [Delete(paths.history(name), version) for _age, name, version in ages[:-HISTORY]]
    if old:
        with suppress(CommitRefused):
            store.commit(old)
