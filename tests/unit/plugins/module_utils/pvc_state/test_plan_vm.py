# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan of VMs decides. What it refuses is in test_refusals.py."""

from __future__ import annotations

import json

import pytest

from pvc_state import paths
from pvc_state.records import Boot, Claim, Disk, Nic
from pvc_state.requests import DiskRequest, NicRequest, VmRequest
from pvc_state.store import Check, Create, Delete, Set
from tests.unit.plugins.module_utils.pvc_state.builders import CLUSTER_ID, GIB, Cluster, request


def test_a_new_vm_is_started_with_derived_names(cluster: Cluster) -> None:
    result = cluster.apply(request())
    vm = cluster.vm("web1")
    assert vm.state == "started"
    assert vm.vcpus == 1
    assert vm.disks == (Disk("vms", "web1-disk0", GIB),)
    assert vm.nics[0].mac.startswith("02:")
    assert (vm.generation, vm.definition) == (1, 1)
    assert cluster.snapshot.claims["web1"].value == Claim("node1", 1)
    assert cluster.store.children(paths.assigned("node1")) == ["web1"]
    assert result.plan.changes[0].why == "created on node1: 3072 MiB free, the most of 2 nodes that fit"


def test_derived_names_are_stable_and_differ(cluster: Cluster) -> None:
    first, second = cluster.plan(request("a")), cluster.plan(request("a"))
    assert first.changes == second.changes
    cluster.apply(request("a", nics=[NicRequest("br0"), NicRequest("br0")]), request("b"))
    macs = [nic.mac for name in ("a", "b") for nic in cluster.vm(name).nics]
    assert len(set(macs)) == 3
    assert cluster.vm("a").uuid != cluster.vm("b").uuid
    other = Cluster()
    other.apply(request("a"))
    assert other.vm("a").nics[0].mac == macs[0]  # the same cluster id
    assert other.snapshot.schema.id == CLUSTER_ID


def test_a_vm_made_again_is_the_same_to_its_guest(cluster: Cluster) -> None:
    cluster.apply(request())
    before = cluster.vm("web1")
    cluster.apply(VmRequest("web1", state="absent"))
    cluster.agents["node1"].remove("web1")
    cluster.apply(request())
    assert cluster.vm("web1") == before


def test_an_id_in_use_is_not_given_twice(cluster: Cluster) -> None:
    cluster.apply(request("old", disks=[], nics=[]))
    kept = cluster.vm("old").uuid
    # as after a rename: the record, with the id derived from its first name, lives on under another one
    places = [paths.vm("old"), paths.claim("old"), paths.assigned("node1", "old")]
    for path, znode in zip(places, cluster.store.get_many(places), strict=True):
        assert znode is not None
        cluster.store.commit([Create(path.replace("old", "renamed"), znode.data), Delete(path, 0)])
    cluster.apply(request("old", disks=[], nics=[]))
    assert cluster.vm("renamed").uuid == kept
    assert cluster.vm("old").uuid != kept
    again = cluster.vm("old").uuid
    assert not cluster.plan(request("old", disks=[], nics=[])).changed
    assert cluster.vm("old").uuid == again


def test_the_second_time_nothing_changes(cluster: Cluster) -> None:
    cluster.apply(request())
    plan = cluster.plan(request())
    assert not plan.changed
    assert plan.ops == ()
    assert plan.diff() == {"before": "", "after": ""}
    assert plan.why == {"web1": "nothing to change"}


def test_an_option_left_out_keeps_its_value(cluster: Cluster) -> None:
    cluster.apply(request(description="shop", tags=["b", "a", "b"], vcpus=2))
    cluster.apply(VmRequest("web1", vcpus=3))
    vm = cluster.vm("web1")
    assert (vm.description, vm.tags, vm.vcpus, vm.memory) == ("shop", ("a", "b"), 3, 512)


def test_a_default_that_is_given_resets(cluster: Cluster) -> None:
    cluster.apply(request(description="shop", tags=["a"], boot=Boot("/boot/vmlinuz"), node="node2"))
    cluster.apply(VmRequest("web1", description="", tags=[], boot=Boot(), node=None, disks=[DiskRequest()]))
    vm = cluster.vm("web1")
    assert (vm.description, vm.tags, vm.boot, vm.node) == ("", (), Boot(), None)


