# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.commit import Committed, commit, commit_nodes
from pvc_state.errors import DamagedRecord, InvalidRequest, SchemaMismatch
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan_move import plan_move
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Fence, FenceDevice, Node
from pvc_state.requests import DeadRequest, MoveRequest, NodeRequest, VmRequest
from pvc_state.snapshot import NotInitialised, load
from pvc_state.store import CommitRefused, Create, Store
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request


def apply(store: Store, *requests: NodeRequest, check_mode: bool = False) -> Committed:
    return commit_nodes(store, lambda snapshot: plan_nodes(snapshot, requests, "lab"), check_mode=check_mode)


def refused(cluster: Cluster, *requests: NodeRequest, error: type[Exception] = InvalidRequest) -> str:
    before = cluster.snapshot
    with pytest.raises(error) as info:
        apply(cluster.store, *requests)
    assert cluster.snapshot == before
    return str(info.value)


def test_the_first_nodes_initialise_the_tree_and_its_root() -> None:
    ensemble = MemoryEnsemble()
    store = ensemble.connect(root="/pvc")
    with pytest.raises(NotInitialised, match="has no such root"):
        load(store)
    result = apply(store, NodeRequest("node1", coordinator=True), NodeRequest("node2"))
    assert result.snapshot_before is None
    snapshot = load(store)
    assert {name: (node.value, node.version) for name, node in snapshot.nodes.items()} == {
        name: (node.value, node.version) for name, node in result.snapshot_after.nodes.items()
    }
    assert snapshot.schema == result.snapshot_after.schema
    assert (snapshot.schema.version, snapshot.schema.cluster) == (1, "lab")
    assert {name: node.value for name, node in snapshot.nodes.items()} == {
        "node1": Node(coordinator=True),
        "node2": Node(),
    }
    assert store.children(paths.ASSIGNED) == ["node1", "node2"]
    assert not apply(store, NodeRequest("node1", coordinator=True), NodeRequest("node2")).plan.changed


def test_check_mode_makes_nothing_on_an_empty_store() -> None:
    store = MemoryEnsemble().connect()
    result = apply(store, NodeRequest("node1"), check_mode=True)
    assert result.plan.changed
    assert list(result.snapshot_after.nodes) == ["node1"]
    assert store.children("/") == []


def test_two_clusters_of_one_name_differ() -> None:
    one, two = MemoryEnsemble().connect(), MemoryEnsemble().connect()
    apply(one, NodeRequest("node1"))
    apply(two, NodeRequest("node1"))
    assert load(one).schema.id != load(two).schema.id


def test_a_node_is_added_changed_and_removed(cluster: Cluster) -> None:
    store = cluster.store
    assert apply(store, NodeRequest("node3")).plan.why == {"node3": "added to the cluster"}
    changed = apply(store, NodeRequest("node3", memory_reserve=2048, coordinator=True))
    assert changed.plan.why == {"node3": "coordinator False -> True, memory_reserve 1024 -> 2048"}
    assert json.loads(changed.plan.diff()["before"]) == {"node node3": {"coordinator": False, "memory_reserve": 1024}}
    assert load(store).nodes["node3"].value == Node(True, 2048, 2)
    kept = apply(store, NodeRequest("node3"))
    assert not kept.plan.changed
    assert kept.plan.why == {"node3": "nothing to change"}
    store.commit([Create(paths.status("node3"), b"{}"), Create(paths.health("node3"), b"{}")])
    assert apply(store, NodeRequest("node3", state="absent")).plan.why == {"node3": "removed from the cluster"}
    snapshot = load(store)
    assert "node3" not in snapshot.nodes
    assert store.get(paths.status("node3")) is None
    assert store.get(paths.health("node3")) is None
    assert store.get(paths.assigned("node3")) is None
    assert not apply(store, NodeRequest("node3", state="absent")).plan.changed


def test_a_node_that_holds_vms_stays(cluster: Cluster) -> None:
    cluster.apply(*(request(f"vm{index}", memory=256, node="node1") for index in range(7)))
    cluster.agents["node1"].die()
    assert refused(cluster, NodeRequest("node1", state="absent")) == (
        "node node1, state: it holds vm0, vm1, vm2, vm3, vm4 and 2 more; delete them or move them away first"
    )


def test_a_node_that_a_vm_is_bound_to_stays(cluster: Cluster) -> None:
    cluster.apply(request(state="stopped"))
    cluster.apply(VmRequest("web1", node="node2"))
    cluster.agents["node2"].die()
    assert "it holds web1" in refused(cluster, NodeRequest("node2", state="absent"))


def test_a_node_that_a_vm_is_on_its_way_to_stays(cluster: Cluster) -> None:
    cluster.apply(request(node="node1"))
    cluster.apply(VmRequest("web1", node=None))
    commit(cluster.store, lambda snapshot: plan_move(snapshot, [MoveRequest("web1", "node2")]))
    cluster.agents["node2"].die()
    assert "it holds web1" in refused(cluster, NodeRequest("node2", state="absent"))


