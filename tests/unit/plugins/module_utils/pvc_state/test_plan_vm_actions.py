# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users have done to VMs: actions, copies, other names, larger disks, tags, and autostart."""

from __future__ import annotations

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.commit import commit, commit_nodes
from pvc_state.errors import InvalidRequest
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_snapshots import plan_snapshots
from pvc_state.records import DiskSnapshot, Rollback, Rule
from pvc_state.requests import CloneRequest, DiskRequest, NicRequest, NodeRequest, SnapshotRequest, VmRequest
from pvc_state.store import Create, Set
from tests.unit.plugins.module_utils.pvc_state.builders import GIB, Cluster, request


def at_rest(cluster: Cluster, name: str = "web1", node: str = "node1", **options: object) -> None:
    """A VM that is stopped, and its agent says so."""
    cluster.apply(request(name, state="stopped", node=node, **options))
    cluster.agents[node].observe(name, "stopped")


# --- actions ----------------------------------------------------------------------------------------------------------


def test_each_request_for_a_restart_or_a_reset_counts(cluster: Cluster) -> None:
    cluster.apply(request())
    for action in ("restarted", "restarted", "reset"):
        done = cluster.apply(VmRequest("web1", state=action))
        assert done.plan.changed
    vm = cluster.vm("web1")
    assert (vm.state, vm.restart, vm.reset, vm.generation, vm.definition) == ("started", 2, 1, 4, 1)
    assert done.plan.why["web1"] == "its guest is reset"


def test_a_restart_starts_what_is_stopped(cluster: Cluster) -> None:
    at_rest(cluster)
    plan = cluster.apply(VmRequest("web1", state="restarted")).plan
    assert cluster.vm("web1").state == "started"
    assert plan.why["web1"] == "state stopped -> started; it is started"
    cluster.apply(request("new", state="restarted"))
    assert (cluster.vm("new").state, cluster.vm("new").restart) == ("started", 0)


# --- disks ------------------------------------------------------------------------------------------------------------


