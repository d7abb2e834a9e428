# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of fences that are over, and of what would happen if a node died now."""

from __future__ import annotations

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Fence, Past
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create
from ansible_collections.pvc.cluster.plugins.modules import failover_info, fence_info, node, settings, vm, vm_info

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options

FENCE = Fence("", "proven", "its session has ended", proven_by="powered_off", moves={"web1": "to node1: room"})


def remember(cluster: Cluster) -> None:
    """Three fences that are over, and one that stands."""
    for index, name in enumerate(("node1", "node2", "node2")):
        past = Past(name, FENCE, f"day {index}", "it came back clean", 10 + index, 20 + index)
        cluster.store.commit([Create(paths.history(f"{name}-1-{index}"), encode(past))])
    cluster.store.commit(
        [Create(paths.fence("node2"), encode(Fence("node2-1-9", "collecting", "its session has ended")))]
    )


@pytest.mark.parametrize(
    ("filters", "ended"),
    [
        ({}, ["", "day 2", "day 1", "day 0"]),
        ({"node": "node1"}, ["day 0"]),
        ({"node": "node7"}, []),
        ({"active": True}, [""]),
        ({"active": False}, ["day 2", "day 1", "day 0"]),
        ({"limit": 2}, ["", "day 2"]),
        ({"limit": 0}, []),
        ({"node": "node2", "active": False, "limit": 1}, ["day 2"]),
    ],
)
def test_filters_of_fence_info(cluster: Cluster, filters: Options, ended: list[str]) -> None:
    remember(cluster)
    before = cluster.dump()
    result = cluster.ok(fence_info, filters)
    assert [fence["ended"] for fence in result["fences"]] == ended
    assert not result["changed"]
    assert result["cluster_name"] == "lab"
    assert cluster.ok(fence_info, filters, check=True)["fences"] == result["fences"]
    assert cluster.dump() == before


def test_why_it_was_fenced_has_an_answer(cluster: Cluster) -> None:
    remember(cluster)
    (last,) = cluster.ok(fence_info, {"node": "node1"})["fences"]
    assert last["sentence"] == (
        "node1 was fenced: its session has ended, and it was read powered off. Its VM went elsewhere (web1 to node1: room). "
        "The fence ended at day 0: it came back clean."
    )
    assert (last["created_zxid"], last["changed_zxid"]) == (10, 20)


def test_what_would_happen(cluster: Cluster, agents: Agents) -> None:
    vms = [
        {"name": "small", "memory": "1G"},
        {"name": "first", "memory": "1G", "ha": {"priority": 5}},
        {"name": "large", "memory": "14G", "node": "node2"},
        {"name": "off", "memory": 64, "state": "disabled"},
        {"name": "alone", "memory": 64, "state": "ignored"},
    ]
    with agents():
        cluster.ok(
            node, {"name": "node1", "fence": [{"name": "bmc", "kind": "ipmi", "address": "a", "credential": "b"}]}
        )
        cluster.ok(vm, {"vms": vms, "node": "node1"})
        cluster.ok(vm, {"vms": [{"name": one["name"]} for one in vms], "node": ""})
        before = cluster.dump()
        result = cluster.ok(failover_info, {"nodes": ["node1"]})
        both = cluster.ok(failover_info, {})
        problems = cluster.ok(failover_info, {"only_problems": True})
    assert cluster.dump() == before
    (shown,) = result["failovers"]
    assert [(move["vm"], move["to"]) for move in shown["moves"]] == [("first", "node2")]
    assert [one["vm"] for one in shown["waiting"]] == ["small"]
    assert "has 0 MiB free, 1024 are needed" in shown["waiting"][0]["why"]
    assert {one["vm"]: one["why"] for one in shown["staying"]} == {
        "off": "it is disabled, and stays where it is",
        "alone": "it is ignored, whatever happens",
    }
    assert shown["proof"] == ["storage cut", "powered off by bmc"]
    assert shown["sentence"].startswith(
        "If node1 died now, 1 of 2 VMs would run elsewhere. Waiting: small (no node can"
    )
    assert [(one["node"], one["fits"]) for one in both["failovers"]] == [("node1", False), ("node2", False)]
    assert not both["fits"]
    assert [one["node"] for one in problems["failovers"]] == ["node1", "node2"]


def test_a_cluster_that_can_lose_any_node(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
        result = cluster.ok(failover_info, {})
        assert result["fits"]
        assert [one["sentence"] for one in result["failovers"]] == [
            "If node1 died now, 1 of 1 VMs would run elsewhere.",
            "If node2 died now, no VM would have to run elsewhere.",
        ]
        assert cluster.ok(failover_info, {"only_problems": True})["failovers"] == []
        cluster.ok(settings, {"maintenance": True})
        held = cluster.ok(failover_info, {"nodes": ["node1"]})
    assert not held["fits"]
    assert held["failovers"][0]["sentence"].endswith(
        "But nothing would be done at first: the cluster is in maintenance."
    )


def test_what_is_wanted_when_something_fails(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(
            vm,
            {"name": "web1", "memory": 64, "ha": {"priority": 7, "max_moves": 2}, "migration": {"method": "shutdown"}},
        )
        changed = cluster.ok(vm, {"name": "web1", "ha": {"max_moves": 3}})
        shown = cluster.ok(vm_info, {})["vms"][0]
    assert changed["why"] == {"web1": "ha.max_moves 2 -> 3"}
    assert shown["ha"] == {
        "max_local_restarts": 3,
        "max_moves": 3,
        "priority": 7,
        "failback": True,
        "power_off": False,
    }
    assert shown["migration"]["method"] == "shutdown"


def test_a_vm_that_is_left_alone_is_as_it_should_be(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
        result = cluster.ok(vm, {"name": "web1", "state": "ignored"})
        assert result["vm"]["settled"]
        assert [one["name"] for one in cluster.ok(vm_info, {"state": "ignored"})["vms"]] == ["web1"]
