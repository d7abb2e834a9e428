# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process: puts the parts together, and speaks with systemd."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from queue import SimpleQueue

from pvc_state.connection import Connection
from pvc_state.kazoo_store import connect as connect_store
from pvc_state.records import Alive
from pvc_state.store import Store

from . import __version__, host, journal, shutdown
from .config import Config, ZookeeperConfig
from .env import Clock, EffectFailed, Post, Voice
from .events import Event, FactsSeen, LeaveSeen
from .feed import Feed
from .health import lookout, looks
from .leading import Leading
from .libvirt_hypervisor import LibvirtHypervisor
from .load_watch import LoadWatch
from .loop import Inbox, Loop, Pools
from .perform import Performer
from .rbd_storage import RbdStorage
from .standing import standing
from .storage_watch import StorageWatch
from .view import Facts, Observer, Services, Settings, View
from .workers import ThreadEach, Workers

#: Seconds between two looks at the machine, and between two looks at Ceph's pools, which cost more.
_LOOK_AROUND = 10.0
_LOOK_AT_CEPH = 30.0
#: Seconds that the service manager is asked for while the machine shuts down, again and again until all is done.
_MORE_TIME = 30
#: Seconds that the end of the process waits for that of its child.
_GOODBYE = 3.0
#: Seconds between two turns of the loop at most.
_IDLE = 10.0


class SystemClock:
    """Seconds since boot, those that the machine slept through included."""

    def now(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)


class Surroundings:
    """Looks at the machine from time to time, and posts what has changed."""

    def __init__(self, config: Config, clock: Clock, storage: RbdStorage, voice: Voice, post: Post) -> None:
        self._config = config
        self._clock = clock
        self._storage = storage
        self._voice = voice
        self._post = post
        self._facts: Facts | None = None
        self._pools: tuple[str, ...] | None = None
        self._trouble = ""

    def watch(self, stopped: threading.Event) -> None:
        """Look until told to stop. The machine itself is known at once, the pools when Ceph has answered."""
        self._look()
        pools_at = 0.0
        while True:
            if self._clock.now() >= pools_at:
                self._pools = self._reachable_pools()
                pools_at = self._clock.now() + _LOOK_AT_CEPH
            self._look()
            if stopped.wait(_LOOK_AROUND):
                return

    def _look(self) -> None:
        facts = host.facts(__version__, self._pools, self._config.addresses)
        if facts != self._facts:
            self._facts = facts
            self._post(FactsSeen(facts))

    def _reachable_pools(self) -> tuple[str, ...] | None:
        """The last known ones while Ceph does not answer: its outage is no reason to place VMs elsewhere."""
        try:
            pools = self._storage.pools()
        except EffectFailed as err:
            if str(err) != self._trouble:
                self._trouble = str(err)
                self._voice.trouble(str(err))
            return self._pools
        self._trouble = ""
        return pools


def connection(config: ZookeeperConfig, session_timeout: float) -> Connection:
    """How to reach the store."""
    return Connection(
        hosts=config.hosts,
        root=config.root,
        username=config.username,
        password=config.password,
        tls=config.tls,
        ca_file=config.ca_file,
        cert_file=config.cert_file,
        key_file=config.key_file,
        connect_timeout=config.connect_timeout,
        session_timeout=session_timeout,
    )


