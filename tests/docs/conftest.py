# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that the documentation talks of: three coordinators, two pools, a bridge, and a few VMs' names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Leader
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create
from ansible_collections.pvc.cluster.plugins.modules import node

from tests.docs.reader import Reader
from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import STATUS, server, tls_files, zookeeper
from tests.unit.plugins.modules.harness import Cluster

__all__ = ["server", "tls_files", "zookeeper"]

NODES = ("node1", "node2", "node3")
#: Devices of nodes that the examples name.
GPU = {"node2": "0000:65:00.0", "node3": "0000:b3:00.0"}


@pytest.fixture
def cluster(zookeeper: Cluster) -> Iterator[Cluster]:
    """All nodes live."""
    nodes = [
        {"name": name, "coordinator": True}
        | ({"devices": [{"name": "gpu", "kind": "pci", "address": GPU[name]}]} if name in GPU else {})
        for name in NODES
    ]
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": nodes})
    with contextlib.ExitStack() as stack:
        for name in NODES:
            status = replace(STATUS, boot_id="first", memory=65536, cpus=16)
            stack.enter_context(Agent(zookeeper.another(), name, status))
        zookeeper.store.commit([Create(paths.LEADER, encode(Leader("node1", "instance")), ephemeral=True)])
        yield zookeeper


@pytest.fixture
def reader(cluster: Cluster, tls_files: Path, tmp_path: Path) -> Reader:
    return Reader(tmp_path, cluster, {"pvc_reader_password": "looks only", "tls_files": str(tls_files)})
