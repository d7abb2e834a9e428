# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store import certificates
from tests.store.harness import Harness, MemoryHarness, ZooKeeperHarness
from tests.store.server import Server

_COUNT = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One plain ZooKeeper for all tests; each has a root of its own in it."""
    server = Server(tmp_path_factory.mktemp("zookeeper"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and certificates of a node, an administrator and a stranger."""
    directory = tmp_path_factory.mktemp("tls")
    certificates.write(directory)
    return directory


@pytest.fixture(scope="session")
def tls_server(tmp_path_factory: pytest.TempPathFactory, tls_files: Path) -> Iterator[Server]:
    """One ZooKeeper that wants client certificates."""
    server = Server(tmp_path_factory.mktemp("zookeeper-tls"), tls_files)
    server.start()
    yield server
    server.stop()


@pytest.fixture(params=["memory", "zookeeper"])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """Both implementations, one after the other."""
    root = f"/test{next(_COUNT)}"
    if request.param == "memory":
        yield MemoryHarness(root)
    else:
        real = ZooKeeperHarness(request.getfixturevalue("server"), root)
        yield real
        real.close()
