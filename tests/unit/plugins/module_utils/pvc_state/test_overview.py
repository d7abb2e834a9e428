# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An overview shows what a snapshot shows, with fewer reads, and what was kept is used exactly as long as it is true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pvc_state import inventory, overview, overview_cache, paths
from pvc_state.codec import encode
from pvc_state.inventory import Only
from pvc_state.memory_store import MemoryStore
from pvc_state.overview import Overview, Selection
from pvc_state.records import Alive, Claim
from pvc_state.store import Create, Delete, Set, Watch, Znode
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request


class Counting:
    """A store that notes what is read of it."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        self.paths.append(path)
        return self._store.get(path, watch)

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        self.paths += paths
        return self._store.get_many(paths, watch)

    def read(self, parent: str) -> list[str]:
        """Names below a path that were read."""
        return sorted(path.rpartition("/")[2] for path in self.paths if path.startswith(f"{parent}/"))


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    names = ("db1", "web1", "web2")
    cluster.apply(
        *(request(name, tags=[name.rstrip("12")], node=f"node{1 + index % 2}") for index, name in enumerate(names))
    )
    return cluster


ALL = Selection()


def counted(cluster: Cluster, selection: Selection = ALL, known: Any = None) -> tuple[Overview, Counting]:
    store = Counting(cluster.connect())
    return overview.load(store, selection, known), store


def test_it_shows_what_a_snapshot_shows(cluster: Cluster) -> None:
    found, store = counted(cluster)
    snapshot = cluster.snapshot
    assert {name: vm.value for name, vm in found.vms.items()} == {name: vm.value for name, vm in snapshot.vms.items()}
    assert found.owners == {name: snapshot.owner(name) for name in snapshot.vms}
    assert found.revision.number == snapshot.journal
    assert store.read(paths.CLAIMS) == [], "who has a claim stands in the index, too"


def test_a_vm_that_moves_is_its_owners(cluster: Cluster) -> None:
    claim = cluster.store.get(paths.claim("web1"))
    assert claim
    moving = Claim("node2", 1, to="node1")
    cluster.store.commit(
        [Set(paths.claim("web1"), encode(moving), claim.version), Create(paths.assigned("node1", "web1"))]
    )
    found, store = counted(cluster)
    assert found.owners["web1"] == "node2"
    assert store.read(paths.CLAIMS) == ["web1"]


def test_what_was_kept_spares_the_records(cluster: Cluster) -> None:
    first, _store = counted(cluster)
    again, store = counted(cluster, known=first.records)
    assert store.read(paths.VMS) == []
    assert again.vms == first.vms


def test_a_change_is_seen_whatever_was_kept(cluster: Cluster) -> None:
    first, _store = counted(cluster)
    cluster.apply(request("web1", tags=["changed"]))
    again, store = counted(cluster, known=first.records)
    assert store.read(paths.VMS) == ["db1", "web1", "web2"]
    assert again.vms["web1"].value == cluster.vm("web1")


def test_what_agents_do_is_seen_although_the_revision_stays(cluster: Cluster) -> None:
    first, _store = counted(cluster)
    report = cluster.store.get(paths.status("node1"))
    claim, record = cluster.store.get(paths.claim("web2")), cluster.store.get(paths.vm("web2"))
    other = cluster.store.get(paths.claim("db1"))
    assert all((report, claim, record, other))
    status = first.status["node1"].value
    assert status
    cluster.store.commit(
        [
            Set(paths.status("node1"), encode(replace(status, memory=1)), report.version),
            Delete(paths.vm("web2"), record.version),
            Delete(paths.claim("web2"), claim.version),
            Delete(paths.assigned("node1", "web2"), 0),
            Set(paths.claim("db1"), encode(Claim("node2", 2)), other.version),
            Delete(paths.assigned("node1", "db1"), 0),
            Create(paths.assigned("node2", "db1")),
        ]
    )
    again, store = counted(cluster, known=first.records)
    assert again.revision == first.revision
    assert store.read(paths.VMS) == []
    assert sorted(again.vms) == ["db1", "web1"]
    assert again.owners == {"db1": "node2", "web1": "node2"}
    assert again.status["node1"].value == replace(status, memory=1)


def test_a_tree_that_was_put_back_to_a_backup_is_another_one(cluster: Cluster) -> None:
    first, _store = counted(cluster)
    assert first.records
    of_another_past = replace(
        first.records, revision=replace(first.revision, transaction=first.revision.transaction - 1)
    )
    _again, store = counted(cluster, known=of_another_past)
    assert len(store.read(paths.VMS)) == 3


@pytest.mark.parametrize(
    ("only", "records"),
    [
        (Only(kinds=("node",)), []),
        (Only(names=("web*",)), ["web1", "web2"]),
        (Only(nodes=("node2",)), ["web1"]),
        (Only(nodes=("node1",), names=("web*", "x")), ["web2"]),
        (Only(tags=("web",)), ["db1", "web1", "web2"]),
    ],
    ids=["kinds", "names", "nodes", "both", "tags"],
)
def test_only_what_is_needed_is_read(cluster: Cluster, only: Only, records: list[str]) -> None:
    _found, store = counted(cluster, only.selection())
    assert store.read(paths.VMS) == records


@pytest.mark.parametrize(
    ("only", "names"),
    [
        (Only(), ["node1", "node2", "db1", "web1", "web2"]),
        (Only(kinds=("node",)), ["node1", "node2"]),
        (Only(nodes=("node1",)), ["node1", "db1", "web2"]),
        (Only(tags=("web",)), ["web1", "web2"]),
        (Only(states=("started",), names=("*1",)), ["db1", "web1"]),
        (Only(states=("ready",)), ["node1", "node2"]),
        (Only(tags=("web", "db")), []),
    ],
    ids=["all", "kinds", "nodes", "tags", "states", "nodes by state", "all tags"],
)
def test_filters_leave_out(cluster: Cluster, only: Only, names: list[str]) -> None:
    found = overview.load(cluster.connect(), only.selection())
    assert [host.name for host in inventory.hosts(found, only, "cluster", "address")] == names


def test_a_partial_reading_keeps_what_was_known(cluster: Cluster) -> None:
    first, _store = counted(cluster)
    again, store = counted(cluster, Only(names=("web*",)).selection(), first.records)
    assert again.records == first.records
    assert store.read(paths.VMS) == []
    partial, _store = counted(cluster, Only(names=("web*",)).selection())
    assert partial.records is None


def test_what_an_agent_of_another_boot_has_said_is_not_known(cluster: Cluster) -> None:
    alive = cluster.store.get(paths.alive("node1"))
    assert alive
    assert counted(cluster)[0].reports_now("node1")
    cluster.store.commit([Set(paths.alive("node1"), encode(Alive("another boot", "agent")), alive.version)])
    assert counted(cluster)[0].reports_now("node1") is None
    cluster.store.commit([Delete(paths.alive("node1"), alive.version + 1)])
    assert counted(cluster)[0].reports_now("node1") is None


def test_a_file_keeps_every_byte(cluster: Cluster, tmp_path: Path) -> None:
    cluster.overwrite(paths.vm("web1"), bytes(range(256)))
    first, _store = counted(cluster)
    assert first.records
    file = tmp_path / "new" / "cache.json"
    overview_cache.write(file, first.records)
    assert overview_cache.read(file) == first.records
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["cache.json"]


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"1",
        b"\xff",
        b'{"format":1}',
        b'{"format":0,"revision":{},"vms":{}}',
        b'{"format":1,"revision":{},"vms":1}',
    ],
)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "cache.json").write_bytes(damage)
    assert overview_cache.read(tmp_path / "cache.json") is None
    assert overview_cache.read(tmp_path / "missing.json") is None


def test_a_file_of_another_format_is_not_used(cluster: Cluster, tmp_path: Path) -> None:
    first, _store = counted(cluster)
    assert first.records
    file = tmp_path / "cache.json"
    overview_cache.write(file, first.records)
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "format": kept["format"] + 1}))
    assert overview_cache.read(file) is None


@pytest.mark.parametrize(
    ("address", "used"),
    [
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("fe80::1%br0", True),
        ("web1.example.org", True),
        ("-oProxyCommand=touch /tmp/x", False),
        ("10.0.0.1 -v", False),
        ("{{ lookup('pipe', 'id') }}", False),
        ("$(id)", False),
    ],
)
def test_only_an_address_is_used_as_one(cluster: Cluster, address: str, used: bool) -> None:
    cluster.apply(request("web1", metadata={"address": address}))
    found = overview.load(cluster.connect())
    (host,) = inventory.hosts(found, Only(names=("web1",), kinds=("vm",)), "cluster", "address")
    assert (host.address, host.refused) == ((address, "") if used else ("", address))


def test_a_nodes_address_is_that_of_the_network(cluster: Cluster) -> None:
    found = overview.load(cluster.connect())
    only = Only(kinds=("node",))
    assert [host.address for host in inventory.hosts(found, only, "cluster", "address")] == ["10.0.0.1", "10.0.0.1"]
    assert [host.address for host in inventory.hosts(found, only, "elsewhere", "address")] == ["", ""]


def test_a_damaged_vm_is_shown_as_such(cluster: Cluster) -> None:
    cluster.overwrite(paths.vm("web1"), b"{")
    hosts = {
        host.name: host for host in inventory.hosts(overview.load(cluster.connect()), Only(), "cluster", "address")
    }
    assert hosts["web1"].groups == ["vms", "damaged", "node_node2"]
    assert "no JSON" in hosts["web1"].facts["damaged"]