def test_a_disk_grows_without_a_new_definition(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", disks=[DiskRequest(2 * GIB)]))
    vm = cluster.vm("web1")
    assert (vm.disks[0].size, vm.generation, vm.definition) == (2 * GIB, 2, 1)
    cluster.apply(VmRequest("web1", disks=[DiskRequest(3 * GIB), DiskRequest(GIB)]))
    assert cluster.vm("web1").definition == 3


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_has_everything_but_what_is_its_own(cluster: Cluster) -> None:
    at_rest(cluster, vcpus=3, tags=["a"], description="the first", metadata={"owner": "shop"}, autostart=True)
    cluster.apply(VmRequest("web2", clone_from=CloneRequest("web1"), memory=1024))
    one, two = cluster.vm("web1"), cluster.vm("web2")
    assert (two.vcpus, two.tags, two.description, two.metadata, two.autostart) == (
        3,
        ("a",),
        "the first",
        {"owner": "shop"},
        True,
    )
    assert (two.memory, two.state, two.node, two.generation) == (1024, "started", None, 1)
    assert two.uuid != one.uuid
    assert [(disk.volume, disk.size, disk.source) for disk in two.disks] == [("web2-disk0", GIB, "vms/web1-disk0")]
    assert two.nics[0].bridge == "br0"
    assert two.nics[0].mac != one.nics[0].mac
    # what it is a copy of is asked once
    assert not cluster.apply(VmRequest("web2", clone_from=CloneRequest("gone"))).plan.changed


def test_a_copy_of_a_snapshot_may_run_meanwhile_and_be_larger(cluster: Cluster) -> None:
    cluster.apply(request())
    commit(cluster.store, lambda found: plan_snapshots(found, [SnapshotRequest("web1", "v1")]))
    larger = [DiskRequest(2 * GIB), DiskRequest(GIB, volume="more")]
    cluster.apply(VmRequest("web2", clone_from=CloneRequest("web1", "v1"), disks=larger))
    disks, (taken,) = cluster.vm("web2").disks, cluster.vm("web1").snapshots
    assert taken.id
    assert [(disk.size, disk.source) for disk in disks] == [(2 * GIB, f"vms/web1-disk0@pvc.v1#{taken.id}"), (GIB, "")]
    assert cluster.vm("web2").snapshots == ()


def test_a_copy_keeps_its_source_when_its_disks_are_listed(cluster: Cluster) -> None:
    at_rest(cluster)
    cluster.apply(VmRequest("web2", clone_from=CloneRequest("web1")))
    cluster.apply(VmRequest("web2", disks=[DiskRequest(2 * GIB)]))
    assert cluster.vm("web2").disks[0].source == "vms/web1-disk0"


def test_a_volume_stays_while_a_copy_rests_on_it(cluster: Cluster) -> None:
    at_rest(cluster)
    cluster.apply(VmRequest("web2", clone_from=CloneRequest("web1")))
    gone = VmRequest("web1", state="absent", delete_volumes=True)
    words = "vms/web2-disk0 of vm web2 is a copy that rests on its volume vms/web1-disk0; delete vm web2 first"
    with pytest.raises(InvalidRequest, match=words):
        cluster.apply(gone)
    with pytest.raises(InvalidRequest, match=words):
        cluster.apply(gone, VmRequest("web2", state="absent"))
    cluster.apply(gone, VmRequest("web2", state="absent", delete_volumes=True))
    assert cluster.vm("web1").delete_volumes


# --- other names ------------------------------------------------------------------------------------------------------


def test_another_name_is_one_transaction(cluster: Cluster) -> None:
    at_rest(cluster)
    cluster.store.commit([Create(paths.rule("near"), encode(Rule("apart", ("db1", "web1"))))])
    before = cluster.snapshot
    done = cluster.apply(VmRequest("web1", new_name="www"))
    after = cluster.snapshot
    assert "web1" not in after.vms
    assert after.claims["www"].value == before.claims["web1"].value
    assert cluster.store.children(paths.assigned("node1")) == ["www"]
    assert after.rules["near"].value == Rule("apart", ("db1", "www"), generation=2)
    assert cluster.vm("www").disks[0].volume == "web1-disk0"
    assert done.plan.why["web1"] == "renamed to www; its volumes and addresses stay as they are; near follows"
    assert done.snapshot_after.vms["www"].value == cluster.vm("www")
    assert not cluster.apply(VmRequest("web1", new_name="www")).plan.changed


def test_a_renamed_vm_keeps_volumes_and_addresses_that_are_not_named(cluster: Cluster) -> None:
    at_rest(cluster)
    cluster.apply(VmRequest("web1", new_name="www"))
    cluster.agents["node1"].observe("www", "stopped")
    assert not cluster.apply(VmRequest("www", disks=[DiskRequest(GIB)], nics=[NicRequest("br0")])).plan.changed


# --- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "tags", "protected"),
    [
        ({"tags": []}, ("billed",), ("billed",)),
        ({"tags": ["new"]}, ("billed", "new"), ("billed",)),
        ({"remove_tags": ["web"]}, ("billed",), ("billed",)),
        ({"remove_tags": ["billed"]}, ("web",), ()),
        ({"tags": [], "remove_tags": ["billed"]}, (), ()),
        ({"protected_tags": []}, ("billed", "web"), ()),
        ({"protected_tags": ["web"]}, ("billed", "web"), ("web",)),
        ({"tags": ["web"], "protected_tags": ["x"]}, ("web", "x"), ("x",)),
    ],
)
def test_protected_tags_are_only_taken_away_by_name(
    cluster: Cluster, options: dict[str, list[str]], tags: tuple[str, ...], protected: tuple[str, ...]
) -> None:
    cluster.apply(request(tags=["web"], protected_tags=["billed"]))
    cluster.apply(VmRequest("web1", **options))  # type: ignore[arg-type]
    vm = cluster.vm("web1")
    assert (vm.tags, vm.protected) == (tags, protected)
    assert not cluster.apply(VmRequest("web1", **options)).plan.changed  # type: ignore[arg-type]


