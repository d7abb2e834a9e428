# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Follow what happens in a cluster: by watches, from a cursor on, through lost connections and sessions. It only reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from . import paths
from .codec import Stored
from .commit_log import load_commits
from .commit_records import Commit
from .errors import InvalidRequest, StoreUnavailable
from .happening import Cursor, Event, Scene
from .happenings import baseline, happened
from .records import Claim, Fence, Health, NodeStatus, Past, Schema, Vm
from .snapshot import empty, load_schema
from .store import Store
from .watched_tree import Seen, WatchedTree

#: All that tells of events.
_KINDS: Mapping[str, type | None] = MappingProxyType(
    {
        paths.FENCES: Fence,
        paths.HISTORY: Past,
        paths.VMS: Vm,
        paths.CLAIMS: Claim,
        paths.STATUS: NodeStatus,
        paths.HEALTH: Health,
        # large, and written once: read when they are new
        paths.COMMITS: None,
    }
)

#: Seconds after which a store that does not answer is asked again, if nothing is heard of its session before that.
RETRY = 5.0

#: Events, and the cursor behind them.
Batch = tuple[list[Event], Cursor]


class Follower:
    """Reads events from one thread; ``stop()`` may be called from any other.

    Args:
        cursor: where to go on; None begins now, or at ``since``.
        since: without a cursor: tell what was written after this transaction; 0 tells all that the tree still tells of.
        trouble: told in words when the store cannot be asked, and with an empty text when it can be again.

    Raises:
        NotInitialised, SchemaMismatch, StoreError: by the constructor; InvalidRequest: the cursor is of another cluster.
    """

    def __init__(
        self,
        store: Store,
        cursor: Cursor | None = None,
        since: int | None = None,
        trouble: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._store = store
        self._since = since
        self._trouble = trouble
        self._woken = threading.Event()
        self._stopped = False
        self._cursor = cursor
        self._schema = self._own(load_schema(store)[0])
        self._tree = WatchedTree(store, _KINDS, self._woken.set)
        store.on_session(self._session_changed)

    @property
    def cluster(self) -> Schema:
        """Which cluster it follows."""
        return self._schema

    def stop(self) -> None:
        """Make ``read`` return None from now on."""
        self._stopped = True
        self._woken.set()

    def read(self, *, wait: bool = True) -> Batch | None:
        """What is new, once there is something; None once stopped, or, without ``wait``, while there is nothing.

        The first call without a cursor returns the one that it begins at, and no events. Others return when there are events,
        or when there is anything else that the cursor has to remember.

        Raises:
            AccessDenied, DamagedRecord, SchemaMismatch, InvalidRequest: the store is not, or not any more, what it was said
            to be. What is merely unavailable is waited for.
        """
        while not self._stopped:
            # cleared before reading: what changes from here on is either read or wakes us
            self._woken.clear()
            try:
                scene = self._look()
            except StoreUnavailable as err:
                self._trouble(str(err))
                self._woken.wait(RETRY)
                continue
            if scene is None:
                break
            batch = self._told(scene)
            if batch is not None or not wait:
                return batch
            self._woken.wait()
        return None

    def _session_changed(self, _state: object) -> None:
        self._woken.set()

    def _look(self) -> Scene | None:
        if not self._tree.settle(lambda: self._stopped):
            return None
        self._schema = self._own(load_schema(self._store)[0])
        self._trouble("")
        records = {parent: self._tree.records(parent) for parent, cls in _KINDS.items() if cls is not None}
        snapshot = replace(
            empty(self._schema),
            vms=_stored(records[paths.VMS]),
            claims=_stored(records[paths.CLAIMS]),
            status=_stored(records[paths.STATUS]),
            health=_stored(records[paths.HEALTH]),
            fences=_stored(records[paths.FENCES]),
        )
        begun = {node: seen.created for node, seen in records[paths.FENCES].items()}
        # a large commit has further parts, with a dot in their names
        revision = max((int(name) for name in self._tree.names(paths.COMMITS) if name.isdecimal()), default=0)
        commits = self._commits(revision)
        zxid = max(self._tree.zxid, *(stored.mzxid for stored in commits.values()), 0)
        return Scene(snapshot, zxid, begun, _stored(records[paths.HISTORY]), revision, commits)

    def _commits(self, until: int) -> Mapping[int, Stored[Commit]]:
        """Those that the reader does not know; a reader that begins now knows all."""
        known = self._cursor.revision if self._cursor is not None else until if self._since is None else 0
        return dict(load_commits(self._store, known + 1, until)) if known < until else {}

    def _told(self, scene: Scene) -> Batch | None:
        """What is new in the scene; None when there is nothing to tell and nothing to remember."""
        known = self._cursor
        if known is None:
            self._cursor = baseline(scene, self._since)
            return [], self._cursor
        events, after = happened(known, scene)
        self._cursor = after
        return (events, after) if events or known.told or replace(after, zxid=known.zxid) != known else None

    def _own(self, schema: Schema) -> Schema:
        """The schema, if it is that of the cluster that the cursor belongs to."""
        if self._cursor is not None and self._cursor.cluster != schema.id:
            raise InvalidRequest(
                f"it belongs to the cluster with id {self._cursor.cluster}, but the store holds {schema.cluster or 'one'}"
                f" with id {schema.id}",
                obj="cursor",
                remedy="use hosts and root of the cluster that it belongs to, or begin with a new one",
            )
        return schema


def _stored(records: Mapping[str, Seen]) -> Mapping[str, Stored[Any]]:
    return MappingProxyType({name: seen.stored for name, seen in records.items()})
