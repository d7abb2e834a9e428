# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of VMs under whole agents: real decisions, real store semantics, simulated hypervisor and storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pvc_node_agent.effects import ChangeDomain, Right
from pvc_node_agent.events import Enrolled, Event, Failure, LeaveSeen, StorageCutSeen, StorageSeen
from pvc_node_agent.feed import Superseded
from pvc_node_agent.sim.faults import Faults
from pvc_node_agent.view import DomainState
from pvc_state import codec, paths
from pvc_state.commit import commit_nodes
from pvc_state.errors import InvalidRequest
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Claim, Ha, HostDevice, Migration, SignOff, Vm
from pvc_state.records import Settings as ClusterSettings
from pvc_state.requests import DevicesRequest, DiskRequest, NodeRequest, VmRequest
from pvc_state.store import Create, Set
from tests.agent.world import World

WEB = VmRequest("web1", node="node1", memory=512, disks=[DiskRequest(size=1 << 30)])


@pytest.fixture
def world() -> World:
    """Two nodes, and web1 running on the first."""
    world = World("node1", "node2")
    world.want(WEB)
    world.settle()
    assert world["node1"].running == {"web1"}
    return world


# --- start and stop ---------------------------------------------------------------------------------------------------


def test_a_new_vm_gets_its_volume_and_starts(world: World) -> None:
    assert world.log == ["create vms/web1-disk0", "node1: start web1 epoch 1"]
    status = world.vm("web1")
    assert (status.state, status.generation, status.definition, status.reason) == ("running", 1, 1, "runs")
    assert status.console == "/var/log/libvirt/qemu/web1-console.log"
    assert world["node1"].sentences[-2:] == [
        "web1: ensure volumes: wanted started",
        "web1: start: wanted started, and it does not run",
    ]


def test_a_vm_wanted_stopped_gets_its_volume_only() -> None:
    world = World("node1")
    world.want(replace(WEB, state="stopped"))
    world.settle()
    assert world.log == ["create vms/web1-disk0"]
    assert (world.vm("web1").state, world.vm("web1").generation) == ("stopped", 1)


def test_a_disabled_vm_is_left_alone() -> None:
    world = World("node1")
    world.want(replace(WEB, state="disabled"))
    world.settle()
    assert world.log == []
    assert (world.vm("web1").state, world.vm("web1").reason) == ("stopped", "disabled")


def test_a_stop_asks_the_guest(world: World) -> None:
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    assert world.log[2:] == ["node1: shutdown web1"]
    assert (world.vm("web1").state, world.vm("web1").generation) == ("stopped", 2)


