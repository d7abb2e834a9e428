# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A ZooKeeper ensemble in memory: sessions, ephemerals, versions, one-shot watches, access control and faults.

It is deterministic and has no thread: with ``queued`` the callbacks wait until ``deliver()``, otherwise they run right
after the change that caused them. Time is a function that the caller gives: a simulator's virtual clock, or none at
all, and then sessions end only by ``expire()``. The contract suite in tests/store holds it and the real one together.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

from .connection import digest, read_only
from .errors import AccessDenied, StoreUnavailable
from .memory_tree import Denied, Event, Seen, Tree
from .store import Access, CommitRefused, Op, SessionState, Watch, Znode


@dataclass
class _Session:
    id: int
    timeout: float
    contact: float


class MemoryEnsemble:
    """The servers: one tree, its sessions, and what may go wrong with them.

    Args:
        clock: monotonic seconds; with it ``tick()`` ends the sessions of clients that have been cut off for too long.
        queued: collect watch and session callbacks until ``deliver()``.
    """

    def __init__(self, clock: Callable[[], float] | None = None, *, queued: bool = False) -> None:
        self._clock = clock or (lambda: 0.0)
        self._queued = queued
        self._queue: deque[tuple[MemoryStore, Callable[[], None]]] = deque()
        self._delivering = False
        # Nothing here starts a thread, but a test may use one beside it, as an agent would be.
        self._lock = threading.RLock()
        self._tree = Tree()
        self._sessions: dict[int, _Session] = {}
        self._last_session = 0x100
        self._stores: list[MemoryStore] = []
        self._down = False

    def connect(
        self, session_timeout: float = 6.0, *, root: str = "/", username: str = "", password: str = ""
    ) -> MemoryStore:
        """A client with a session of its own, confined to ``root``."""
        with self._lock:
            if self._down:
                raise StoreUnavailable("no server of the ensemble answers")
            store = MemoryStore(self, root.rstrip("/"), digest(username, password), session_timeout)
            self._stores.append(store)
            return store

    # --- faults -----------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """No server answers any more. Sessions are kept, as they are while ZooKeeper has no quorum."""
        with self._lock:
            self._down = True
            for store in self._stores:
                store._suspend()
        self._settle()

    def up(self) -> None:
        """Servers answer again; every session's timeout counts anew."""
        with self._lock:
            self._down = False
            for session in self._sessions.values():
                session.contact = self._clock()
            for store in self._stores:
                store._resume()
        self._settle()

    def cut(self, store: MemoryStore) -> None:
        """One client reaches no server any more. It learns of its session's end only once healed."""
        with self._lock:
            self._touch(store)
            store._cut = True
            store._suspend()
        self._settle()

    def heal(self, store: MemoryStore) -> None:
        """Undo cut(): the client finds its session again, or learns that it is lost and gets another one."""
        with self._lock:
            store._cut = False
            self._touch(store)
            store._resume()
        self._settle()

    def expire(self, store: MemoryStore) -> None:
        """The servers end a client's session; one that is connected learns it at once."""
        with self._lock:
            self._end_session(store._session)
            if store._state is SessionState.CONNECTED:
                store._suspend()
                store._resume()
        self._settle()

    def tick(self) -> None:
        """Look at the clock: end the sessions of clients that have been cut off for longer than their timeout."""
        with self._lock:
            for store in self._stores:
                session = self._sessions.get(store._session)
                overdue = session is not None and self._clock() >= session.contact + session.timeout
                # connected clients are heard of all the time
                if overdue and (store._cut or store._closed) and not self._down:
                    self._end_session(store._session)
        self._settle()

    def next_expiry(self) -> float | None:
        """When tick() has a session to end, if nobody is heard of until then; None: never."""
        with self._lock:
            if self._down:
                return None
            silent = [store._session for store in self._stores if store._cut or store._closed]
            sessions = [self._sessions[session] for session in silent if session in self._sessions]
            return min((session.contact + session.timeout for session in sessions), default=None)

    def deliver(self, limit: int | None = None) -> int:
        """Run the callbacks that wait (at most ``limit``), and those that they cause; returns how many."""
        count = 0
        while limit is None or count < limit:
            with self._lock:
                if not self._queue:
                    break
                _store, callback = self._queue.popleft()
            callback()
            count += 1
        return count

    # --- for MemoryStore --------------------------------------------------------------------------------------------

    def _deliver_to(self, store: MemoryStore) -> None:
        """Run what waits for one client; what waits for others goes on waiting."""
        while True:
            with self._lock:
                waiting = next((entry for entry in self._queue if entry[0] is store), None)
                if waiting is None:
                    return
                self._queue.remove(waiting)
            waiting[1]()

    def _settle(self) -> None:
        # A callback may change the tree: what that causes is delivered by the loop that already runs.
        with self._lock:
            if self._queued or self._delivering:
                return
            self._delivering = True
        try:
            self.deliver()
        finally:
            self._delivering = False

    def _new_session(self, timeout: float) -> int:
        self._last_session += 1
        self._tree.zxid += 1
        self._sessions[self._last_session] = _Session(self._last_session, timeout, self._clock())
        return self._last_session

    def _touch(self, store: MemoryStore) -> None:
        session = self._sessions.get(store._session)
        if session:
            session.contact = self._clock()

    def _end_session(self, session_id: int) -> None:
        if self._sessions.pop(session_id, None):
            self._announce(self._tree.end_session(session_id))

    def _announce(self, events: Sequence[Event]) -> None:
        for event in events:
            for store in self._stores:
                store._fire(event)