def test_a_node_that_runs_stays(cluster: Cluster) -> None:
    text = refused(cluster, NodeRequest("node1", state="absent"))
    assert text == "node node1, state: its agent runs; stop pvc-node-agent on it first"


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        (
            [NodeRequest("Node1")],
            "node Node1, name: 'Node1' is no valid name; "
            "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
        ),
        ([NodeRequest("a"), NodeRequest("a")], "node a, name: it is in the list twice; name each node once"),
        (
            [NodeRequest("a", "gone")],
            "node a, state: 'gone' is not possible; give one of present, ready, drained, maintenance, absent",
        ),
        (
            [NodeRequest("a", memory_reserve=-1)],
            "node a, memory_reserve: -1 is not possible; give a whole number from 0 to 16777216 MiB",
        ),
        (
            [NodeRequest("a", coordinator=1)],  # type: ignore[arg-type]
            "node a, coordinator: 1 is neither true nor false; give true or false",
        ),
        (
            [NodeRequest("a", "absent", memory_reserve=5)],
            "node a, memory_reserve: it makes no sense with state absent; leave it out",
        ),
    ],
)
def test_requests_that_are_wrong(cluster: Cluster, requests: list[NodeRequest], text: str) -> None:
    assert refused(cluster, *requests) == text


def test_a_damaged_node_is_named_with_its_remedy(cluster: Cluster) -> None:
    cluster.overwrite(paths.node("node1"), b"x")
    text = refused(cluster, NodeRequest("node1"), error=DamagedRecord)
    assert text.startswith("node node1: /nodes/node1 holds no valid record: no JSON")


def test_another_clusters_tree_is_left_alone(cluster: Cluster) -> None:
    with pytest.raises(InvalidRequest) as info:
        plan_nodes(cluster.snapshot, [NodeRequest("node1")], "prod")
    assert str(info.value) == (
        "cluster, cluster_name: the store's root belongs to cluster lab, not prod; "
        "check hosts and root, or give the right name"
    )


def test_a_tree_of_another_version_is_left_alone(cluster: Cluster) -> None:
    cluster.overwrite(paths.SCHEMA, b'{"version":2,"cluster":"lab","id":"x"}')
    for call in (lambda: load(cluster.store), lambda: apply(cluster.store, NodeRequest("node9"))):
        with pytest.raises(SchemaMismatch) as info:
            call()
        assert str(info.value) == (
            "znode /schema: the tree is of schema version 2, this software knows 1 to 1; "
            "use a release of pvc.cluster that knows it, on the controller and on every node"
        )


def test_a_damaged_schema_is_no_empty_tree(cluster: Cluster) -> None:
    cluster.overwrite(paths.SCHEMA, b"x")
    with pytest.raises(DamagedRecord, match=r"^znode /schema: it holds no valid record"):
        apply(cluster.store, NodeRequest("node9"))


def test_a_node_that_comes_back_is_not_declared_dead_behind_its_back(cluster: Cluster) -> None:
    """The declaration is one transaction with the fact that the node has no session."""
    cluster.agents["node2"].die()
    cluster.store.commit([Create(paths.fence("node2"), encode(Fence("1-1", "collecting", "its session has ended")))])
    plan = plan_nodes(cluster.snapshot, [NodeRequest("node2", declared_dead=DeadRequest("it burns", "alice"))], "lab")
    cluster.agents["node2"].come_back()
    with pytest.raises(CommitRefused) as info:
        cluster.store.commit(plan.ops)
    assert info.value.op.path == paths.alive("node2")
    assert cluster.store.get(paths.declared("node2")) is None
    cluster.agents["node2"].die()
    cluster.store.commit(plan.ops)
    assert cluster.store.get(paths.alive("node2")) is None
    assert cluster.snapshot.declared["node2"].value == plan.after.declared["node2"].value


def test_a_damaged_fence_is_not_answered(cluster: Cluster) -> None:
    cluster.agents["node2"].die()
    cluster.store.commit([Create(paths.fence("node2"), b"?")])
    text = refused(cluster, NodeRequest("node2", declared_dead=DeadRequest("it burns", "alice")), error=DamagedRecord)
    assert text.startswith("node node2: /fences/node2 holds no valid record")


def test_fence_devices_are_told_by_name(cluster: Cluster) -> None:
    bmc = FenceDevice("bmc", "ipmi", "10.0.3.11", "fence", "bmc", {"cipher_suite": "17"})
    pdu = FenceDevice("pdu", "redfish", "pdu.example.com:8443", credential="pdu")
    assert apply(cluster.store, NodeRequest("node1", fence=[bmc])).plan.why == {"node1": "fence none -> bmc"}
    assert apply(cluster.store, NodeRequest("node1", fence=[bmc, pdu])).plan.why == {"node1": "fence bmc -> bmc, pdu"}
    other = FenceDevice("bmc", "ipmi", "[fd00::1]:6230", "fence", "bmc")
    assert apply(cluster.store, NodeRequest("node1", fence=[other, pdu])).plan.why == {"node1": "fence changed"}
    assert not apply(cluster.store, NodeRequest("node1", fence=[other, pdu])).plan.changed
    assert apply(cluster.store, NodeRequest("node1", state="maintenance", fence_together=True)).plan.why == {
        "node1": "state ready -> maintenance, fence_together False -> True"
    }


@pytest.mark.parametrize("address", ["bmc", "bmc.example.com:6230", "10.0.3.11", "fd00::1", "[fd00::1]:623"])
def test_addresses_of_ipmi(cluster: Cluster, address: str) -> None:
    device = FenceDevice("bmc", "ipmi", address, credential="bmc")
    assert apply(cluster.store, NodeRequest("node1", fence=[device])).plan.changed


@pytest.mark.parametrize("address", ["", "a b", "-bmc", "bmc:port", "user@bmc", "bmc/x", "bmc\n", "https://bmc"])
def test_no_addresses_of_ipmi(cluster: Cluster, address: str) -> None:
    device = FenceDevice("bmc", "ipmi", address, credential="bmc")
    assert "fence[0].address: it is no address" in refused(cluster, NodeRequest("node1", fence=[device]))