def test_the_diff_shows_what_differs_and_nothing_else(cluster: Cluster) -> None:
    cluster.apply(request(), request("web2"))
    diff = cluster.plan(VmRequest("web1", memory=1024, description="shop"), VmRequest("web2", vcpus=1)).diff()
    assert json.loads(diff["before"]) == {"vm web1": {"memory": 512, "description": ""}}
    assert json.loads(diff["after"]) == {"vm web1": {"memory": 1024, "description": "shop"}}


def test_the_diff_of_creation_and_deletion_is_one_sided(cluster: Cluster) -> None:
    created = cluster.plan(request()).diff()
    assert created["before"] == ""
    assert json.loads(created["after"])["vm web1"]["memory"] == 512
    cluster.apply(request())
    deleted = cluster.plan(VmRequest("web1", state="absent")).diff()
    assert deleted["after"] == ""
    assert json.loads(deleted["before"])["vm web1"]["state"] == "started"


def test_every_operation_carries_what_it_rests_on(cluster: Cluster) -> None:
    cluster.apply(request("old"))
    snapshot = cluster.snapshot
    ops = cluster.plan(request(), VmRequest("old", vcpus=2)).ops
    assert ops[:2] == (Check("/schema", 0), Set("/journal", b"", snapshot.journal))
    assert [type(op) for op in ops[2:]] == [Create, Create, Create, Set]
    last = ops[-1]
    assert isinstance(last, Set)
    assert last.version == snapshot.vms["old"].version


def test_the_snapshot_to_come_is_the_snapshot_that_comes(cluster: Cluster) -> None:
    cluster.apply(request("old"))
    result = cluster.apply(request(), VmRequest("old", vcpus=2))
    now = cluster.snapshot
    assert {name: vm.value for name, vm in result.snapshot_after.vms.items()} == {
        name: vm.value for name, vm in now.vms.items()
    }
    assert {name: vm.version for name, vm in result.snapshot_after.vms.items()} == {
        name: vm.version for name, vm in now.vms.items()
    }
    assert {name: claim.value for name, claim in result.snapshot_after.claims.items()} == {
        name: claim.value for name, claim in now.claims.items()
    }


def test_the_requests_of_one_plan_see_each_other(cluster: Cluster) -> None:
    plan = cluster.plan(*(request(f"vm{index}", memory=512) for index in range(6)))
    owners = [plan.after.owner(f"vm{index}") for index in range(6)]
    assert owners == ["node1", "node2"] * 3


# --- generations ----------------------------------------------------------------------------------------------------


def test_hardware_and_the_rest_are_counted_apart(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", description="x"))
    assert (cluster.vm("web1").generation, cluster.vm("web1").definition) == (2, 1)
    cluster.apply(VmRequest("web1", memory=1024))
    assert (cluster.vm("web1").generation, cluster.vm("web1").definition) == (3, 3)


@pytest.mark.parametrize(
    ("change", "later"),
    [
        ({"memory": 1024}, "memory 512 -> 1024"),
        ({"memory": 256}, ""),
        ({"vcpus": 2}, "vcpus 1 -> 2"),
        ({"nics": []}, ""),
        ({"boot": Boot("/vmlinuz")}, "boot changed"),
        ({"disks": [DiskRequest(), DiskRequest(GIB)]}, ""),
        ({"disks": [DiskRequest(), DiskRequest(GIB, bus="sata")]}, "disk vms/web1-disk1 added"),
        ({"firmware": "uefi", "secure_boot": True}, "firmware bios -> uefi, secure_boot no -> yes"),
    ],
    ids=str,
)
def test_what_a_running_vm_gets_at_its_next_start_is_told(
    cluster: Cluster, change: dict[str, object], later: str
) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "running")
    why = cluster.plan(VmRequest("web1", **change)).changes[0].why
    assert why.partition("; at its next start: ")[2] == later
    cluster.agents["node1"].observe("web1", "stopped")
    assert "at its next start" not in cluster.plan(VmRequest("web1", **change)).changes[0].why


def test_harmless_changes_need_no_start(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "running")
    assert cluster.plan(VmRequest("web1", shutdown_timeout=10)).changes[0].why == "shutdown_timeout 90 -> 10"
    assert cluster.plan(VmRequest("web1", tags=["a"])).changes[0].why == "tags changed"