def test_a_guest_that_does_not_listen_is_asked_again_and_then_destroyed(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", state="stopped", shutdown_timeout=25))
    world.settle()
    stopping = world.vm("web1")
    assert (stopping.state, stopping.generation) == ("stopping", 1)
    assert stopping.reason == "its guest was asked to power off, and is destroyed after 25 s"
    world.advance(24)
    assert world.log[2:] == ["node1: shutdown web1"] * 5
    world.advance(1)
    assert world.log[-1] == "node1: destroy web1"
    assert world.vm("web1").state == "stopped"
    reason = "wanted stopped, and the guest did not power off within 25 s"
    assert world["node1"].sentences[-1] == f"web1: destroy: {reason}"


def test_a_user_who_changes_his_mind_gets_the_vm_back(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.want(VmRequest("web1", state="started"))
    world.settle()
    world["node1"].hypervisor.end("web1", "its guest powered itself off")
    world.advance(2)
    assert world.log[2:] == ["node1: shutdown web1", "node1: start web1 epoch 1"]
    assert world.vm("web1").state == "running"


def test_new_hardware_waits_for_the_next_start(world: World) -> None:
    world.want(VmRequest("web1", memory=1024, firmware="uefi"))
    world.settle()
    status = world.vm("web1")
    assert (status.state, status.generation, status.definition) == ("running", 2, 1)
    assert status.pending == ("memory 512 -> 1024", "firmware bios -> uefi")
    assert status.reason == "runs; when it is stopped and started again: memory 512 -> 1024, firmware bios -> uefi"
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.want(VmRequest("web1", state="started"))
    world.settle()
    status = world.vm("web1")
    assert (status.state, status.generation, status.definition, status.reason) == ("running", 4, 2, "runs")
    assert status.pending == ()


MORE = [DiskRequest(size=1 << 30), DiskRequest(size=1 << 30)]


def test_hardware_that_can_change_while_it_runs_does(world: World) -> None:
    world.want(VmRequest("web1", disks=MORE))
    world.settle()
    assert world.log[-2:] == ["create vms/web1-disk1", "node1: change web1"]
    status = world.vm("web1")
    assert (status.generation, status.definition, status.pending) == (2, 2, ())
    assert world["node1"].hypervisor.starts == [("web1", 1)]
    world.want(VmRequest("web1", description="x"))
    world.settle()
    assert world.log[-1] == "node1: change web1"


def test_what_waits_is_known_to_the_next_agent_and_to_the_next_node(world: World) -> None:
    world.want(VmRequest("web1", firmware="uefi"))
    world.settle()
    world["node1"].restart_agent()
    world.settle()
    assert world.vm("web1").pending == ("firmware bios -> uefi",)
    world.move("web1", "node2")
    world.settle()
    assert world.vm("web1").pending == ("firmware bios -> uefi",)
    assert world.log.count("node1: change web1") == 1
    assert "node2: change web1" not in world.log


def test_a_change_that_nobody_has_carried_out_is_the_next_nodes(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    world.want(VmRequest("web1", disks=MORE))
    hypervisor.clinging = {"web1"}
    world.settle()
    world.want(VmRequest("web1", disks=MORE[:1]))
    world.settle()
    assert (world.vm("web1").generation, hypervisor.holds("web1")) == (2, {"vms/web1-disk0", "vms/web1-disk1"})
    world.move("web1", "node2")
    world.settle()
    assert world["node2"].hypervisor.holds("web1") == {"vms/web1-disk0"}
    assert world.vm("web1").generation == 3


def test_a_disk_that_is_not_let_go_of_is_asked_for_again_and_nobody_elses(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    world.want(VmRequest("web1", disks=MORE))
    world.settle()
    hypervisor.clinging = {"web1"}
    world.want(VmRequest("web1", disks=MORE[:1]))
    world.settle()
    status = world.vm("web1")
    assert (status.state, status.generation) == ("running", 2)
    assert status.reason.startswith(
        "its guest does not let go of vms/web1-disk1: stop the VM to take it away; tried again"
    )
    thief = VmRequest("web2", memory=64, disks=[DiskRequest(volume="web1-disk1")])
    with pytest.raises(InvalidRequest, match="vms/web1-disk1 was taken from vm web1, which has not let go"):
        world.want(thief)
    world["node1"].restart_agent()
    world.settle()
    with pytest.raises(InvalidRequest, match="vms/web1-disk1 was taken from vm web1, which has not let go"):
        world.want(thief)
    hypervisor.clinging = set()
    world.advance(61)
    assert (world.vm("web1").generation, hypervisor.holds("web1")) == (3, {"vms/web1-disk0"})
    world.want(thief)
    world.settle()
    assert world.vm("web2").state == "running"


def test_a_vm_that_stops_lets_go_of_everything(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    world.want(VmRequest("web1", disks=MORE))
    world.settle()
    hypervisor.clinging = {"web1"}
    world.want(VmRequest("web1", disks=MORE[:1]))
    world.settle()
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    assert world.vm("web1").state == "stopped"
    world.want(VmRequest("web2", memory=64, disks=[DiskRequest(volume="web1-disk1")]))
    world.settle()
    assert world.vm("web2").state == "running"


def test_a_deleted_vm_leaves_no_secrets_behind(world: World) -> None:
    world.want(VmRequest("web1", devices=DevicesRequest(tpm=True)), VmRequest("plain", node="node1", memory=64))
    world.settle()
    world.want(VmRequest("web1", state="absent"), VmRequest("plain", state="absent"))
    world.settle()
    assert [line for line in world.log if "forget" in line] == ["node1: forget web1"]
    assert world.claim("web1") is None


def test_nothing_is_changed_on_an_old_view(world: World) -> None:
    claim, record = world.znode(paths.claim("web1")), world.znode(paths.vm("web1"))
    assert claim is not None
    assert record is not None
    old = Right(1, claim.version, record.version, world["node1"].feed.enrolment())
    world.want(VmRequest("web1", description="x"))
    done = world["node1"].performer.perform(ChangeDomain("web1", old, codec.decode(Vm, record.data)))
    assert done.failure is Failure.REFUSED
    assert "node1: change web1" not in world.log


def test_what_moves_before_it_was_changed_has_not_been(world: World) -> None:
    """The guest arrives with what it had, and says so until its new node has changed it."""
    world["node1"].hypervisor.clinging = world["node2"].hypervisor.clinging = {"web1"}
    world.want(VmRequest("web1", disks=MORE))
    world.settle()
    world.want(VmRequest("web1", disks=MORE[:1]))
    world.settle()
    world.move("web1", "node2")
    world.settle()
    assert world["node2"].hypervisor.holds("web1") == {"vms/web1-disk0", "vms/web1-disk1"}
    assert world.vm("web1").generation < 3
    with pytest.raises(InvalidRequest, match="which has not let go of it yet"):
        world.want(VmRequest("web2", memory=64, disks=[DiskRequest(volume="web1-disk1")]))


def test_a_volume_that_is_missing_holds_a_change_back(world: World) -> None:
    world.want(VmRequest("web1", disks=[DiskRequest(), DiskRequest(volume="nowhere")]))
    world.settle()
    status = world.vm("web1")
    assert (status.state, status.generation) == ("running", 1)
    assert "vms/nowhere" in status.reason
    assert "node1: change web1" not in world.log
    assert world["node1"].running == {"web1"}


def test_devices_of_the_node_are_looked_up_where_it_starts() -> None:
    world = World("node1", "node2")
    gpu = HostDevice("gpu", "pci", "0000:65:00.0")
    commit_nodes(world.user, lambda snapshot: plan_nodes(snapshot, [NodeRequest("node2", devices=[gpu])], "test"))
    world.want(VmRequest("web1", memory=512, devices=DevicesRequest(host=["gpu"])))
    world.settle()
    assert world["node2"].hypervisor.devices["web1"] == (gpu,)
    assert world.vm("web1").state == "running"


# --- crashes and failures ---------------------------------------------------------------------------------------------


def test_a_crashed_guest_is_started_again_later_and_later(world: World) -> None:
    world.want_blindly("web1", ha=Ha(max_local_restarts=-1))
    world.settle()
    begin = world.clock.time
    times = []
    for _turn in range(8):
        world["node1"].hypervisor.end("web1", "its QEMU died")
        world.settle()
        assert world.vm("web1").state == "backoff"
        died = world.clock.time
        while "web1" not in world["node1"].running:
            world.advance(0.5)
        times.append(world.clock.time - died)
    assert times == [1, 2, 4, 8, 16, 32, 60, 60]
    status = world.vm("web1")
    assert (status.restarts, status.failures) == (8, 8)
    assert status.reason == "runs; was started again 8 times, the last time because its QEMU died"
    assert world.clock.time - begin < 200


def test_a_guest_that_has_run_well_starts_with_a_clean_slate(world: World) -> None:
    for _turn in range(3):
        world["node1"].hypervisor.end("web1", "its QEMU died")
        world.advance(20)
    world.advance(200)
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(1)
    assert world["node1"].running == {"web1"}
    assert world.vm("web1").restarts == 4


def test_a_start_that_fails_says_why_and_is_tried_again() -> None:
    world = World("node1")
    world["node1"].hypervisor.failing = "bridge br7 does not exist on this node (there are: br0)"
    world.want(WEB)
    world.settle()
    status = world.vm("web1")
    assert (status.state, status.generation) == ("backoff", 0)
    assert status.reason == "bridge br7 does not exist on this node (there are: br0); tried again after 1 s"
    world.advance(4)
    world["node1"].hypervisor.failing = ""
    world.advance(10)
    assert world.vm("web1").state == "running"
    assert "bridge br7 does not exist" in world.vm("web1").reason


def test_a_missing_volume_that_nobody_may_create_is_named() -> None:
    world = World("node1")
    world.want(replace(WEB, disks=[DiskRequest(volume="golden")]))
    world.settle()
    status = world.vm("web1")
    assert status.state == "backoff"
    assert status.reason.startswith("volume vms/golden does not exist: create it, or give the disk a size")
    world.advance(300)
    assert world.vm("web1").failures == 1
    assert world.log == []


def test_a_change_by_the_user_ends_the_pause_at_once() -> None:
    world = World("node1")
    world["node1"].hypervisor.failing = "kernel /boot/guest does not exist on this node"
    world.want(WEB)
    world.advance(300)
    world["node1"].hypervisor.failing = ""
    world.want(VmRequest("web1", description="corrected"))
    world.settle()
    assert world.vm("web1").state == "running"
    assert world.vm("web1").restarts == 0


def test_failures_are_counted_whatever_the_user_changes_and_whenever_the_agent_restarts(world: World) -> None:
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(20)
    world.want(VmRequest("web1", description="changed"))
    world.settle()
    assert (world.vm("web1").restarts, world.vm("web1").failures) == (0, 1)
    world["node1"].restart_agent()
    world.advance(20)
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(20)
    assert (world.vm("web1").restarts, world.vm("web1").failures) == (1, 2)


def test_a_guest_paused_by_its_storage_is_resumed_less_and_less_often(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    hypervisor.change("web1", DomainState.IO_ERROR)
    world.settle()
    assert world.vm("web1").state == "backoff"
    assert world.vm("web1").reason == "its storage failed, and its guest was paused; tried again after 1 s"
    world.advance(1)
    assert world.vm("web1").state == "running"
    hypervisor.change("web1", DomainState.IO_ERROR)
    world.settle()
    assert world.vm("web1").reason.endswith("tried again after 2 s")
    world.advance(300)
    hypervisor.change("web1", DomainState.IO_ERROR)
    world.settle()
    assert world.vm("web1").reason.endswith("tried again after 1 s")


def test_a_guest_that_pauses_again_at_once_is_not_resumed_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hypervisor = world["node1"].hypervisor
    monkeypatch.setattr(hypervisor, "resume", lambda vm, uuid: hypervisor.say(f"resume {vm}"))
    hypervisor.change("web1", DomainState.IO_ERROR)
    world.advance(130)
    assert world.log.count("node1: resume web1") == 7


# --- hand-over and removal --------------------------------------------------------------------------------------------


def test_a_stopped_vm_moves_to_the_node_that_it_is_bound_to(world: World) -> None:
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.want(VmRequest("web1", node="node2"))
    world.settle()
    assert world["node1"].running == set()
    assert world.vm("web1").state == "stopped"
    world.want(VmRequest("web1", state="started"))
    world.settle()
    assert world["node2"].running == {"web1"}
    assert world["node2"].hypervisor.starts == [("web1", 2)]
    assert world["node1"].sentences[-1] == "web1: hand over: bound to node2, and it does not run here"
    assert world.user.children(paths.assigned("node1")) == []
    assert world.user.children(paths.assigned("node2")) == ["web1"]
    assert world.status("node1").vms == {}


def test_a_removed_vm_leaves_its_volumes_and_says_where(world: World) -> None:
    world.want(VmRequest("web1", state="absent"))
    world.settle()
    assert world.log[2:] == ["node1: shutdown web1"]
    assert world.storage.volumes == {"vms/web1-disk0"}
    sentence = "web1: remove: wanted absent, and nothing of it runs; its volumes stay: vms/web1-disk0"
    assert world["node1"].sentences[-1] == sentence
    assert [world.znode(path("web1")) for path in (paths.vm, paths.claim)] == [None, None]
    assert world.user.children(paths.assigned("node1")) == []
    assert world.status("node1").vms == {}
    assert "web1" not in world["node1"].view.memory


def test_a_vm_removed_with_its_volumes(world: World) -> None:
    world.want(VmRequest("web1", state="absent", delete_volumes=True))
    world.settle()
    assert world.log[2:] == ["node1: shutdown web1", "remove vms/web1-disk0"]
    assert world.znode(paths.vm("web1")) is None


def test_a_volume_in_use_holds_the_removal_up_visibly(world: World) -> None:
    world.storage.failing = "volume vms/web1-disk0 is in use elsewhere: close it there first"
    world.want(VmRequest("web1", state="absent", delete_volumes=True))
    world.settle()
    status = world.vm("web1")
    assert status.state == "deleting"
    assert status.reason.startswith("volume vms/web1-disk0 is in use elsewhere")
    world.storage.failing = ""
    world.advance(60)
    assert world.znode(paths.vm("web1")) is None


# --- limits, and what is ignored --------------------------------------------------------------------------------------


def test_a_guest_that_crashes_too_often_is_given_up_until_somebody_says_otherwise(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    for _turn in range(3):
        hypervisor.end("web1", "its QEMU died")
        world.advance(10)
        assert world["node1"].running == {"web1"}
    hypervisor.end("web1", "its QEMU died")
    world.advance(600)
    assert world["node1"].running == set()
    status = world.vm("web1")
    reason = "given up after it failed 4 times in a row on this node, the last time: its QEMU died"
    assert (status.state, status.reason, status.restarts) == ("failed", reason, 3)
    world["node1"].restart_agent()
    world.advance(600)
    assert world["node1"].running == set()
    world.want(VmRequest("web1", description="repaired"))
    world.settle()
    assert (world.vm("web1").state, world.vm("web1").restarts) == ("running", 0)


def test_what_failed_long_ago_does_not_count(world: World) -> None:
    for _turn in range(20):
        world["node1"].hypervisor.end("web1", "its QEMU died")
        world.advance(300)
    assert world["node1"].running == {"web1"}


def test_a_start_that_fails_too_often_is_given_up() -> None:
    world = World("node1")
    world["node1"].hypervisor.failing = "no such kernel"
    world.want(WEB)
    world.advance(60)
    assert world.vm("web1").state == "failed"
    assert world.vm("web1").reason.startswith("given up after it failed 4 times in a row on this node")
    assert world.vm("web1").generation == 1, "the leader can tell that this is about the record as it is now"


def test_what_was_given_up_is_tried_again_under_a_new_epoch_also_by_the_next_agent() -> None:
    world = World("node1")
    world["node1"].hypervisor.failing = "no such kernel"
    world.want(WEB)
    world.advance(60)
    assert world.vm("web1").state == "failed"
    world["node1"].kill_agent()
    world["node1"].hypervisor.failing = ""
    znode = world.user.get(paths.claim("web1"))
    assert znode is not None
    claim = codec.decode(Claim, znode.data)
    again = replace(claim, epoch=claim.epoch + 1)
    world.user.commit([Set(paths.claim("web1"), codec.encode(again), znode.version)])
    world["node1"].start_agent()
    world.advance(60)
    assert world.vm("web1").state == "running"


def test_trouble_with_ceph_is_never_a_reason_to_give_up(world: World) -> None:
    world.storage.failing = "Ceph did not answer within 60 s: see `ceph status`"
    world.want(VmRequest("db1", node="node1", memory=512, disks=[DiskRequest(size=1 << 20)]))
    world.advance(1200)
    assert world.vm("db1").state == "backoff"
    world.storage.failing = ""
    world.advance(60)
    assert world["node1"].running == {"web1", "db1"}


def test_an_ignored_vm_is_left_alone_and_told_of(world: World) -> None:
    world.want(VmRequest("web1", state="ignored"))
    world.settle()
    assert (world.vm("web1").state, world.vm("web1").generation) == ("running", 2)
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(60)
    assert (world.vm("web1").state, world.vm("web1").reason) == (
        "stopped",
        "ignored: it does not run, and nothing is done about it",
    )
    world.move("web1", "node2")
    world.settle()
    assert world.claim("web1").node == "node1"
    assert world.vm("web1").refused == "node2"
    assert world.log[2:] == []


# --- moves ------------------------------------------------------------------------------------------------------------


def test_a_guest_moves_while_it_runs_and_runs_on_under_its_new_claim(world: World) -> None:
    world.want_blindly("web1", node=None)
    world.move("web1", "node2", "node1 is drained", home="node1", barrier=7)
    world.settle()
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]
    assert world.claim("web1") == Claim("node2", 2, home="node1", barrier=7, with_guest=2)
    assert [world.user.children(paths.assigned(node)) for node in ("node1", "node2")] == [[], ["web1"]]
    assert (world.vm("web1").state, world.vm("web1").restarts) == ("running", 0)
    assert world.status("node1").vms == {}


def test_a_guest_that_cannot_travel_is_stopped_and_started(world: World) -> None:
    world.want_blindly("web1", node=None, migration=Migration("shutdown"))
    world.move("web1", "node2")
    world.settle()
    assert world.log[2:] == ["node1: shutdown web1", "node2: start web1 epoch 2"]


def test_a_stopped_vm_moves_too_and_does_not_start(world: World) -> None:
    world.want_blindly("web1", node=None, state="stopped")
    world.settle()
    world.move("web1", "node2")
    world.settle()
    assert world.log[2:] == ["node1: shutdown web1"]
    assert world.claim("web1") == Claim("node2", 2)
    assert world.vm("web1").state == "stopped"


def test_a_failed_move_leaves_the_guest_where_it_is(world: World) -> None:
    world.want_blindly("web1", node=None)
    world.faults["web1"] = Faults(move_fails=2)
    world.move("web1", "node2")
    world.advance(600)
    status = world.vm("web1")
    assert (status.state, status.refused) == ("running", "node2")
    assert status.reason == "runs; was not moved to node2: its move was made to fail (1 of 2)"
    world.move("web1", "")
    world.settle()
    assert (world.vm("web1").reason, world.vm("web1").refused) == ("runs", "")
    world.move("web1", "node2")
    world.settle()
    assert "(2 of 2)" in world.vm("web1").reason


def test_a_connection_that_breaks_at_the_worst_moment_leaves_no_guest_running_twice(world: World) -> None:
    """The source believes that the move has failed and lets the guest run on, but it has arrived."""
    world.want_blindly("web1", node=None)
    world["node1"].hypervisor.breaks = True
    world.move("web1", "node2")
    world.settle()
    assert world["node1"].hypervisor.domains["web1"].state is DomainState.RUNNING
    assert world["node2"].hypervisor.domains["web1"].state is DomainState.ARRIVED
    world.move("web1", "")
    world.settle()
    assert world["node2"].hypervisor.domains["web1"].state is DomainState.ARRIVED, "it may be handed over all the same"
    world.advance(10)
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: destroy web1"]


def test_an_agent_that_dies_between_the_guests_move_and_the_claims(world: World) -> None:
    world.want_blindly("web1", node=None)
    world.settle()
    hypervisor = world["node1"].hypervisor
    world["node1"].kill_agent()
    world.move("web1", "node2")
    hypervisor.migrate("web1", hypervisor.domains["web1"].uuid, "node2", "node2", 2, Migration())
    world.advance(20)
    assert world["node2"].hypervisor.domains["web1"].state is DomainState.ARRIVED
    world["node1"].start_agent()
    world.advance(2)
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]


def test_a_guest_that_ended_unseen_after_a_move_that_failed_starts_anew(world: World) -> None:
    """Its agent cannot know what it has written since; libvirt has not noted that it was moved away."""
    world.want_blindly("web1", node=None)
    world["node1"].hypervisor.breaks = True
    world.move("web1", "node2")
    world.settle()
    world["node1"].kill_agent()
    world["node1"].hypervisor.end("web1", "its guest powered itself off")
    world["node1"].start_agent()
    world.advance(2)
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: destroy web1", "node2: start web1 epoch 2"]


def test_a_guest_that_ran_on_at_its_source_is_not_run_from_an_older_memory(world: World) -> None:
    """The move breaks at its end, the source's guest writes on, and then the source dies."""
    world.want_blindly("web1", node=None)
    world["node1"].hypervisor.breaks = True
    world.move("web1", "node2")
    world.settle()
    world["node1"].power_cut()
    world.move("web1", "")
    world["node2"].kill_agent()
    claim = world.znode(paths.claim("web1"))
    assert claim is not None
    world.take_claim("web1", "node2", claim)
    world["node2"].start_agent()
    world.advance(2)
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: destroy web1", "node2: start web1 epoch 2"]


def test_a_vm_that_is_removed_on_its_way_leaves_no_index_behind(world: World) -> None:
    world.want_blindly("web1", node=None)
    world.faults["web1"] = Faults(move_fails=1)
    world.move("web1", "node2")
    world.settle()
    world.want_blindly("web1", state="absent")
    world.settle()
    assert [world.user.children(paths.assigned(node)) for node in ("node1", "node2")] == [[], []]


def test_the_new_owner_waits_for_the_epoch_that_cut_off_the_last(world: World) -> None:
    world.want_blindly("web1", node=None, migration=Migration("shutdown"))
    world.move("web1", "node2", barrier=77)
    world.advance(30)
    assert world.claim("web1").node == "node2"
    assert world.vm("web1").reason.startswith("Ceph has not told of osdmap epoch 77 yet")
    world.storage.epoch = 77
    world.advance(60)
    assert world["node2"].running == {"web1"}


# --- the node's own fence, and its storage ----------------------------------------------------------------------------


def test_a_fenced_node_destroys_everything_says_so_and_starts_again_when_it_may(world: World) -> None:
    world.fence("node1", "collecting")
    world.advance(5)
    assert world.log[2:] == ["node1: destroy web1"]
    status = world.status("node1")
    assert status.clean == "1-1"
    assert status.vms["web1"].reason == "this node has a fence (1-1, collecting): its session has ended"
    world.fence("node1", "lifting")
    world.advance(60)
    assert world.log[2:] == ["node1: destroy web1"]
    world.fence("node1", None)
    world.settle()
    assert world.log[3:] == ["node1: start web1 epoch 1"]
    assert world.status("node1").clean == ""


def test_a_node_that_comes_back_to_its_fence_starts_nothing(world: World) -> None:
    world["node1"].kill_agent()
    world.advance(10)
    world.fence("node1", "proven")
    world["node1"].reboot()
    world.advance(60)
    assert world["node1"].running == set()
    assert world.status("node1").clean == "1-1"


def test_what_a_former_life_said_is_gone_with_a_new_ephemeral(world: World) -> None:
    world.fence("node1", "collecting")
    world.advance(5)
    status = world.znode(paths.status("node1"))
    signed = replace(world.status("node1"), signed_off=SignOff(True, "it shuts down"), leaving="migrate")
    world.user.commit([Set(paths.status("node1"), codec.encode(signed), status.version)])
    world["node1"].hypervisor.stop_answering()
    world.jobs_run = False
    world["node1"].reboot()
    world.advance(7)
    assert world.znode(paths.alive("node1")) is not None
    status = world.status("node1")
    assert (status.signed_off, status.leaving, status.clean) == (None, "", "")


def test_what_was_decided_before_a_fence_is_not_done_after_it(world: World) -> None:
    """The start is decided, and stalls. Meanwhile the node is fenced on suspicion, and joins again."""
    world.jobs_run = False
    world.want(VmRequest("db1", node="node1", memory=512))
    world.settle()
    assert "db1" in world["node1"].view.busy
    world.fence("node1", "collecting")
    world.settle()
    world.jobs_run = True
    world.settle()
    assert world["node1"].running == set()
    assert world["node1"].hypervisor.starts == [("web1", 1)]
    assert world.status("node1").clean == "1-1"


def test_a_held_fence_changes_nothing(world: World) -> None:
    world.fence("node1", "held")
    world.advance(60)
    assert world["node1"].running == {"web1"}
    assert world.log[2:] == []


def test_a_cut_storage_ends_every_domain_even_out_of_sight_of_the_store(world: World) -> None:
    node = world["node1"]
    world.ensemble.down()
    world.advance(10)
    node.inbox.put(StorageCutSeen("Ceph has blocklisted 10.0.2.1"))
    world.settle()
    assert world.log[2:] == ["node1: destroy web1"]
    world.ensemble.up()
    world.advance(60)
    assert node.running == set()
    assert world.vm("web1").reason == "the storage of this node is cut: Ceph has blocklisted 10.0.2.1"
    node.inbox.put(StorageSeen("10.0.2.1"))
    world.settle()
    assert node.running == {"web1"}
    assert world.status("node1").storage_address == "10.0.2.1"


# --- the agent's own life ---------------------------------------------------------------------------------------------


def test_a_restarted_agent_adopts_what_runs_and_writes_nothing(world: World) -> None:
    log, before = list(world.log), world.znode(paths.status("node1"))
    world["node1"].restart_agent()
    world.settle()
    assert world.log == log
    assert world.znode(paths.status("node1")) == before
    assert world["node1"].view.link.sees


def test_after_a_reboot_of_its_node_a_vm_starts_once_the_old_session_has_ended(world: World) -> None:
    world["node1"].reboot()
    world.settle()
    assert world["node1"].running == set()
    assert "another boot" in world["node1"].sentences[-1]
    world.advance(7)
    assert world["node1"].running == {"web1"}
    assert world.claim("web1").epoch == 1


def test_two_agents_of_one_node_do_not_fight(world: World) -> None:
    first = world["node1"].feed
    world["node1"].start_agent()
    world.settle()
    first.pump()
    with pytest.raises(Superseded, match="another agent has taken over; run one agent per node"):
        first.pump()


def test_libvirt_away_and_back(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    hypervisor.stop_answering()
    world.want(VmRequest("web1", state="stopped"))
    world.advance(60)
    status = world.vm("web1")
    assert (status.state, status.generation) == ("running", 1)
    assert status.reason == "libvirt does not answer: connection refused; it ran when libvirt last answered"
    hypervisor.answer_again()
    world.settle()
    assert world.vm("web1").state == "stopped"


def test_a_guest_that_ended_while_libvirt_was_away(world: World) -> None:
    hypervisor = world["node1"].hypervisor
    hypervisor.stop_answering()
    hypervisor.end("web1", "never told")
    hypervisor.answer_again()
    world.advance(1)
    assert world.vm("web1").reason.endswith("the last time because it ended while libvirt could not be watched")


# --- the store's life -------------------------------------------------------------------------------------------------


def test_a_store_outage_changes_nothing(world: World) -> None:
    world.advance(5)
    writes = world.znode(paths.status("node1"))
    world.ensemble.down()
    world.advance(600)
    said = [sentence for sentence in world["node1"].sentences if sentence.startswith("blind")]
    assert said[-1].endswith("what runs here runs on, and nothing is started or stopped")
    world.ensemble.up()
    world.advance(5)
    assert world["node1"].view.link.sees
    assert world.log[2:] == []
    assert world.znode(paths.status("node1")) == writes


def test_a_guest_that_dies_during_an_outage_waits_for_its_end(world: World) -> None:
    world.ensemble.down()
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(600)
    assert world["node1"].running == set()
    world.ensemble.up()
    world.advance(5)
    assert world["node1"].running == {"web1"}


def test_a_lost_session_is_replaced_and_nothing_restarts(world: World) -> None:
    node = world["node1"]
    old = world.znode(paths.alive("node1"))
    world.ensemble.expire(node.store)
    world.advance(5)
    new = world.znode(paths.alive("node1"))
    assert new.owner == node.store.session_id != old.owner
    assert world.log[2:] == []


def test_a_claim_taken_away_while_blind_ends_the_domain(world: World) -> None:
    node = world["node1"]
    world.want_blindly("web1", node=None)
    world.settle()
    world.ensemble.cut(node.store)
    world.advance(10)
    claim = world.znode(paths.claim("web1"))
    world.take_claim("web1", "node2", claim)
    world.settle()
    assert world["node2"].running == {"web1"}
    assert node.running == {"web1"}
    world.ensemble.heal(node.store)
    world.advance(2)
    assert node.running == set()
    why = "it runs here, but node2 holds its claim (epoch 2)"
    assert f"web1: destroy: {why}" in node.sentences
    assert world.status("node1").vms == {}


def test_a_domain_of_a_former_epoch_is_replaced(world: World) -> None:
    node = world["node1"]
    world.ensemble.cut(node.store)
    world.advance(10)
    world.take_claim("web1", "node2", world.znode(paths.claim("web1")))
    world.take_claim("web1", "node1", world.znode(paths.claim("web1")))
    world.ensemble.heal(node.store)
    world.advance(2)
    assert world.log[2:] == ["node1: destroy web1", "node1: start web1 epoch 3"]
    assert world.vm("web1").epoch == 3


def test_a_frozen_agent_does_not_start_under_a_claim_it_lost(world: World) -> None:
    """The decision is made, then everything stands still, and the claim goes elsewhere before the effect begins."""
    world.jobs_run = False
    world.want(VmRequest("db1", node="node1", memory=512))
    world.want_blindly("db1", node=None)
    world.settle()
    assert "db1" in world["node1"].view.busy
    world.take_claim("db1", "node2", world.znode(paths.claim("db1")))
    world.jobs_run = True
    world.settle()
    assert "db1" not in world["node1"].running
    assert world["node2"].hypervisor.starts == [("db1", 2)]


def test_a_decision_made_before_a_stop_does_not_start(world: World) -> None:
    world.want(VmRequest("db1", node="node1", memory=512))
    world.jobs_run = False
    world.settle()
    world.want(VmRequest("db1", state="stopped"))
    world.jobs_run = True
    world.settle()
    assert world["node1"].hypervisor.starts == [("web1", 1)]
    assert world.vm("db1").state == "stopped"


def test_a_node_that_is_not_declared_waits(world: World) -> None:
    world.ensemble.expire(world["node2"].store)
    node = world.add_machine("node9")
    world.settle()
    assert node.sentences[-1].startswith("blind: node node9 does not belong to the cluster: add it")
    world.declare("node9")
    world.settle()
    assert node.view.link.sees


def test_a_damaged_record_is_left_as_it_is(world: World) -> None:
    world.damage(paths.vm("web1"))
    world.settle()
    status = world.vm("web1")
    assert status.state == "running"
    assert "its record is damaged" in status.reason
    assert world["node1"].running == {"web1"}


def test_a_damaged_claim_neither_starts_nor_stops(world: World) -> None:
    world.damage(paths.claim("web1"))
    world.settle()
    assert world["node1"].running == {"web1"}
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(60)
    assert world["node1"].running == set()
    assert "its claim is damaged" in world.status("node1").vms["web1"].reason


def test_a_newer_schema_stops_decisions(world: World) -> None:
    world.set_schema_version(99)
    world.settle()
    assert "schema version 99" in world["node1"].sentences[-1]
    world.want_blindly("web1", state="stopped")
    world.advance(60)
    assert world["node1"].running == {"web1"}


# --- many VMs ---------------------------------------------------------------------------------------------------------


def test_starts_are_capped_and_all_happen() -> None:
    world = World("node1")
    world.want(*(VmRequest(f"vm{index:02}", memory=64) for index in range(20)))
    world.jobs_run = False
    world.settle()
    assert len(world["node1"].view.busy) == 4
    world.jobs_run = True
    world.settle()
    assert len(world["node1"].running) == 20


def test_volumes_of_stopped_vms_do_not_hold_starts_up() -> None:
    world = World("node1")
    world.jobs_run = False
    disks = [DiskRequest(size=1 << 20)]
    world.want(*(VmRequest(f"a{index:02}", memory=64, state="stopped", disks=disks) for index in range(20)))
    world.want(VmRequest("web1", memory=64, disks=disks))
    world.settle()
    assert set(world["node1"].view.busy) == {"a00", "a01", "web1"}
    world.jobs_run = True
    world.settle()
    assert world["node1"].running == {"web1"}
    assert len(world.storage.volumes) == 21
    assert {world.vm(f"a{index:02}").reason for index in range(20)} == {"stopped, as wanted"}


def test_nothing_is_written_when_nothing_changes() -> None:
    world = World("node1", "node2")
    world.want(*(VmRequest(f"vm{index:02}", memory=64) for index in range(50)))
    world.advance(5)
    zxid = world.zxid()
    world.advance(3600)
    assert world.zxid() == zxid


def test_a_large_plan_whose_writer_died_is_carried_on_at_once_by_the_leader() -> None:
    world = World("node1", "node2", leading=True)
    world.leave_large_plan_behind([VmRequest(f"vm{index:02}", memory=64, node="node2") for index in range(3)])
    world.settle()
    assert world["node2"].running == {"vm00", "vm01", "vm02"}


def test_a_large_plan_whose_writer_died_is_carried_on_by_a_coordinator(world: World) -> None:
    world.leave_large_plan_behind([VmRequest(f"vm{index:02}", memory=64, node="node2") for index in range(3)])
    world.advance(1)
    assert world["node2"].running == set()
    world.advance(3)
    assert world["node2"].running == {"vm00", "vm01", "vm02"}


def test_a_state_of_a_later_version_is_left_alone(world: World) -> None:
    world.want_blindly("web1", state="hibernated")
    world.advance(60)
    assert world["node1"].running == {"web1"}
    assert world.vm("web1").reason == "state hibernated is not known to this agent: install a newer one"


def test_an_effect_that_hangs_is_named_and_not_repeated(world: World) -> None:
    world.want(VmRequest("db1", node="node1", memory=512))
    world.jobs_run = False
    world.advance(61)
    world.run_jobs_but_starts()
    assert world.vm("db1").reason == "libvirt has not started it within 60 s"
    world.jobs_run = True
    world.settle()
    assert world.vm("db1").state == "running"
    assert world["node1"].hypervisor.starts == [("web1", 1), ("db1", 1)]


def test_a_status_that_cannot_be_written_is_tried_again(world: World) -> None:
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.jobs_run = False
    world.settle()
    world.ensemble.cut(world["node1"].store)
    world.jobs_run = True
    world.settle()
    world.ensemble.heal(world["node1"].store)
    world.advance(3)
    assert world.vm("web1").state == "running"


# --- the machine's shutdown -------------------------------------------------------------------------------------------


def leave(world: World, policy: str, *, reboot: bool) -> None:
    """The service manager of node1 shuts the machine down."""
    world.set_policy(policy)
    world.settle()
    world["node1"].inbox.put(LeaveSeen(reboot))
    world.settle()


@pytest.mark.parametrize(
    ("policy", "reboot", "recover"),
    [
        ("conditional", True, False),
        ("conditional", False, True),
        ("freeze", True, False),
        ("freeze", False, False),
        ("failover", True, True),
        ("failover", False, True),
    ],
)
def test_a_node_that_shuts_down_stops_its_guests_and_signs_off(
    world: World, policy: str, reboot: bool, recover: bool
) -> None:
    leave(world, policy, reboot=reboot)
    assert world.log[2:] == ["node1: shutdown web1"]
    assert world.znode(paths.alive("node1")) is None
    status = world.status("node1")
    assert status.signed_off == SignOff(recover, "this node reboots" if reboot else "this node shuts down", back=reboot)
    assert status.vms["web1"].state == ("backoff" if recover else "frozen")
    world.advance(30)
    assert world.znode(paths.alive("node1")) is None
    world["node1"].reboot()
    world.settle()
    assert world.status("node1").signed_off is None


def test_a_guest_that_does_not_listen_does_not_hold_a_shutdown_up(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", shutdown_timeout=3600))
    leave(world, "freeze", reboot=True)
    world.advance(179)
    assert world["node1"].running == {"web1"}
    world.advance(2)
    assert world.log[-1] == "node1: destroy web1"
    assert world.status("node1").signed_off is not None


def test_neither_does_a_store_that_does_not_answer(world: World) -> None:
    world.ensemble.down()
    world.advance(10)
    world["node1"].inbox.put(LeaveSeen(reboot=False))
    world.advance(60)
    assert world["node1"].running == set()
    assert world["node1"].view.leaving.over is False
    world.advance(200)
    assert world["node1"].view.leaving.over is True
    world.ensemble.up()
    assert world.status("node1").signed_off is None


def test_neither_does_a_libvirt_that_does_not_answer(world: World) -> None:
    world["node1"].hypervisor.stop_answering()
    leave(world, "failover", reboot=False)
    world.advance(200)
    assert world["node1"].view.leaving.over is True
    assert world.status("node1").signed_off is None


def test_guests_are_moved_away_before_the_machine_goes_off(world: World) -> None:
    world.want_blindly("web1", node=None)
    leave(world, "migrate", reboot=True)
    assert world.status("node1").leaving == "migrate"
    assert world.vm("web1").reason == "runs; this node reboots"
    world.advance(20)
    world.move("web1", "node2", "node1 is shutting down", home="node1")
    world.settle()
    assert world["node2"].running == {"web1"}
    assert world.log[2:] == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]
    assert world.status("node1").signed_off == SignOff(False, "this node reboots", back=True)


def test_what_cannot_be_moved_away_is_stopped(world: World) -> None:
    world.faults["web1"] = Faults(move_fails=9)
    leave(world, "migrate", reboot=True)
    world.move("web1", "node2")
    world.advance(29)
    assert world["node1"].running == {"web1"}
    world.advance(5)
    assert world["node1"].running == set()
    assert world.status("node1").vms["web1"].state == "frozen"


def test_nothing_is_started_on_a_node_that_leaves(world: World) -> None:
    world.want(VmRequest("db1", node="node1", state="stopped", memory=512))
    leave(world, "migrate", reboot=True)
    world.want_blindly("db1", state="started")
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world.advance(20)
    assert world["node1"].running == set()
    assert world.log[2:] == []


# --- the length of sessions -------------------------------------------------------------------------------------------


def set_timeout(world: World, seconds: float) -> None:
    znode, data = world.znode(paths.SETTINGS), codec.encode(ClusterSettings(session_timeout=seconds))
    put = Create(paths.SETTINGS, data) if znode is None else Set(paths.SETTINGS, data, znode.version)
    world.user.commit([put])


def test_the_settings_decide_how_long_a_node_may_be_silent(world: World) -> None:
    seen: list[str] = []
    world.user.get(paths.alive("node1"), seen.append)
    set_timeout(world, 20.0)
    world.settle()
    assert world["node1"].feed.session_timeout == 20.0
    assert world["node1"].view.link.sees
    assert world["node1"].running == {"web1"}
    znode = world.znode(paths.alive("node1"))
    assert znode is not None
    assert seen == [paths.alive("node1")]
    assert znode.owner == world["node1"].view.link.session
    world["node1"].kill_agent()
    world.advance(19)
    assert world.znode(paths.alive("node1"))
    world.advance(2)
    assert world.znode(paths.alive("node1")) is None


def test_a_session_is_changed_in_one_transaction_and_the_old_one_ends(world: World) -> None:
    before, gone = world["node1"].view.link.session, list[str]()
    heard, post = list[Event](), world["node1"].feed._post
    world["node1"].feed._post = lambda event: (heard.append(event), post(event))[1]
    ensemble = world.ensemble
    announce = ensemble._announce

    def watch(events: Sequence[Any]) -> None:
        if world.znode(paths.alive("node1")) is None:
            gone.append("the node was without an ephemeral")
        announce(events)

    ensemble._announce = watch  # type: ignore[method-assign]
    set_timeout(world, 20.0)
    world.settle()
    assert gone == []
    assert before not in ensemble._sessions
    assert sum(isinstance(event, Enrolled) for event in heard) == 1, "the end of the old session is nobody's concern"
    assert world["node1"].view.link.session != before


def test_a_new_agent_begins_with_what_the_settings_say(world: World) -> None:
    set_timeout(world, 20.0)
    world.settle()
    world["node1"].restart_agent()
    world.settle()
    assert world["node1"].feed.session_timeout == 20.0
    assert world["node1"].view.link.sees


def test_settings_that_make_no_sense_change_no_session(world: World) -> None:
    session = world["node1"].view.link.session
    set_timeout(world, 0.0)
    world.settle()
    assert world["node1"].view.link.session == session
    world.damage(paths.SETTINGS)
    world.settle()
    assert world["node1"].view.link.session == session
