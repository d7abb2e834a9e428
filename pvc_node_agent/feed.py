# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent reads from the store, and how it makes itself known there.

A feed reads what concerns its own node and nothing else, leaves a watch on each znode that it read, and posts what it
saw as events. It owns the session: after every interruption it enrols again and reads everything anew, since a watch
may have been lost. All of its work is done by ``pump()``, in one thread; the other methods only leave work for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from pvc_state import codec, paths, staging
from pvc_state.codec import Stored
from pvc_state.errors import AccessDenied, PvcError, StoreError, StoreUnavailable
from pvc_state.records import SCHEMA_SUPPORTED, Alive, Claim, Fence, Health, Node, NodeStatus, Schema, Settings, Vm
from pvc_state.store import CommitRefused, Create, Delete, Op, SessionState, Set, Store, Znode

from .env import Clock, Post
from .events import Blinded, Enrolled, FenceSeen, PolicySeen, VmSeen
from .view import Seen

#: Seconds after which an attempt to reach the store is repeated.
RETRY = 1.0
#: The same for an attempt to join that only a change in the store can make succeed: a watch tells of that sooner.
RETRY_ANYWAY = 30.0
#: Seconds of a session at least, whatever the settings say.
SHORTEST = 1.0
#: Seconds that the writer of a large plan gets to finish it before this agent helps.
PATIENCE = 2.0


class Superseded(PvcError):
    """Another agent has taken this node over; this one must end."""


class _NotYet(Exception):
    """The agent cannot enrol now; the text says why. A watch or a retry tells when to look again."""