# --- autostart --------------------------------------------------------------------------------------------------------


def change_node(cluster: Cluster, state: str, **options: int) -> str:
    requests = [NodeRequest("node1", state, **options)]
    done = commit_nodes(cluster.store, lambda found: plan_nodes(found, requests, "lab"))
    return done.plan.why["node1"]


def test_vms_start_once_when_their_node_gets_ready_again(cluster: Cluster) -> None:
    at_rest(cluster, "auto", autostart=True)
    at_rest(cluster, "manual")
    at_rest(cluster, "elsewhere", "node2", autostart=True)
    cluster.apply(request("disabled", state="disabled", node="node1", autostart=True))
    change_node(cluster, "drained")
    assert change_node(cluster, "maintenance") == "state drained -> maintenance"
    assert change_node(cluster, "ready") == "state maintenance -> ready; starts auto"
    assert [cluster.vm(name).state for name in ("auto", "manual", "elsewhere", "disabled")] == [
        "started",
        "stopped",
        "stopped",
        "disabled",
    ]
    cluster.apply(VmRequest("auto", state="stopped"))
    assert change_node(cluster, "ready", memory_reserve=512) == "memory_reserve 1024 -> 512"
    assert cluster.vm("auto").state == "stopped"


# --- snapshots --------------------------------------------------------------------------------------------------------


def snap(cluster: Cluster, *requests: SnapshotRequest) -> str:
    done = commit(cluster.store, lambda found: plan_snapshots(found, requests))
    return "; ".join(done.plan.why.values())


def test_only_the_newest_of_a_series_are_wanted(cluster: Cluster) -> None:
    cluster.apply(request())
    for name in ("a", "b", "c"):
        snap(cluster, SnapshotRequest("web1", f"day-{name}", series="daily", keep=2))
        said = snap(cluster, SnapshotRequest("web1", f"hour-{name}", series="hourly", keep=1))
    assert [one.name for one in cluster.vm("web1").snapshots] == ["day-b", "day-c", "hour-c"]
    assert said == "snapshot hour-c is made, and hour-b of series hourly removed: 1 are kept"


def test_many_vms_and_snapshots_are_one_plan(cluster: Cluster) -> None:
    cluster.apply(request("web1"), request("web2"))
    snap(cluster, *(SnapshotRequest(vm, name) for vm in ("web1", "web2") for name in "ab"))
    assert [[one.name for one in cluster.vm(vm).snapshots] for vm in ("web1", "web2")] == [["a", "b"]] * 2
    assert cluster.vm("web1").generation == 2


def test_a_removed_name_is_free_when_the_snapshot_is_gone(cluster: Cluster) -> None:
    cluster.apply(request())
    snap(cluster, SnapshotRequest("web1", "a"))
    cluster.agents["node1"].observe("web1", "running", snapshots=("a",))
    snap(cluster, SnapshotRequest("web1", "a", "absent"))
    with pytest.raises(Exception, match="the last one of that name is still being removed"):
        snap(cluster, SnapshotRequest("web1", "a"))
    cluster.agents["node1"].observe("web1", "running")
    snap(cluster, SnapshotRequest("web1", "a"))
    made = cluster.vm("web1").snapshots
    assert made == (DiskSnapshot("a", id=f"{cluster.vm('web1').uuid}.4.", disks=("vms/web1-disk0",)),)
    assert cluster.vm("web1").snapped


