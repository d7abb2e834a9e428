# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the contract suite needs beside the store protocol, for each implementation: connect, and do harm."""

from __future__ import annotations

import threading
from typing import Any, Protocol

from kazoo.client import KazooClient

from pvc_state.connection import Connection
from pvc_state.kazoo_store import KazooStore, connect
from pvc_state.memory_store import MemoryEnsemble, MemoryStore
from pvc_state.store import Create, GuardedStore, SessionState, Store
from tests.store.proxy import Proxy
from tests.store.server import TICK, Server

#: Long for everything that a test waits for: a loaded machine must not fail it.
PATIENCE = 30.0

#: The longest that a server allows, so that only those sessions end that a test ends.
LONG = TICK * 20


class Recorder:
    """Collects callbacks from whatever thread, and waits for them."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self._changed = threading.Condition()

    def __call__(self, argument: Any) -> None:
        with self._changed:
            self.calls.append(argument)
            self._changed.notify_all()

    def await_calls(self, *wanted: Any) -> None:
        """Until the calls are these, in this order."""
        with self._changed:
            self._changed.wait_for(lambda: self.calls[: len(wanted)] == list(wanted), PATIENCE)
            assert self.calls == list(wanted)

    def await_call(self, wanted: Any) -> None:
        """Until this call is among them."""
        with self._changed:
            assert self._changed.wait_for(lambda: wanted in self.calls, PATIENCE), self.calls


class Harness(Protocol):
    """One ensemble with an empty tree of the test's own, at ``root``."""

    root: str

    def connect(self, **options: Any) -> GuardedStore:
        """A client; options: session_timeout, username, password, root."""

    def expire(self, store: Store) -> None:
        """The servers end a client's session."""

    def cut(self, store: Store) -> None:
        """The client reaches no server any more, and knows it."""

    def heal(self, store: Store) -> None:
        """It does again; it need not know yet."""

    def outlive(self, store: Store) -> None:
        """Wait until the servers have ended the session of a client that is cut off."""


class MemoryHarness:
    """The in-memory ensemble with a clock that the test moves."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._now = 0.0
        self.ensemble = MemoryEnsemble(lambda: self._now)
        opener = self.ensemble.connect()
        opener.commit([Create(root)])
        opener.close()

    def connect(self, **options: Any) -> MemoryStore:
        return self.ensemble.connect(**{"root": self.root, "session_timeout": LONG, **options})

    def expire(self, store: Store) -> None:
        assert isinstance(store, MemoryStore)
        self.ensemble.expire(store)

    def cut(self, store: Store) -> None:
        assert isinstance(store, MemoryStore)
        self.ensemble.cut(store)

    def heal(self, store: Store) -> None:
        assert isinstance(store, MemoryStore)
        self.ensemble.heal(store)

    def outlive(self, store: Store) -> None:
        self._now += LONG
        self.ensemble.tick()

    def close(self) -> None:
        """Nothing to do."""


class ZooKeeperHarness:
    """A real server; each client has a proxy of its own."""

    def __init__(self, server: Server, root: str) -> None:
        self._server = server
        self.root = root
        self._stores: list[KazooStore] = []
        self._proxies: dict[int, Proxy] = {}
        opener = self._client()
        opener.create(root)
        opener.stop()
        opener.close()

    def connect(self, **options: Any) -> KazooStore:
        proxy = Proxy(self._server.port)
        settings = {"root": self.root, "tls": False, "session_timeout": LONG, "connect_timeout": PATIENCE, **options}
        try:
            store = connect(Connection((f"127.0.0.1:{proxy.port}",), **settings))
        except Exception:
            proxy.close()
            raise
        self._stores.append(store)
        self._proxies[id(store)] = proxy
        return store

    def expire(self, store: Store) -> None:
        # A second client of the same session that ends it: the server then refuses the first one.
        assert isinstance(store, KazooStore)
        twin = self._client(client_id=store._client.client_id)
        twin.stop()
        twin.close()

    def cut(self, store: Store) -> None:
        seen = Recorder()
        store.on_session(seen)
        self._proxies[id(store)].cut()
        seen.await_call(SessionState.SUSPENDED)

    def heal(self, store: Store) -> None:
        self._proxies[id(store)].heal()

    def outlive(self, store: Store) -> None:
        # The servers tell a session's end by its ephemerals, so a test that waits for it has made one below the root.
        client = self._client()
        gone = threading.Event()
        owned = [
            f"{self.root}/{name}"
            for name in client.get_children(self.root)
            if client.exists(f"{self.root}/{name}").ephemeralOwner == store.session_id
        ]
        if client.exists(owned[0], watch=lambda _: gone.set()):
            assert gone.wait(PATIENCE)
        client.stop()
        client.close()

    def proxy(self, store: Store) -> Proxy:
        """What this client's connections go through."""
        return self._proxies[id(store)]

    def close(self) -> None:
        """End all clients of the test."""
        for store in self._stores:
            store.close()
        for proxy in self._proxies.values():
            proxy.close()

    def _client(self, **options: Any) -> Any:
        client = KazooClient(f"127.0.0.1:{self._server.port}", timeout=LONG, **options)
        client.start(PATIENCE)
        return client
