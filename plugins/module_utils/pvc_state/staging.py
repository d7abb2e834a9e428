# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans that are too large for one transaction, made visible at once all the same.

The operations are written in chunks below /staged/T, where nobody looks. Then one transaction checks everything that
the plan rests on and points /journal at T: from then on the plan is committed. Whoever finds a pointing journal carries
it on, one transaction per chunk, which moves the pointer too; so each chunk happens exactly once, whoever does it and
wherever somebody dies. Readers finish the journal before they read and look again afterwards, and every commit of
desired state needs the journal empty at the version it read, so nobody sees, or builds on, half of a plan.

A stager that dies before the pointer is set leaves chunks behind. Its /staged/T/owner is an ephemeral that the pointing
transaction checks: once it is gone those chunks can never become visible, and the next stager removes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from . import paths
from .codec import Malformed, decode, encode
from .errors import AccessDenied, Conflict, DamagedRecord, InvalidRequest
from .records import Journal
from .store import Check, CommitRefused, Create, Delete, Op, Refused, Set, Store

#: Bytes of operations that go into one transaction. ZooKeeper takes 1 MiB (jute.maxbuffer) by default, and a chunk
#: grows when it is quoted into the znode that holds it.
LIMIT = 600_000

#: What an operation costs besides its path and data: types, lengths, version; a creation names who may access it, too.
_OVERHEAD, _CREATION = 40, 160

#: How often a journal may be found moved by others before giving up; others are then making progress all the time.
_ATTEMPTS = 1000


def size(ops: Sequence[Op]) -> int:
    """Bytes that a transaction takes on the wire, roughly and rather too many."""
    return sum(
        len(op.path) + len(getattr(op, "data", b"")) + (_CREATION if isinstance(op, Create) else _OVERHEAD)
        for op in ops
    )


def guard(store: Store) -> Check:
    """What an agent adds to a commit that touches VMs or claims: no plan is under way, nor begins before it.

    When a commit is refused for this operation's path, take a new guard and look again.
    """
    return Check(paths.JOURNAL, settle(store))


def settle(store: Store) -> int:
    """Carry on with the journal until it is empty; returns its version then.

    Somebody who may only read looks on while others do that.
    """
    denied = False
    for _turn in range(_ATTEMPTS):
        znode = store.get(paths.JOURNAL)
        if znode is None:
            raise DamagedRecord(
                "it does not exist",
                obj=f"znode {paths.JOURNAL}",
                remedy="create it, empty, with the tree's other parents",
            )
        if not znode.data:
            return znode.version
        try:
            journal = decode(Journal, znode.data)
        except Malformed as err:
            raise DamagedRecord(
                f"it holds no valid record: {err}",
                obj=f"znode {paths.JOURNAL}",
                remedy=f"set it to the one transaction below {paths.STAGED} that still has chunks, or empty it",
            ) from err
        if denied:
            store.sync()
            continue
        try:
            _carry_on(store, journal, znode.version)
        except AccessDenied:
            denied = True
    if denied:
        raise Conflict(
            "a large change is being carried out, and you may only look on",
            remedy="try again: a coordinator's agent finishes it",
        )
    raise Conflict("others keep changing the cluster", remedy="try again when fewer jobs run")


def commit(store: Store, checks: Sequence[Check], groups: Sequence[Sequence[Op]], journal: int) -> None:
    """Commit a plan of any size.

    Args:
        checks: what the plan rests on besides its own operations.
        groups: operations; those of one group become visible together even to agents.
        journal: version of the empty journal that the plan was made at.

    Raises CommitRefused as Store.commit() does.
    """
    _sweep(store)
    transaction = f"{store.session_id:x}-{journal}"
    owner = f"{paths.staged(transaction)}/owner"
    chunks = list(_chunks(groups))
    flip: list[Op] = [*checks, Check(owner, 0)]
    # Nothing checks that what is to be created is not there: only commits of desired state create, and they raise the
    # journal's version.
    flip += _preconditions(op for group in groups for op in group)
    flip.append(Set(paths.JOURNAL, encode(Journal(transaction, len(chunks))), journal))
    if size(flip) > LIMIT:
        raise InvalidRequest(
            f"the request changes {len(flip)} objects, too many for one transaction", remedy="split it into several"
        )
    try:
        store.commit([Create(paths.staged(transaction)), Create(owner, ephemeral=True)])
        for index, chunk in enumerate(chunks):
            store.commit([Create(paths.staged(transaction, index), _pack(chunk))])
        store.commit(flip)
    except CommitRefused:
        _discard(store, transaction)
        raise
    settle(store)


