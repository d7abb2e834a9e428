# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters for the tests of the modules: a store in memory and a real ZooKeeper, with agents on two nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.memory_store import MemoryEnsemble
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import NodeStatus
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Store
from ansible_collections.pvc.cluster.plugins.modules import node

from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.harness import Cluster

PASSWORD = "correct horse battery staple"
NODES = ("node1", "node2")
STATUS = NodeStatus(agent="0.1.0", boot_id="boot", memory=16384, cpus=4, pools=("vms",), bridges=("br0",))

Agents = Callable[[], AbstractContextManager[None]]


def in_memory() -> Cluster:
    """A store in memory; the modules' credentials count as they do with ZooKeeper."""
    ensemble = MemoryEnsemble()

    def connect(connection: Connection) -> Store:
        return ensemble.connect(username=connection.username, password=connection.password)

    def another() -> Store:
        return ensemble.connect(username="pvc", password=PASSWORD)

    options = {"hosts": ["memory:2181"], "password": PASSWORD, "tls": False}
    return Cluster(options, connect, another, another())


@pytest.fixture(params=["memory"])
def empty(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A store without a cluster."""
    cluster = in_memory()
    yield cluster
    cluster.store.close()


@pytest.fixture
def cluster(empty: Cluster) -> Cluster:
    """A cluster of two nodes whose agents do not run."""
    empty.ok(node, {"cluster_name": "lab", "nodes": [{"name": name} for name in NODES]})
    return empty


@pytest.fixture
def agents(empty: Cluster) -> Agents:
    """Within ``agents()``, those of both nodes run."""

    @contextlib.contextmanager
    def run() -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name in NODES:
                stack.enter_context(Agent(empty.another(), name, STATUS))
            yield

    return run
