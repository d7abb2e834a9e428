# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest commits, each written in the transaction that made it: how they become znodes, and are read again.

A record is JSON, compressed and in base64: views of many objects are alike, and a staged plan quotes what it holds, which
costs bytes that are no text six times their size. What is too large for one znode goes on beside it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice

from . import paths, staging
from .codec import Malformed, Stored, decode, encode
from .records import Commit
from .store import Create, Delete, Op, Store, Znode

#: How many commits are kept.
KEEP = 200

#: How many znodes they may have together: at worst some 50 MB of each server's memory.
ZNODES = 250

#: How many commits are read at a time: who asks for the last few does not read all of them.
_BATCH = 20


def written(commit: Commit, known: Sequence[str] | None) -> tuple[tuple[Op, ...], ...]:
    """Groups of operations that write a commit's record, and remove the oldest ones.

    The last group has the part that others look for: who finds a commit finds all of it.

    Args:
        known: names below /commits; None where that does not exist, as in a tree from before it was known.
    """
    size = staging.LIMIT // 3
    text = base64.b64encode(zlib.compress(encode(commit)))
    parts = [text[begin : begin + size] for begin in range(0, len(text), size)]
    creates = [Create(paths.commit(commit.revision, index), part) for index, part in enumerate(parts)]
    parent = [Create(paths.COMMITS)] if known is None else []
    first, *others = creates
    last = (first, *_oldest(known or (), len(parts)))
    groups = [(*parent, *others[:1]), *((one,) for one in others[1:]), last] if others else [(*parent, *last)]
    return tuple(groups)


def load_commits(store: Store, since: int = 0, until: int | None = None) -> Iterator[tuple[int, Stored[Commit]]]:
    """Commits by revision, the newest first, read as they are asked for; damaged ones are marked so.

    Call snapshot.load() before: a large plan that is under way has no record yet.

    Args:
        since, until: the oldest and the newest revision that are of interest.
    """
    parts = _parts(store.children(paths.COMMITS) or ())
    newest = max(parts, default=0) if until is None else until
    wanted = sorted((revision for revision in parts if since <= revision <= newest), reverse=True)
    for begin in range(0, len(wanted), _BATCH):
        batch = wanted[begin : begin + _BATCH]
        znodes = iter(store.get_many([f"{paths.COMMITS}/{name}" for revision in batch for name in parts[revision]]))
        for revision in batch:
            # the first part goes last in the list, so that a commit that is removed meanwhile is not taken for a damaged one
            *others, first = islice(znodes, len(parts[revision]))
            if first is not None:
                yield revision, _stored(revision, first, others)


def _stored(revision: int, first: Znode, others: Sequence[Znode | None]) -> Stored[Commit]:
    try:
        text = b"".join([first.data, *(znode.data if znode is not None else b"" for znode in others)])
        commit = decode(Commit, zlib.decompress(base64.b64decode(text, validate=True)))
        if commit.revision != revision:
            raise Malformed(f"revision is {commit.revision}, not {revision}")
    except (Malformed, binascii.Error, zlib.error) as err:
        return Stored(None, first.version, first.mzxid, str(err))
    return Stored(commit, first.version, first.mzxid)


def _oldest(known: Sequence[str], more: int) -> Iterator[Op]:
    """Removals that make room for one more commit of so many parts."""
    parts = _parts(known)
    kept, znodes = len(parts), sum(map(len, parts.values()))
    for revision in sorted(parts):
        if kept < KEEP and znodes + more <= ZNODES:
            return
        kept, znodes = kept - 1, znodes - len(parts[revision])
        for name in parts[revision]:
            yield Delete(f"{paths.COMMITS}/{name}", 0)


def _parts(names: Sequence[str]) -> dict[int, list[str]]:
    """Names below /commits by revision, in the order of the parts, the first one last."""
    found: dict[int, dict[int, str]] = {}
    for name in names:
        place = paths.commit_part(name)
        if place is not None:
            found.setdefault(place[0], {})[place[1]] = name
    return {
        revision: [parts[index] for index in sorted(parts, key=lambda index: (not index, index))]
        for revision, parts in found.items()
    }