def run(config: Config) -> None:
    """Run the agent until SIGTERM. Raises Superseded when another agent has taken the node over."""
    voice = journal.voice()
    clock = SystemClock()
    inbox: Inbox = SimpleQueue()
    storage = RbdStorage(config.ceph)
    hypervisor = LibvirtHypervisor(config.libvirt, config.ceph, inbox.put)

    def connect(session_timeout: float) -> Store:
        return connect_store(connection(config.zookeeper, session_timeout))

    def heard(event: Event) -> None:
        inbox.put(event)
        leading.candidate.hear(event)

    alive = Alive(boot_id=host.boot_id(), instance=uuid.uuid4().hex)
    feed = Feed(config.node, connect, alive, clock, heard, config.zookeeper.session_timeout)
    leading = Leading(config, alive.instance, feed, clock, lookout.now, voice)
    watchdog = journal.watchdog_interval()
    looked_at = looks(config, feed.store)
    observer = Observer(alive.instance, lookout.now(), frozenset(looked_at)) if config.health is not None else None
    loop = Loop(
        View(
            node=config.node,
            settings=Settings(parallel_starts=config.parallel_starts),
            services=Services(observer),
        ),
        inbox,
        clock,
        feed,
        Performer(config.node, feed.store, hypervisor, storage, feed.enrolment),
        Pools(
            hypervisor=Workers("hypervisor", config.parallel_starts + 4),
            storage=Workers("storage", 4),
            store=Workers("store", 1),
            moves=ThreadEach("move"),
            urgent=Workers("urgent", 8),
        ),
        voice,
        session_timeout=lambda: feed.session_timeout,
        idle=watchdog / 3 if watchdog else _IDLE,
        sign_of_life=_SignOfLife(leading, clock, watchdog),
        before_departure=leading.stop,
    )

    threading.excepthook = _die
    stopped = threading.Event()
    told_to_stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told_to_stop.set())

    def end() -> None:
        """What SIGTERM means is found out beside the loop, which goes on until the node has been signed off."""
        told_to_stop.wait()
        reboots = shutdown.reboots()
        if reboots is None:
            loop.stop()
        else:
            inbox.put(LeaveSeen(reboots))

    threading.Thread(target=end, name="end", daemon=True).start()
    hypervisor.begin()
    surroundings = Surroundings(config, clock, storage, voice, inbox.put)
    threading.Thread(target=surroundings.watch, args=(stopped,), name="surroundings", daemon=True).start()
    storage_watch = StorageWatch(config.ceph, clock, inbox.put)
    watching = threading.Thread(target=storage_watch.watch, args=(stopped,), name="storage-watch", daemon=True)
    watching.start()
    loads = LoadWatch(hypervisor.used, clock, inbox.put)
    threading.Thread(target=loads.watch, args=(stopped,), name="loads", daemon=True).start()
    lookout.watch(looked_at, inbox.put, stopped)
    leading.start()
    journal.notify("READY=1")
    try:
        loop.run()
    finally:
        # The session is left open: the node stays alive for its timeout, in which a restarted agent takes it over.
        journal.notify("STOPPING=1")
        stopped.set()
        leading.stop()
        storage_watch.hurry()
        watching.join(_GOODBYE)
        if loop.view.link.sees:
            feed.last_words()


class _SignOfLife:
    """Feeds the service manager's watchdog, and shows the agent's state in `systemctl status`.

    A leader's loop that does not turn any more is as bad as this one's: the watchdog gets nothing then, either.
    """

    def __init__(self, leading: Leading, clock: Clock, watchdog: float | None) -> None:
        self._leading = leading
        self._clock = clock
        self._watchdog = watchdog
        self._shown = ""

    def __call__(self, view: View) -> None:
        state = "ready" if view.link.sees else f"blind: {view.link.reason} {view.link.detail}".strip()
        if view.link.sees and not view.hypervisor.up:
            state = view.hypervisor.reason
        state = standing(view).halt or state
        if self._leading.epoch is not None:
            state = f"{state}, leads the cluster under epoch {self._leading.epoch}"
        if view.leaving is not None:
            journal.notify(f"EXTEND_TIMEOUT_USEC={_MORE_TIME * 1_000_000}")
        count = len(view.domains)
        text = f"{state}; {count} VM{' runs' if count == 1 else 's run'} here"
        if text != self._shown:
            self._shown = text
            journal.notify(f"STATUS={text}")
        if self._watchdog is None or self._clock.now() - self._leading.turned_at < self._watchdog:
            journal.notify("WATCHDOG=1")


def _die(failed: threading.ExceptHookArgs) -> None:
    """A thread that ends by a defect takes the process with it: systemd starts a whole one."""
    threading.__excepthook__(failed)
    os._exit(70)
