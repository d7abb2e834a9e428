# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters for the tests of the modules: a store in memory and a real ZooKeeper, with agents on two nodes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import kazoo_store
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.memory_store import MemoryEnsemble
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import NodeStatus
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Store
from ansible_collections.pvc.cluster.plugins.modules import node

from tests.store import certificates
from tests.store.server import Server
from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.harness import Cluster, Options

PASSWORD = "correct horse battery staple"
NODES = ("node1", "node2")
STATUS = NodeStatus(agent="0.1.0", memory=16384, cpus=4, pools=("vms", "fast"), bridges=("br0",))

_COUNT = itertools.count()


class Agents(Protocol):
    """Within ``agents()``, those of both nodes run; they cannot start the VMs in ``fails``, for the reason given.

    Their nodes have been powered on once for each value of ``boot``. A coordinator reads all fence devices but those in
    ``unreadable``. They move no VM that is ``stuck``, for the reason given.
    """

    def __call__(
        self,
        fails: Mapping[str, str] | None = None,
        boot: str = "first",
        unreadable: Mapping[str, str] | None = None,
        stuck: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[None]: ...


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority, and certificates of a node, an administrator and a stranger."""
    directory = tmp_path_factory.mktemp("tls")
    certificates.write(directory)
    return directory


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, tls_files: Path) -> Iterator[Server]:
    """One ZooKeeper that wants client certificates, for all tests; each has a root of its own in it."""
    server = Server(tmp_path_factory.mktemp("zookeeper"), tls_files)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def zookeeper(server: Server, tls_files: Path) -> Iterator[Cluster]:
    """A real ZooKeeper, as the modules reach it in production: TLS, a client certificate, and a password."""
    options: Options = {
        "hosts": [f"127.0.0.1:{server.tls_port}"],
        "root": f"/test{next(_COUNT)}",
        "password": PASSWORD,
        "ca_file": str(tls_files / "ca.pem"),
        "cert_file": str(tls_files / "admin.crt"),
        "key_file": str(tls_files / "admin.key"),
    }
    # Long: a server that has just started on a busy machine takes its time for the first handshake.
    patient = {"hosts": tuple(options["hosts"]), "username": "pvc", "connect_timeout": 60.0}
    connection = Connection(**{**options, **patient})
    with contextlib.closing(kazoo_store.connect(connection)) as store:
        yield Cluster(options, None, lambda: kazoo_store.connect(connection), store)


def in_memory() -> Cluster:
    """A store in memory, reached with the modules' credentials, which count as they do with ZooKeeper."""
    ensemble = MemoryEnsemble()

    def connect(connection: Connection) -> Store:
        return ensemble.connect(root=connection.root, username=connection.username, password=connection.password)

    options: Options = {"hosts": ["memory:2281"], "root": "/pvc", "password": PASSWORD}
    connection = Connection(("memory:2281",), username="pvc", password=PASSWORD)
    return Cluster(options, connect, lambda: connect(connection), connect(connection))


@pytest.fixture(params=["memory", "zookeeper"])
def empty(request: pytest.FixtureRequest) -> Cluster:
    """A store without a cluster."""
    return in_memory() if request.param == "memory" else request.getfixturevalue("zookeeper")


@pytest.fixture
def cluster(empty: Cluster) -> Cluster:
    """A cluster of two nodes whose agents do not run."""
    empty.ok(node, {"cluster_name": "lab", "nodes": [{"name": name} for name in NODES]})
    return empty


@pytest.fixture
def agents(empty: Cluster) -> Agents:
    """See Agents."""

    @contextlib.contextmanager
    def run(
        fails: Mapping[str, str] | None = None,
        boot: str = "first",
        unreadable: Mapping[str, str] | None = None,
        stuck: Mapping[str, str] | None = None,
    ) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name in NODES:
                status = replace(STATUS, boot_id=boot)
                stack.enter_context(Agent(empty.another(), name, status, fails, unreadable, stuck))
            yield

    return run
