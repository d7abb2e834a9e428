# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster for measurements: room for any number of VMs on ten nodes that do nothing, on either store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import kazoo_store, paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.commit import commit_nodes
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.plan_node import plan_nodes
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Alive, NodeStatus
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.requests import NodeRequest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create, Store

from tests.store.server import Server

USER = {"username": "pvc", "password": "only for measurements"}
STATUS = NodeStatus(agent="0.1.0", boot_id="bench", memory=4 << 20, cpus=64, pools=("vms",), bridges=("br0",))


def populate(store: Store) -> None:
    """Initialise an empty tree with nodes that are alive for as long as the store is open."""
    names = [f"node{number}" for number in range(1, 11)]
    commit_nodes(store, lambda snapshot: plan_nodes(snapshot, [NodeRequest(name) for name in names], "bench"))
    for name in names:
        status = Create(paths.status(name), encode(STATUS))
        alive = Create(paths.alive(name), encode(Alive("bench", "bench")), ephemeral=True)
        store.commit([status, alive])


@contextmanager
def zookeeper() -> Iterator[Server]:
    """A real server that is empty, and leaves nothing behind."""
    with TemporaryDirectory(prefix="pvc-bench-") as directory:
        server = Server(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def tree(server: Server, root: str) -> Iterator[dict[str, object]]:
    """A populated tree of its own on a real server; gives the modules' connection options."""
    hosts = f"127.0.0.1:{server.port}"
    store = kazoo_store.connect(Connection(hosts=(hosts,), root=root, tls=False, **USER))
    try:
        populate(store)
        yield {"hosts": [hosts], "root": root, "tls": False, **USER}
    finally:
        store.close()
