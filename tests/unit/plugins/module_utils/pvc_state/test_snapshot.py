# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pvc_state import paths
from pvc_state.commit import commit
from pvc_state.errors import DamagedRecord, InvalidRequest
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan_vm import plan_vms
from pvc_state.requests import DiskRequest, VmRequest
from pvc_state.snapshot import NotInitialised, load
from pvc_state.store import Delete, Znode
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped


class Interrupted(Wrapped):
    """Somebody else does something between the first reading's third VM and its fourth."""

    def __init__(self, cluster: Cluster, *requests: VmRequest) -> None:
        super().__init__(cluster.connect())
        self.cluster = cluster
        self.requests = requests

    def get_many(self, places: Sequence[str]) -> list[Znode | None]:
        if not self.requests:
            return super().get_many(places)
        requests, self.requests = self.requests, ()
        half = list(places).index(paths.vm("vm3"))
        first = super().get_many(places[:half])
        self.cluster.apply(*requests)
        return first + super().get_many(places[half:])


def test_nothing_is_told_apart_from_no_root() -> None:
    ensemble = MemoryEnsemble()
    with pytest.raises(NotInitialised) as info:
        load(ensemble.connect(root="/absent"))
    assert str(info.value) == (
        "root: the store has no such root: /schema does not exist; "
        "check the root, or declare the cluster's nodes first, which initialises it"
    )
    with pytest.raises(NotInitialised, match="the store holds no cluster"):
        load(ensemble.connect())


def test_no_reader_sees_half_of_a_commit(cluster: Cluster) -> None:
    names = [f"vm{index}" for index in range(6)]
    cluster.apply(*(request(name, memory=64) for name in names))
    for round_ in range(1, 3):
        snapshot = load(Interrupted(cluster, *(VmRequest(name, vcpus=round_ + 1) for name in names)))
        assert {vm.value.vcpus for vm in snapshot.vms.values() if vm.value} == {round_ + 1}


def test_a_vm_that_its_agent_removes_meanwhile_is_gone_with_its_claim(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", state="absent"))

    class Removing(Wrapped):
        def get_many(self, places: Sequence[str]) -> list[Znode | None]:
            index = list(places).index(paths.claim("web1")) + 1
            first = super().get_many(places[:index])
            cluster.agents["node1"].remove("web1")
            return first + super().get_many(places[index:])

    snapshot = load(Removing(cluster.connect()))
    assert dict(snapshot.vms) == dict(snapshot.claims) == {}


def test_damage_stays_where_it_is(cluster: Cluster) -> None:
    cluster.apply(request("good"), request("bad"))
    cluster.overwrite(paths.vm("bad"), b"\xff")
    snapshot = cluster.snapshot
    assert snapshot.vms["bad"].value is None
    assert "no JSON" in snapshot.vms["bad"].invalid
    assert snapshot.vms["good"].value is not None
    assert snapshot.reserved == {"node1": 512}


def test_a_tree_without_its_journal_is_damaged(cluster: Cluster) -> None:
    cluster.store.commit([Delete(paths.JOURNAL, cluster.snapshot.journal)])
    with pytest.raises(DamagedRecord, match=r"^znode /journal: it does not exist"):
        load(cluster.store)


def test_only_what_is_named_is_read(cluster: Cluster) -> None:
    cluster.apply(request("a"), request("b"), request("c"))
    asked: list[str] = []

    class Counting(Wrapped):
        def get_many(self, places: Sequence[str]) -> list[Znode | None]:
            asked.extend(places)
            return super().get_many(places)

    snapshot = load(Counting(cluster.connect()), ["b", "nothing", "no/name", ""])
    assert list(snapshot.vms) == ["b"]
    assert set(snapshot.nodes) == set(snapshot.alive) == {"node1", "node2"}
    assert [place for place in asked if "vms" in place] == [paths.vm("b"), paths.vm("nothing")]


def test_a_commit_that_changes_nothing_reads_nothing_else(cluster: Cluster) -> None:
    cluster.apply(request("a"), request("b"))
    read: list[str] = []

    class Counting(Wrapped):
        def get_many(self, places: Sequence[str]) -> list[Znode | None]:
            read.extend(places)
            return super().get_many(places)

    store = Counting(cluster.connect())
    assert not commit(store, lambda snapshot: plan_vms(snapshot, [request("a")]), vms=["a"]).plan.changed
    assert paths.vm("b") not in read


def test_a_commit_that_changes_something_reads_everything(cluster: Cluster) -> None:
    cluster.apply(request("a"))
    taking = request("b", disks=[DiskRequest(volume="a-disk0")])
    with pytest.raises(InvalidRequest, match="used by vm a"):
        commit(cluster.connect(), lambda snapshot: plan_vms(snapshot, [taking]), vms=["b"])
    big = [request("b", memory=2048, node="node1"), request("c", memory=2048, node="node1")]
    cluster.apply(big[0])
    with pytest.raises(InvalidRequest, match="512 MiB free"):
        commit(cluster.connect(), lambda snapshot: plan_vms(snapshot, [big[1]]), vms=["c"])