def test_a_disk_that_the_vm_has_keeps_its_size(cluster: Cluster) -> None:
    cluster.apply(request())
    assert not cluster.plan(VmRequest("web1", disks=[DiskRequest()])).changed
    cluster.apply(VmRequest("web1", disks=[DiskRequest(), DiskRequest(2 * GIB)]))
    assert [disk.size for disk in cluster.vm("web1").disks] == [GIB, 2 * GIB]


def test_an_address_that_is_given_is_kept_in_lower_case(cluster: Cluster) -> None:
    cluster.apply(request(nics=[NicRequest("br0", "02:AB:CD:EF:00:01", "e1000e")]))
    assert cluster.vm("web1").nics == (Nic("br0", "02:ab:cd:ef:00:01", "e1000e"),)


# --- nodes ----------------------------------------------------------------------------------------------------------


def test_a_vm_goes_where_its_user_says(cluster: Cluster) -> None:
    result = cluster.apply(request(node="node2"))
    assert cluster.snapshot.owner("web1") == "node2"
    assert result.plan.changes[0].why == "created on node2: bound to it by its option node"


def test_a_stopped_vm_moves_and_needs_room_at_both_ends(cluster: Cluster) -> None:
    cluster.apply(request(state="stopped"))
    cluster.apply(VmRequest("web1", node="node2"))
    assert cluster.snapshot.owner("web1") == "node1"
    assert cluster.snapshot.reserved == {"node1": 512, "node2": 512}
    cluster.agents["node1"].hand_over("web1", "node2")
    assert cluster.snapshot.reserved == {"node2": 512}
    assert cluster.snapshot.claims["web1"].value == Claim("node2", 2)


def test_a_running_vm_may_be_bound_to_where_it_is(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", node="node1"))
    assert cluster.vm("web1").node == "node1"
    cluster.apply(VmRequest("web1", node=None))
    assert cluster.vm("web1").node is None


def test_room_given_up_in_a_plan_can_be_used_in_it(cluster: Cluster) -> None:
    cluster.apply(request("big", memory=3072, node="node1"))
    plan = cluster.plan(VmRequest("big", memory=1024), request("small", memory=2048, node="node1"))
    assert plan.after.owner("small") == "node1"


def test_a_vm_of_a_dead_node_can_still_be_described(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].die()
    assert cluster.plan(VmRequest("web1", description="x", memory=256)).changed


# --- deletion -------------------------------------------------------------------------------------------------------


def test_a_deletion_leaves_a_tombstone_for_the_agent(cluster: Cluster) -> None:
    cluster.apply(request())
    result = cluster.apply(VmRequest("web1", state="absent"))
    vm = cluster.vm("web1")
    assert (vm.state, vm.delete_volumes, vm.generation, vm.definition) == ("absent", False, 2, 1)
    assert result.plan.changes[0].why == "deleted by the agent of node1; volumes kept: vms/web1-disk0"
    assert not cluster.plan(VmRequest("web1", state="absent")).changed


def test_volumes_are_deleted_only_when_asked_for(cluster: Cluster) -> None:
    cluster.apply(request())
    result = cluster.apply(VmRequest("web1", state="absent", delete_volumes=True))
    assert cluster.vm("web1").delete_volumes
    assert result.plan.changes[0].why == "deleted by the agent of node1; volumes removed: vms/web1-disk0"
    assert not cluster.plan(VmRequest("web1", state="absent", delete_volumes=True)).changed
    assert not cluster.plan(VmRequest("web1", state="absent")).changed  # left out keeps
    assert cluster.plan(VmRequest("web1", state="absent", delete_volumes=False)).changed


def test_what_does_not_exist_need_not_be_deleted(cluster: Cluster) -> None:
    plan = cluster.plan(VmRequest("web1", state="absent"))
    assert not plan.changed
    assert plan.why == {"web1": "it does not exist"}


def test_a_deletion_says_when_its_agent_is_away(cluster: Cluster) -> None:
    cluster.apply(request(disks=[]))
    cluster.agents["node1"].die()
    why = cluster.plan(VmRequest("web1", state="absent")).changes[0].why
    assert why == "deleted by the agent of node1, once it can: node1 is down: its agent has no session"