def _preconditions(ops: Iterable[Op]) -> Iterator[Check]:
    """What operations find when the first of them begins: what they do themselves in between is no condition."""
    seen: set[str] = set()
    for op in ops:
        if op.path not in seen and not isinstance(op, Create):
            yield Check(op.path, op.version)
        seen.add(op.path)


def _chunks(groups: Sequence[Sequence[Op]]) -> Iterator[list[Op]]:
    chunk: list[Op] = []
    filled = 0
    for group in groups:
        ops = [op for op in group if not isinstance(op, Check)]
        needed = size(ops)
        if chunk and filled + needed > LIMIT:
            yield chunk
            chunk, filled = [], 0
        chunk += ops
        filled += needed
    if chunk:
        yield chunk


def _carry_on(store: Store, journal: Journal, version: int) -> None:
    """Do the next chunk and move the journal past it, unless somebody else did."""
    znode = store.get(paths.staged(journal.transaction, journal.next))
    if znode is None:
        now = store.get(paths.JOURNAL)
        if now is None or now.version != version:
            return
        raise DamagedRecord(
            f"chunk {journal.next} of the plan under way is lost",
            obj=f"znode {paths.staged(journal.transaction, journal.next)}",
            remedy=f"compare the tree with what was asked for, then empty {paths.JOURNAL} to give up the rest of it",
        )
    chunk = _unpack(znode.data)
    done = journal.next + 1 == journal.chunks
    following = b"" if done else encode(Journal(journal.transaction, journal.chunks, journal.next + 1))
    move = Set(paths.JOURNAL, following, version)
    try:
        store.commit([*chunk, move])
    except CommitRefused:
        now = store.get(paths.JOURNAL)
        if now is None or now.version != version:
            return
        # Nobody who keeps the rules can have come between. The plan was acknowledged, so it wins over who did not.
        try:
            store.commit([*_rebased(store, chunk), move])
        except CommitRefused:
            return
    if done:
        _discard(store, journal.transaction)


def _rebased(store: Store, chunk: Sequence[Op]) -> list[Op]:
    """Operations that reach what ``chunk`` wants in the end from what is there now."""
    ops: list[Op] = []
    last = {op.path: op for op in chunk}
    for op, znode in zip(last.values(), store.get_many([*last]), strict=True):
        if isinstance(op, Delete):
            if znode is not None:
                ops.append(Delete(op.path, znode.version))
        elif isinstance(op, (Create, Set)):
            ops.append(Create(op.path, op.data) if znode is None else Set(op.path, op.data, znode.version))
    return ops


def _sweep(store: Store) -> None:
    """Remove what stagers left behind that died before they set the journal."""
    for transaction in store.children(paths.STAGED) or []:
        journal = store.get(paths.JOURNAL)
        if journal is not None and transaction.encode() in journal.data:
            continue
        if store.get(f"{paths.staged(transaction)}/owner") is None:
            _discard(store, transaction)


def _discard(store: Store, transaction: str) -> None:
    """Remove a transaction's chunks; somebody else may be doing the same."""
    base = paths.staged(transaction)
    for name in store.children(base) or []:
        _remove(store, f"{base}/{name}")
    _remove(store, base)


def _remove(store: Store, path: str) -> None:
    try:
        store.commit([Delete(path, 0)])
    except CommitRefused as err:
        if err.reason not in (Refused.NO_NODE, Refused.NOT_EMPTY):
            raise


def _pack(ops: Sequence[Op]) -> bytes:
    return json.dumps([_plain(op) for op in ops], separators=(",", ":")).encode()


def _unpack(data: bytes) -> list[Op]:
    return [_op(*row) for row in json.loads(data)]


def _plain(op: Op) -> list[Any]:
    # latin-1 maps every byte to a character and back
    if isinstance(op, Create):
        return ["create", op.path, op.data.decode("latin-1")]
    if isinstance(op, Set):
        return ["set", op.path, op.data.decode("latin-1"), op.version]
    return ["delete", op.path, op.version]


def _op(kind: str, path: str, *rest: Any) -> Op:
    if kind == "create":
        return Create(path, rest[0].encode("latin-1"))
    if kind == "set":
        return Set(path, rest[0].encode("latin-1"), rest[1])
    return Delete(path, rest[0])