class Feed:
    """The agent's tie to the store.

    Args:
        connect: opens a session with a timeout in seconds; raises StoreUnavailable or AccessDenied.
        alive: what this agent says of itself in its ephemeral.
        post: takes the events.
        session_timeout: of the first session, and for as long as the cluster has no settings.

    Attributes:
        work: set when there is work for pump().
        session_timeout: of the present session. When the settings want another one, the next session takes the node over
            from this one, and so nobody misses it.
    """

    def __init__(
        self,
        node: str,
        connect: Callable[[float], Store],
        alive: Alive,
        clock: Clock,
        post: Post,
        session_timeout: float,
    ) -> None:
        self.work = threading.Event()
        self._node = node
        self._connect = connect
        self._alive = alive
        self._clock = clock
        self._post = post
        self.session_timeout = session_timeout
        self._store: Store | None = None
        self._old: Store | None = None
        self._lock = threading.Lock()
        # Under the lock, since watches and the loop write them from their own threads:
        self._touched: set[str] = set()
        self._armed: set[str] = set()
        self._following: frozenset[str] = frozenset()
        self._doubt = ""
        self._resting = False
        # Only pump() uses these:
        self._enrolled = False
        self._enrolled_once = False
        self._enrolment = 0
        self._blinded: Blinded | None = None
        self._assigned: frozenset[str] = frozenset()
        self._tracked: set[str] = set()
        self._retry_at = 0.0
        self._coordinator = False
        self._help_at: float | None = None

    def store(self) -> Store:
        """The store, for whoever writes. Raises StoreUnavailable while there is none."""
        store = self._store
        if store is None:
            raise StoreUnavailable("the store has not been reached yet")
        return store

    def last_words(self) -> None:
        """Have the session live for its whole time from now on: the next agent takes the node over in it."""
        with suppress(StoreError):
            self.store().get(paths.alive(self._node))

    def enrolment(self) -> int:
        """How many ephemerals this agent has made; counted before the store is asked for the next one."""
        return self._enrolment

    # --- work for pump(), from any thread ---------------------------------------------------------------------------

    def follow(self, vms: Iterable[str]) -> None:
        """Also read these VMs, whoever holds their claims: they run here."""
        following = frozenset(vms)
        with self._lock:
            if following == self._following:
                return
            self._following = following
            self._touched.add(paths.assigned(self._node))
        self.work.set()

    def reread(self, vm: str) -> None:
        """Read this VM again."""
        self._touch(paths.claim(vm))

    def doubt(self, reason: str) -> None:
        """The session may have ended unnoticed: nothing counts until it has been verified."""
        with self._lock:
            self._doubt = reason
        self.work.set()

    def rest(self, resting: bool) -> None:
        """Leave the store alone: this agent is signing its node off, or has done so. False: go on, it did not work."""
        with self._lock:
            self._resting = resting
            self._doubt = self._doubt or ("" if resting else "this agent could not sign its node off")
        self.work.set()

    def _touch(self, path: str) -> None:
        with self._lock:
            self._touched.add(path)
        self.work.set()

    def _fired(self, path: str) -> None:
        with self._lock:
            self._armed.discard(path)
            self._touched.add(path)
        self.work.set()

    def _session(self, store: Store, state: SessionState) -> None:
        if store is not self._store:
            return  # one that another has taken over from
        if state is SessionState.CONNECTED:
            self.doubt("the connection to the store was renewed")
        elif state is SessionState.SUSPENDED:
            self.doubt("the connection to the store is lost")
        else:
            self.doubt("the session with the store was lost")

    # --- the work -----------------------------------------------------------------------------------------------------

    def pump(self) -> float | None:
        """Do all work there is; returns when to come again although nothing happens, None for never."""
        with self._lock:
            if self._resting:
                return None
            doubt, self._doubt = self._doubt, ""
            touched = bool(self._touched)
        if doubt and self._enrolled:
            self._blind(doubt)
        if not (self._enrolled or doubt or touched or self._clock.now() >= self._retry_at):
            return self._retry_at
        retry = RETRY
        try:
            if self._enrolled:
                self._read_touched()
                self._help()
            else:
                self._enrol()
        except _NotYet as err:
            retry = RETRY_ANYWAY
            self._blind(str(err))
        except AccessDenied as err:
            retry = RETRY_ANYWAY
            self._blind("the store refuses this agent", str(err))
        except CommitRefused as err:
            self._blind(f"the store changed while this agent was joining: {err}")
        except Superseded:
            raise
        except StoreError as err:
            self._blind("the store is out of reach", str(err))
        except PvcError as err:
            self._blind(str(err))
        if self._enrolled:
            return self._help_at
        self._retry_at = self._clock.now() + retry
        return self._retry_at

    def _blind(self, reason: str, detail: str = "") -> None:
        self._enrolled = False
        blinded = Blinded(reason, detail)
        if blinded != self._blinded:
            self._blinded = blinded
            self._post(blinded)

    def _enrol(self) -> None:
        """Join, and read everything that concerns this node."""
        store = self._store
        if store is None:
            store = self._open(self.session_timeout)
        wanted = self._wanted_timeout(_settings(store.get(paths.SETTINGS)))
        if wanted != self.session_timeout:
            store = self._renew(store, wanted)
        with self._lock:
            self._touched.clear()
            # a read that failed may not have left its watch
            self._armed.clear()
            following = self._following
        store.sync()
        self._check_schema(store)
        self._check_membership(store)
        staging.settle(store)
        self._help_at = None
        self._watch_journal(store)
        self._take_over(store)
        if self._old is not None:
            self._old.close()
            self._old = None
        # after the ephemeral: a fence can only be made while there is none
        fence, settings = self._read_fence(store), _settings(self._read(store, paths.SETTINGS)) or Settings()
        status, health = store.get_many([paths.status(self._node), paths.health(self._node)])
        published = codec.stored(NodeStatus, status).value if status is not None else None
        known = codec.stored(Health, health).value if health is not None else None
        self._assigned = frozenset(self._children(store, paths.assigned(self._node)))
        self._tracked = set(self._assigned | following)
        seen = {vm: self._read_vm(store, vm) for vm in sorted(self._tracked)}
        self._enrolled = self._enrolled_once = True
        self._blinded = None
        self._post(Enrolled(store.session_id, published, seen, known, fence, self._enrolment, settings.shutdown_policy))

    def _open(self, session_timeout: float) -> Store:
        store = self._connect(session_timeout)
        store.on_session(partial(self._session, store))
        self._store = store
        return store

    def _renew(self, store: Store, session_timeout: float) -> Store:
        """Another session beside the one that holds the node's ephemeral, which is closed once it has been taken over."""
        newer = self._open(session_timeout)
        self.session_timeout = session_timeout
        if self._old is None:
            self._old = store
        else:
            store.close()
        return newer

    def _wanted_timeout(self, settings: Settings | None) -> float:
        wanted = settings.session_timeout if settings is not None else self.session_timeout
        return wanted if wanted >= SHORTEST else self.session_timeout

    def _check_schema(self, store: Store) -> None:
        znode = self._read(store, paths.SCHEMA)
        if znode is None:
            raise _NotYet("the cluster's state is not initialised yet: add its nodes with pvc.cluster.node")
        schema = codec.stored(Schema, znode)
        if schema.value is None:
            raise _NotYet(f"znode {paths.SCHEMA} is damaged: {schema.invalid}")
        if schema.value.version not in SCHEMA_SUPPORTED:
            supported = f"{SCHEMA_SUPPORTED.start} to {SCHEMA_SUPPORTED.stop - 1}"
            raise _NotYet(
                f"the cluster's state has schema version {schema.value.version}, this agent knows {supported}: "
                "install an agent that knows it"
            )

    def _check_membership(self, store: Store) -> None:
        znode = self._read(store, paths.node(self._node))
        if znode is None:
            raise _NotYet(f"node {self._node} does not belong to the cluster: add it with pvc.cluster.node")
        node = codec.stored(Node, znode).value
        self._coordinator = node is not None and node.coordinator

    def _watch_journal(self, store: Store) -> None:
        """Every change by a user touches the journal: a few agents that watch it are enough to help the dead."""
        if self._coordinator:
            journal = self._read(store, paths.JOURNAL)
            self._help_at = self._clock.now() + PATIENCE if journal is not None and journal.data else None

    def _take_over(self, store: Store) -> None:
        """Make the node's ephemeral this session's. Never take it from another boot: that may be another machine."""
        path = paths.alive(self._node)
        znode = self._read(store, path)
        create = Create(path, codec.encode(self._alive), ephemeral=True)
        if znode is None:
            ops: list[Op] = [create]
        elif znode.owner == store.session_id:
            return
        else:
            other = codec.stored(Alive, znode).value
            if other is not None and other.boot_id != self._alive.boot_id:
                raise _NotYet(
                    f"an agent of another boot, or of another machine that is called {self._node} too, is still alive: "
                    "waits until its session ends"
                )
            if other is not None and other.instance != self._alive.instance and self._enrolled_once:
                raise Superseded(
                    "another agent has taken over",
                    obj=f"node {self._node}",
                    remedy="run one agent per node, as unit pvc-node-agent.service does",
                )
            ops = [Delete(path, znode.version), create]
        self._enrolment += 1
        store.commit(ops + self._new_life(store))
        self._read(store, path)

    def _new_life(self, store: Store) -> list[Op]:
        """With a new ephemeral, what the status says of the life before is not true any more."""
        znode = store.get(paths.status(self._node))
        status = codec.stored(NodeStatus, znode).value if znode is not None else None
        if znode is None or status is None:
            return []
        fresh = replace(status, signed_off=None, leaving="", clean="")
        return [Set(paths.status(self._node), codec.encode(fresh), znode.version)] if fresh != status else []

    def _read_fence(self, store: Store) -> Stored[Fence] | None:
        znode = self._read(store, paths.fence(self._node))
        return codec.stored(Fence, znode) if znode is not None else None

    def _read_touched(self) -> None:
        store = self.store()
        with self._lock:
            touched, self._touched = self._touched, set()
            following = self._following
        if not touched:
            return
        if paths.SCHEMA in touched:
            self._check_schema(store)
        if paths.alive(self._node) in touched:
            alive = self._read(store, paths.alive(self._node))
            if alive is None or alive.owner != store.session_id:
                self.doubt("this agent's place in the store was taken")
                return
        if paths.node(self._node) in touched:
            self._check_membership(store)
        if touched & {paths.JOURNAL, paths.node(self._node)}:
            self._watch_journal(store)
        if paths.fence(self._node) in touched:
            self._post(FenceSeen(self._read_fence(store)))
        if paths.SETTINGS in touched:
            settings = _settings(self._read(store, paths.SETTINGS))
            self._post(PolicySeen((settings or Settings()).shutdown_policy))
            if self._wanted_timeout(settings) != self.session_timeout:
                self.doubt("the cluster's settings want sessions of another length")
                return
        changed = {vm for vm in self._tracked if paths.claim(vm) in touched or paths.vm(vm) in touched}
        if paths.assigned(self._node) in touched:
            assigned = frozenset(self._children(store, paths.assigned(self._node)))
            changed |= (assigned | following) ^ self._tracked
            self._assigned = assigned
        for vm in sorted(changed):
            seen = self._read_vm(store, vm)
            if self._concerns(vm, seen, following):
                self._tracked.add(vm)
                self._post(VmSeen(vm, seen))
            elif vm in self._tracked:
                self._tracked.discard(vm)
                self._post(VmSeen(vm, None))

    def _concerns(self, vm: str, seen: Seen, following: frozenset[str]) -> bool:
        ours = seen.claim is not None and (seen.claim.value is None or seen.claim.value.node == self._node)
        return ours or vm in self._assigned or vm in following

    def _help(self) -> None:
        """Carry on with a large plan whose writer does not."""
        if self._help_at is not None and self._clock.now() >= self._help_at:
            self._help_at = None
            staging.settle(self.store())
            self._watch_journal(self.store())

    # --- reads that leave a watch -------------------------------------------------------------------------------------

    def _read(self, store: Store, path: str) -> Znode | None:
        return store.get(path, self._arm(path))

    def _children(self, store: Store, path: str) -> list[str]:
        return store.children(path, self._arm(path)) or []

    def _read_vm(self, store: Store, vm: str) -> Seen:
        claim = self._read(store, paths.claim(vm))
        record = self._read(store, paths.vm(vm))
        return Seen(
            claim=None if claim is None else codec.stored(Claim, claim),
            record=None if record is None else codec.stored(Vm, record),
        )

    def _arm(self, path: str) -> Callable[[str], None] | None:
        """The watch to leave: one for each path, however often it is read."""
        with self._lock:
            if path in self._armed:
                return None
            self._armed.add(path)
            return self._fired


def _settings(znode: Znode | None) -> Settings | None:
    return codec.stored(Settings, znode).value if znode is not None else None
