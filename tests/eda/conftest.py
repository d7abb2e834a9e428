# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster in a real ZooKeeper, and a web server that remembers what was posted to it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvc_state.connection import Connection
from pvc_state.kazoo_store import KazooStore, connect
from pvc_state.store import Create
from tests.eda.listener import Listener
from tests.store.harness import LONG
from tests.store.server import Server
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster

PASSWORD = "open sesame"

_COUNT = itertools.count()


class Site:
    """A cluster of two nodes below a root of its own, which one user may read and write."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.root = f"/eda{next(_COUNT)}"
        self._stores: list[KazooStore] = []
        opener = self.connect(root="/", username="", password="")
        opener.commit([Create(self.root)])
        self.cluster = Cluster(2, store=self.connect())

    def connect(self, **options: Any) -> KazooStore:
        store = connect(Connection(**{**self.options, "session_timeout": LONG, "patience": 30.0, **options}))
        self._stores.append(store)
        return store

    @property
    def options(self) -> dict[str, Any]:
        """The connection, as the event source and the library name it."""
        return {
            "hosts": (f"127.0.0.1:{self.server.port}",),
            "root": self.root,
            "username": "pvc",
            "password": PASSWORD,
            "tls": False,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables."""
        options = {**self.options, "hosts": ",".join(self.options["hosts"])}
        return {f"PVC_{name.upper()}": str(value) for name, value in options.items()}

    def close(self) -> None:
        for store in self._stores:
            store.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("zookeeper"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(server: Server) -> Iterator[Site]:
    site = Site(server)
    yield site
    site.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where sources remember what they have told."""
    directory = tmp_path / "state"
    directory.mkdir()
    return directory
