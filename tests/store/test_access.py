# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What readers cost in a transaction, and what ZooKeeper tells them of passwords."""

from __future__ import annotations

from kazoo.client import KazooClient
from kazoo.protocol.serialization import Create as Request
from kazoo.protocol.serialization import Transaction
from kazoo.security import make_acl

from pvc_state import staging
from pvc_state.access import MOST
from pvc_state.connection import Connection, digest
from pvc_state.kazoo_store import connect
from pvc_state.store import Access, Create, Set
from tests.store.harness import LONG, PATIENCE
from tests.store.server import Server

#: What a server takes by default (jute.maxbuffer).
_MOST_BYTES = 0xFFFFF
#: The longest names that readers may have.
READERS = [f"{index}".rjust(32, "r") for index in range(MOST)]


def test_the_largest_chunk_of_a_plan_fits_with_all_readers() -> None:
    """Of the smallest creations, whose access lists weigh the most."""
    paths = [f"/{index:04d}" for index in range(staging.LIMIT // staging.size([Create("/0000")]))]
    assert staging.LIMIT - 500 < staging.size([Create(path) for path in paths]) <= staging.LIMIT
    acls = [make_acl("digest", digest("pvc", "secret"), all=True)]
    acls += [make_acl("digest", digest(name, "looks"), read=True) for name in READERS]
    whole = Transaction([Request(f"/a-rather-long-root{path}", b"", acls, 0) for path in paths]).serialize()
    assert len(whole) < _MOST_BYTES


def test_a_reader_learns_no_digest(server: Server) -> None:
    options = {"tls": False, "session_timeout": LONG, "connect_timeout": PATIENCE}
    owner = connect(Connection((f"127.0.0.1:{server.port}",), "/access", "pvc", "secret", **options))
    owner.commit([Create("/")])
    readers = frozenset(digest(name, "looks") for name in READERS)
    owner.grant(["/"], Access(frozenset({owner.identity}), readers))
    owner.commit([Set("/", b"", 0)])
    owner.close()
    client = KazooClient(f"127.0.0.1:{server.port}/access", auth_data=[("digest", f"{READERS[1]}:looks")])
    client.start(PATIENCE)
    acls, _stat = client.get_acls("/")
    client.stop()
    client.close()
    assert {acl.id.id.rpartition(":")[2] for acl in acls} == {"x"}