def test_a_rollback_is_told_from_every_other_and_forgotten_when_it_is_done(cluster: Cluster) -> None:
    at_rest(cluster)
    snap(cluster, SnapshotRequest("web1", "a"))
    cluster.agents["node1"].observe("web1", "stopped", snapshots=("a",))
    snap(cluster, SnapshotRequest("web1", "a", "rolled_back"))
    back = Rollback("a", 3, f"{cluster.vm('web1').uuid}.3.")
    assert cluster.vm("web1").rollback == back
    cluster.apply(VmRequest("web1", description="meanwhile"))
    assert cluster.vm("web1").rollback == back
    cluster.agents["node1"].observe("web1", "stopped", snapshots=("a",), rollback=3)
    cluster.apply(VmRequest("web1", state="started"))
    assert cluster.vm("web1").rollback is None


def test_a_rollback_that_is_not_done_is_replaced_or_called_off_while_nothing_runs(cluster: Cluster) -> None:
    at_rest(cluster)
    snap(cluster, SnapshotRequest("web1", "a"), SnapshotRequest("web1", "b"))
    agent = cluster.agents["node1"]
    agent.observe("web1", "stopped", snapshots=("a", "b"))
    snap(cluster, SnapshotRequest("web1", "a", "rolled_back"))
    agent.observe("web1", "stopped", snapshots=("a", "b"), generation=2)
    snap(cluster, SnapshotRequest("web1", "b", "rolled_back"))
    back = cluster.vm("web1").rollback
    assert back is not None
    assert (back.snapshot, back.serial) == ("b", 4)
    agent.observe("web1", "starting", snapshots=("a", "b"), generation=2)
    for state in ("rolled_back", "absent"):
        with pytest.raises(Exception, match="is being rolled back to b"):
            snap(cluster, SnapshotRequest("web1", "b", state))
    agent.observe("web1", "stopped", snapshots=("a", "b"), generation=2)
    said = snap(cluster, SnapshotRequest("web1", "b", "absent"))
    assert said == "snapshot b is removed, and the rollback to it called off"
    assert cluster.vm("web1").rollback is None


def test_a_disk_that_came_later_is_no_part_of_a_snapshot(cluster: Cluster) -> None:
    at_rest(cluster)
    snap(cluster, SnapshotRequest("web1", "a"))
    cluster.apply(VmRequest("web1", disks=[DiskRequest(GIB), DiskRequest(GIB)]))
    cluster.agents["node1"].observe("web1", "stopped", snapshots=("a",))
    with pytest.raises(Exception, match="it has nothing of volume vms/web1-disk1, which was added later"):
        snap(cluster, SnapshotRequest("web1", "a", "rolled_back"))


def test_a_series_keeps_what_a_vm_is_being_rolled_back_to(cluster: Cluster) -> None:
    at_rest(cluster)
    snap(cluster, SnapshotRequest("web1", "a", series="daily", keep=1))
    cluster.agents["node1"].observe("web1", "stopped", snapshots=("a",))
    snap(cluster, SnapshotRequest("web1", "a", "rolled_back"))
    snap(cluster, SnapshotRequest("web1", "b", series="daily", keep=1))
    assert [one.name for one in cluster.vm("web1").snapshots] == ["a", "b"]


def test_a_snapshot_that_is_not_made_yet_is_no_way_back(cluster: Cluster) -> None:
    at_rest(cluster)
    snap(cluster, SnapshotRequest("web1", "a"))
    cluster.agents["node1"].observe("web1", "stopped")
    with pytest.raises(Exception, match="it has not been made yet"):
        snap(cluster, SnapshotRequest("web1", "a", "rolled_back"))


def test_a_damaged_rule_may_name_the_vm(cluster: Cluster) -> None:
    at_rest(cluster)
    cluster.store.commit([Create(paths.rule("near"), encode(Rule("apart", ("db1", "web1"))))])
    cluster.store.commit([Set(paths.rule("near"), b"{", 0)])
    with pytest.raises(Exception, match="rule near"):
        cluster.apply(VmRequest("web1", new_name="www"))
