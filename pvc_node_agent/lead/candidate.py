# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wins and loses the lead, and tells the leader's loop what it may know: who is alive, and the tree while it leads.

The lead is the ephemeral /leader, made in one transaction that also raises /epoch and holds that this node is alive. A
candidate uses the session of its node's agent, and stands back as soon as that agent is blind; in sight again it stands
anew, with another epoch. What an agent of this node has left behind in /leader is taken over: only one agent holds the
node's ephemeral, and the transaction checks that it exists.

All of its work is done by ``pump()``, in one thread; the other methods only leave work for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from pvc_state import codec, paths
from pvc_state.errors import PvcError, StoreError
from pvc_state.records import Leader, Node
from pvc_state.store import Check, CommitRefused, Create, Delete, Op, Set, Store, Znode

from ..env import Clock
from ..events import Blinded as AgentBlinded
from ..events import Enrolled, Event
from .events import AliveSeen, Blinded, Deposed, Elected, LeadEvent, TreeSeen
from .mirror import Mirror

#: Seconds after which an attempt to reach the store is repeated.
RETRY = 1.0
#: Seconds that a node with a fence leaves to others before it stands: it may lose its storage and its power any moment.
FENCED_WAITS = 5.0


class Candidate:
    """One coordinator's part in who leads.

    Args:
        instance: of this agent's process, as in its ephemeral.
        store: returns the store that the agent is enrolled with; raises StoreUnavailable when there is none.
        post: takes the events for the leader's loop.

    Attributes:
        work: set when there is work for pump().
    """

    def __init__(
        self,
        node: str,
        instance: str,
        store: Callable[[], Store],
        clock: Clock,
        post: Callable[[LeadEvent], None],
    ) -> None:
        self.work = threading.Event()
        self._node = node
        self._record = codec.encode(Leader(node, instance))
        self._store = store
        self._clock = clock
        self._post = post
        self._lock = threading.Lock()
        # Under the lock, since the agent's feed, watches and loops write them from their own threads:
        self._enrolled = False
        self._doubt = "the store has not answered yet"
        self._touched: set[str] = set()
        self._willing = True
        self._resigned = threading.Event()
        # Only pump() uses these:
        self._sighted = False
        self._retry_at = 0.0
        self._stand_at: float | None = None
        self._session = 0
        self._coordinator = False
        self._epoch: int | None = None
        self._mirror: Mirror | None = None

    # --- work for pump(), from any thread ---------------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        """An event of the agent's feed: whether the agent is enrolled decides whether this one may stand."""
        if isinstance(event, (Enrolled, AgentBlinded)):
            with self._lock:
                self._enrolled = isinstance(event, Enrolled)
                reason = event.reason if isinstance(event, AgentBlinded) else "the agent has enrolled anew"
                self._doubt = self._doubt or reason
            self.work.set()

    def doubt(self, reason: str) -> None:
        """The lead may be lost unnoticed: nothing counts until it has been won anew."""
        with self._lock:
            self._doubt = reason
        self.work.set()

    def stand(self, willing: bool) -> None:
        """Whether this one wants to lead; one that does not leaves the lead to others at once."""
        self._resigned.clear()
        with self._lock:
            self._willing = willing
            self._touched.add(paths.LEADER)
        self.work.set()

    def resign(self, timeout: float) -> None:
        """Leave the lead to others at once, and stand no more; returns when that is done, or after ``timeout`` seconds."""
        self.stand(False)
        self._resigned.wait(timeout)

    def _fired(self, path: str) -> None:
        with self._lock:
            self._touched.add(path)
        self.work.set()

    def _take(self, path: str) -> bool:
        with self._lock:
            touched = path in self._touched
            self._touched.discard(path)
        return touched

    # --- the work -----------------------------------------------------------------------------------------------------

    def pump(self) -> float | None:
        """Do all work there is; returns when to come again although nothing happens, None for never."""
        with self._lock:
            enrolled, willing = self._enrolled, self._willing
            doubt, self._doubt = self._doubt, ""
        if not willing:
            self._leave("this agent stops leading")
            self._resigned.set()
        if doubt:
            self._lose_sight(doubt)
            self._retry_at = 0.0
        if not enrolled:
            return None
        if not self._sighted and self._clock.now() < self._retry_at:
            return self._retry_at
        try:
            store = self._store()
            if not self._sighted:
                self._begin(store)
            return self._look(store, willing)
        except CommitRefused as err:
            self._lose_sight(f"the store changed meanwhile: {err}")
        except StoreError as err:
            self._lose_sight(f"the store is out of reach: {err}")
        except PvcError as err:
            self._lose_sight(str(err))
        self._retry_at = self._clock.now() + RETRY
        return self._retry_at

    def _begin(self, store: Store) -> None:
        store.sync()
        with self._lock:
            self._touched = {paths.node(self._node), paths.ALIVE, paths.LEADER}
        self._session = store.session_id
        self._sighted = True

    def _lose_sight(self, reason: str) -> None:
        self._step_down(reason)
        if self._sighted:
            self._post(Blinded(reason))
        self._sighted = False

    def _step_down(self, reason: str) -> None:
        self._mirror = None
        self._stand_at = None
        if self._epoch is not None:
            self._epoch = None
            self._post(Deposed(reason))

    def _leave(self, reason: str) -> None:
        """Leave the lead to others."""
        if self._epoch is not None:
            # should it fail: somebody else leads already, or will when this session ends
            with suppress(CommitRefused, StoreError):
                self._store().commit([Check(paths.EPOCH, self._epoch), Delete(paths.LEADER, 0)])
        self._step_down(reason)

    def _look(self, store: Store, willing: bool) -> float | None:
        """Who is alive first: whoever wins the lead then knows whom it has seen."""
        if self._take(paths.node(self._node)):
            znode = store.get(paths.node(self._node), self._fired)
            node = codec.stored(Node, znode).value if znode is not None else None
            self._coordinator = node is not None and node.coordinator
        if not self._coordinator:
            self._leave("this node is no coordinator")
            return None
        if self._take(paths.ALIVE):
            self._post(AliveSeen(frozenset(store.children(paths.ALIVE, self._fired) or ())))
        due = self._stand_at is not None and self._clock.now() >= self._stand_at
        if willing and (self._take(paths.LEADER) or due):
            self._look_at_leader(store, patient=not due)
        if self._mirror is not None:
            snapshot = self._mirror.refresh()
            if snapshot is not None:
                self._post(TreeSeen(snapshot))
        return self._stand_at

    def _touch(self, path: str) -> None:
        with self._lock:
            self._touched.add(path)

    # --- the lead -----------------------------------------------------------------------------------------------------

    def _look_at_leader(self, store: Store, *, patient: bool) -> None:
        znode = store.get(paths.LEADER, self._fired)
        if self._epoch is not None:
            if znode is not None and znode.owner == self._session:
                return
            self._step_down("its place in the store was taken")
        self._stand_at = None
        leader = codec.stored(Leader, znode).value if znode is not None else None
        if znode is None or (leader is not None and leader.node == self._node):
            if patient and store.get(paths.fence(self._node)) is not None:
                self._stand_at = self._clock.now() + FENCED_WAITS
            else:
                self._stand(store, znode)

    def _stand(self, store: Store, leftover: Znode | None) -> None:
        epoch = store.get(paths.EPOCH)
        if epoch is None:
            self._make_parents(store)
            epoch = store.get(paths.EPOCH)
        version = epoch.version if epoch is not None else 0
        ops: list[Op] = [Check(paths.alive(self._node), 0)]
        if leftover is not None:
            ops.append(Delete(paths.LEADER, leftover.version))
        ops += [Create(paths.LEADER, self._record, ephemeral=True), Set(paths.EPOCH, b"", version)]
        try:
            store.commit(ops)
        except CommitRefused as err:
            if err.op.path == paths.alive(self._node):
                raise
            # another one was faster: its /leader has been watched since it was looked for
            self._touch(paths.LEADER)
            self.work.set()
            return
        self._epoch = version + 1
        self._post(Elected(self._epoch))
        self._mirror = Mirror(store, self.work.set)

    def _make_parents(self, store: Store) -> None:
        """A tree from before these paths existed gets them."""
        for path, znode in zip(paths.PARENTS, store.get_many(paths.PARENTS), strict=True):
            if znode is None:
                try:
                    store.commit([Create(path)])
                except CommitRefused:
                    continue  # another candidate made it