class MemoryStore:
    """A client of a MemoryEnsemble; implements store.GuardedStore. Made by MemoryEnsemble.connect()."""

    def __init__(self, ensemble: MemoryEnsemble, root: str, identity: str, session_timeout: float) -> None:
        self._ensemble = ensemble
        self._root = root
        self._identity = identity
        self._timeout = session_timeout
        self._session = ensemble._new_session(session_timeout)
        self._state = SessionState.CONNECTED
        self._cut = False
        self._closed = False
        # Within each event's watches a dict serves as an ordered set.
        self._watches: dict[Event, dict[Watch, None]] = {}
        self._listeners: list[Callable[[SessionState], None]] = []

    @property
    def session_id(self) -> int:
        return 0 if self._closed else self._session

    @property
    def identity(self) -> str:
        return self._identity

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        with self._ensemble._lock:
            with self._asked(path):
                znode = self._ensemble._tree.read(self._absolute(path), self._identity)
            self._leave(Event(Seen.DATA, path), watch)
            return znode

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        with self._ensemble._lock:
            znodes = [self.get(path) for path in paths]
            for path, znode in zip(paths, znodes, strict=True):
                if znode is not None:
                    self._leave(Event(Seen.DATA, path), watch)
            return znodes

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        with self._ensemble._lock:
            with self._asked(path):
                names = self._ensemble._tree.children(self._absolute(path), self._identity)
            self._leave(Event(Seen.DATA if names is None else Seen.CHILDREN, path), watch)
            return names

    def commit(self, ops: Sequence[Op]) -> None:
        with self._ensemble._lock:
            if not ops:
                return
            tree = self._ensemble._tree
            inner = [replace(op, path=self._absolute(op.path)) for op in ops]
            given = tree.inherited(self._absolute("/"), self._identity)
            with self._asked(ops[0].path, commit=True):
                try:
                    events = tree.apply(inner, self._session, self._identity, given)
                except CommitRefused as err:
                    refused = next(op for op, moved in zip(ops, inner, strict=True) if moved is err.op)
                    raise CommitRefused(refused, err.reason) from None
            self._ensemble._announce(events)
        self._ensemble._settle()

    def everything(self) -> list[str]:
        with self._ensemble._lock, self._asked("/"):
            root = self._absolute("/")
            found = self._ensemble._tree.below(root)
            return ["/", *(path[len(self._root) :] for path in found if path != root)]

    def access(self, paths: Sequence[str]) -> list[Access | None]:
        with self._ensemble._lock, self._asked("/"):
            return [self._ensemble._tree.access(self._absolute(path)) for path in paths]

    def grant(self, paths: Sequence[str], access: Access) -> None:
        with self._ensemble._lock:
            for path in paths:
                with self._asked(path, commit=True):
                    self._ensemble._tree.grant(self._absolute(path), access, self._identity)

    def sync(self) -> None:
        with self._ensemble._lock, self._asked("/"):
            pass
        self._ensemble._deliver_to(self)

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        self._listeners.append(callback)

    def close(self) -> None:
        with self._ensemble._lock:
            if self._closed:
                return
            self._closed = True
            self._watches.clear()
            # A client that is cut off cannot say goodbye: its session ends by its timeout.
            if self._state is SessionState.CONNECTED:
                self._ensemble._end_session(self._session)
            self._change(SessionState.LOST)
        self._ensemble._settle()

    # --- for MemoryEnsemble -----------------------------------------------------------------------------------------

    def _suspend(self) -> None:
        if self._closed or self._state is not SessionState.CONNECTED:
            return
        self._change(SessionState.SUSPENDED)
        for event in list(self._watches):
            self._fire_local(event)

    def _resume(self) -> None:
        if self._closed or self._cut or self._ensemble._down or self._state is SessionState.CONNECTED:
            return
        if self._session not in self._ensemble._sessions:
            self._change(SessionState.LOST)
            self._session = self._ensemble._new_session(self._timeout)
        self._change(SessionState.CONNECTED)

    def _fire(self, event: Event) -> None:
        """A change of the tree, by its absolute path."""
        if self._root and not (event.path == self._root or event.path.startswith(self._root + "/")):
            return
        self._fire_local(Event(event.seen, event.path[len(self._root) :] or "/"))

    def _fire_local(self, event: Event) -> None:
        for watch in self._watches.pop(event, ()):
            self._ensemble._queue.append((self, partial(watch, event.path)))

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _absolute(self, path: str) -> str:
        return self._root + path if path != "/" else self._root or "/"

    @contextmanager
    def _asked(self, path: str, *, commit: bool = False) -> Iterator[None]:
        if self._closed:
            raise StoreUnavailable("the session was closed")
        if self._state is not SessionState.CONNECTED:
            raise StoreUnavailable("no server of the ensemble answers")
        try:
            yield
        except Denied:
            root = self._ensemble._tree.access(self._absolute("/"))
            if commit and root is not None and self._identity in root.readers:
                raise read_only(self._identity.partition(":")[0]) from None
            raise AccessDenied(f"the store refuses access to {path}") from None

    def _leave(self, event: Event, watch: Watch | None) -> None:
        if watch is not None:
            self._watches.setdefault(event, {})[watch] = None

    def _change(self, state: SessionState) -> None:
        self._state = state
        for listener in self._listeners:
            self._ensemble._queue.append((self, partial(listener, state)))
