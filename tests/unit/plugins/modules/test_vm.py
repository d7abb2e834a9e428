# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What vm does beside the ladder: defaults of a list, waiting, volumes that are kept, hardware that needs a start."""

from __future__ import annotations

import pytest
from ansible_collections.pvc.cluster.plugins.modules import vm, vm_info

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster

DISKS = [{"size": "1G"}, {"volume": "shared"}]


def test_options_beside_a_list_are_its_defaults(cluster: Cluster, agents: Agents) -> None:
    listed = [{"name": "web1"}, {"name": "web2", "memory": "2G", "tags": []}]
    with agents():
        result = cluster.ok(vm, {"vms": listed, "memory": "1G", "tags": ["web"], "state": "stopped"})
    assert [(one["name"], one["memory"], one["tags"], one["state"]) for one in result["vms"]] == [
        ("web1", 1024, ["web"], "stopped"),
        ("web2", 2048, [], "stopped"),
    ]
    assert result["why"]["web1"].startswith("created on node1")


def test_a_list_may_hold_any_mixture(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"vms": [{"name": "old"}, {"name": "same"}], "memory": 64})
        mixture = [{"name": "old", "state": "absent"}, {"name": "same"}, {"name": "new"}]
        result = cluster.ok(vm, {"vms": mixture, "memory": 64})
    assert [one["name"] for one in result["vms"]] == ["same", "new"]
    assert result["why"]["same"] == "nothing to change"
    assert set(result["why"]) == {"old", "same", "new"}


def test_an_empty_list_changes_nothing(cluster: Cluster) -> None:
    result = cluster.ok(vm, {"vms": []})
    assert (result["changed"], result["vms"]) == (False, [])


def test_one_vm_or_a_list(cluster: Cluster) -> None:
    assert "mutually exclusive" in cluster.run(vm, {"name": "web1", "vms": []})["msg"]
    assert "one of the following is required" in cluster.run(vm, {"memory": 64})["msg"]


@pytest.mark.parametrize("delete", [None, False, True])
def test_volumes_are_kept_unless_asked_otherwise(cluster: Cluster, agents: Agents, delete: bool | None) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64, "disks": DISKS})
        gone = {"name": "web1", "state": "absent", "delete_volumes": delete}
        planned = cluster.ok(vm, gone, check=True)
        deleted = cluster.ok(vm, gone)
        again = cluster.ok(vm, gone)
    kept = [] if delete else ["vms/web1-disk0", "vms/shared"]
    assert planned["kept_volumes"] == deleted["kept_volumes"] == kept
    assert "vms/web1-disk0" in deleted["why"]["web1"]
    assert deleted["vm"] is None
    assert again["kept_volumes"] == []


def test_a_deletion_ignores_what_else_describes_the_vm(cluster: Cluster, agents: Agents) -> None:
    described = {"name": "web1", "memory": 64, "disks": DISKS, "tags": ["web"]}
    with agents():
        cluster.ok(vm, described)
        assert cluster.ok(vm, {**described, "state": "absent"})["changed"]


def test_hardware_of_a_running_vm_waits_for_its_next_start(cluster: Cluster, agents: Agents) -> None:
    wanted = {"name": "web1", "memory": 128, "firmware": "uefi"}
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
        assert cluster.ok(vm, wanted, check=True)["restart_required"] == ["web1"]
        changed = cluster.ok(vm, wanted)
        assert changed["restart_required"] == ["web1"]
        assert changed["vm"]["restart_required"]
        assert changed["vm"]["pending"] == ["memory 64 -> 128", "firmware bios -> uefi"]
        assert "at its next start: memory 64 -> 128, firmware bios -> uefi" in changed["why"]["web1"]
        cluster.ok(vm, {"name": "web1", "state": "stopped"})
        assert cluster.ok(vm, {"name": "web1", "state": "started"})["restart_required"] == []


def test_what_can_change_while_it_runs_requires_no_restart(cluster: Cluster, agents: Agents) -> None:
    wanted = {"name": "web1", "memory": 128, "vcpus": 2, "disks": [{"size": "1G"}], "nics": [{"bridge": "br0"}]}
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64, "memory_max": 256, "vcpus_max": 4})
        assert cluster.ok(vm, wanted, check=True)["restart_required"] == []
        changed = cluster.ok(vm, wanted)
        assert (changed["restart_required"], changed["vm"]["pending"]) == ([], [])


def test_a_stopped_vm_moves_and_then_starts(cluster: Cluster, agents: Agents) -> None:
    with agents():
        assert cluster.ok(vm, {"name": "web1", "memory": 64})["vm"]["claim"]["node"] == "node1"
        moved = cluster.ok(vm, {"name": "web1", "node": "node2", "state": "stopped"})
        assert (moved["vm"]["claim"]["node"], moved["vm"]["claim"]["epoch"]) == ("node2", 2)
        assert cluster.ok(vm, {"name": "web1", "state": "started"})["vm"]["observed"]["node"] == "node2"


def test_a_vm_that_runs_moves_to_the_node_that_it_is_bound_to(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
        moved = cluster.ok(vm, {"name": "web1", "node": "node2"})
        assert moved["why"] == {"web1": "node changed; it moves from node1 to node2 while it runs"}
        assert (moved["vm"]["claim"]["node"], moved["vm"]["observed"]["node"]) == ("node2", "node2")
        back = cluster.ok(vm, {"name": "web1", "node": "node1", "migration": {"method": "shutdown"}})
        assert "it moves from node2 to node1 and is stopped for that" in back["why"]["web1"]


def test_waiting_is_bounded_and_says_what_is_missing(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
    result = cluster.run(vm, {"name": "web1", "state": "stopped", "wait_timeout": 0})
    assert result["failed"]
    assert result["changed"]
    assert "vm web1: node1 is down: its agent has no session" in result["msg"]
    assert "committed" in result["remedy"]
    assert result["diff"]["after"]
    assert cluster.ok(vm_info, {})["vms"][0]["state"] == "stopped"


def test_without_waiting_nothing_is_awaited(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
    result = cluster.ok(vm, {"name": "web1", "state": "stopped", "wait": False})
    assert (result["vm"]["state"], result["vm"]["settled"]) == ("stopped", False)


def test_a_vm_that_its_agent_gave_up_fails_at_once_with_the_reason(cluster: Cluster, agents: Agents) -> None:
    with agents(fails={"web1": "volume vms/web1-disk0 does not exist"}):
        result = cluster.run(vm, {"name": "web1", "memory": 64, "wait_timeout": 60})
    assert result["failed"]
    assert result["object"] == "vm web1"
    assert "volume vms/web1-disk0 does not exist" in result["msg"]


def test_an_unchanged_vm_is_awaited_too(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": 64})
    cluster.ok(vm, {"name": "web1", "state": "stopped", "wait": False})
    late = cluster.run(vm, {"name": "web1", "state": "stopped", "wait_timeout": 0})
    assert late["failed"]
    assert not late["changed"]


def test_what_a_node_said_before_a_power_cut_is_not_believed(cluster: Cluster, agents: Agents) -> None:
    with agents():
        assert cluster.ok(vm, {"name": "web1", "memory": 64})["vm"]["settled"]
    late = cluster.run(vm, {"name": "web1", "state": "started", "wait_timeout": 0})
    assert "vm web1: node1 is down" in late["msg"]
    with agents(boot="second"):
        assert cluster.ok(vm, {"name": "web1", "state": "started"})["vm"]["settled"]
