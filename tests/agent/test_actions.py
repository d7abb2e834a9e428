# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts, resets, growth, copies, other names, snapshots and rollbacks under whole agents, wherever an agent or a node dies."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.commit import commit
from pvc_state.errors import InvalidRequest
from pvc_state.plan_snapshots import plan_snapshots
from pvc_state.records import Rule
from pvc_state.requests import CloneRequest, DiskRequest, SnapshotRequest, VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Create
from pvc_state.views import settled
from tests.agent.world import World

GIB = 1 << 30
WEB = VmRequest("web1", node="node1", memory=512, disks=[DiskRequest(size=GIB), DiskRequest(size=GIB)])
DISKS = "vms/web1-disk0, vms/web1-disk1"


@pytest.fixture
def world() -> World:
    """Two nodes, and web1 running on the first."""
    world = World("node1", "node2")
    world.want(WEB)
    world.settle()
    world.log.clear()
    return world


def snap(world: World, *requests: SnapshotRequest) -> None:
    commit(world.user, lambda snapshot: plan_snapshots(snapshot, requests))


def is_settled(world: World, vm: str = "web1") -> bool:
    return settled(load(world.user), vm)


# --- restart and reset ------------------------------------------------------------------------------------------------


def test_a_restart_stops_the_guest_and_starts_it_with_its_new_hardware(world: World) -> None:
    world.want(VmRequest("web1", memory=1024))
    world.want(VmRequest("web1", state="restarted"))
    world.settle()
    assert world.log == ["node1: shutdown web1", "node1: start web1 epoch 1"]
    status = world.vm("web1")
    assert (status.state, status.restart, status.definition, status.restarts) == ("running", 1, 2, 0)
    assert is_settled(world)


def test_a_guest_that_does_not_listen_is_restarted_all_the_same(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", state="restarted", shutdown_timeout=20))
    world.settle()
    assert not is_settled(world)
    world.advance(20)
    assert world.log[-2:] == ["node1: destroy web1", "node1: start web1 epoch 1"]
    assert is_settled(world)
    assert world.vm("web1").restarts == 0


def test_no_more_are_restarted_at_once_than_may_be_started(world: World) -> None:
    names = [f"many{number}" for number in range(9)]
    world.want(*(VmRequest(name, node="node1", memory=64) for name in names))
    world.settle()
    world["node1"].hypervisor.obedient = False
    world.want(*(VmRequest(name, state="restarted", shutdown_timeout=20) for name in names))
    world.settle()

    def asked() -> int:
        return sum("its guest was asked to power off" in world.vm(name).reason for name in names)

    assert (asked(), world.vm("many8").reason) == (4, "runs; waits for its turn to be restarted")
    world.want(VmRequest("fresh", node="node1", memory=64))
    world.settle()
    assert "fresh" in world["node1"].running, "nobody waits for those that do not listen"
    for done in (4, 8, 9):
        world.advance(20)
        assert sum(world.vm(name).restart == 1 for name in names) == done
        assert asked() == min(4, 9 - done)


def test_what_changes_during_a_restart_neither_prolongs_nor_repeats_it(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", state="restarted", shutdown_timeout=20))
    world.advance(15)
    world.want(VmRequest("web1", description="meanwhile"))
    world.advance(5)
    assert world.log[-2:] == ["node1: destroy web1", "node1: start web1 epoch 1"]
    assert world.log.count("node1: start web1 epoch 1") == 1


def test_an_end_that_was_asked_for_is_no_crash_whatever_else_has_changed(world: World) -> None:
    world["node1"].hypervisor.obedient = False
    world.want(VmRequest("web1", state="restarted"))
    world.settle()
    world["node1"].hypervisor.end("web1", "its guest powered itself off")
    world.want(VmRequest("web1", description="meanwhile"))
    world.settle()
    assert world.log == ["node1: shutdown web1", "node1: start web1 epoch 1"]
    assert world.vm("web1").restarts == 0


def test_a_restart_of_a_stopped_vm_starts_it(world: World) -> None:
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.log.clear()
    world.want(VmRequest("web1", state="restarted"))
    world.settle()
    assert world.log == ["node1: start web1 epoch 1"]


def test_two_requests_before_the_first_is_done_are_one_restart(world: World) -> None:
    world.want(VmRequest("web1", state="restarted"))
    world.want(VmRequest("web1", state="restarted"))
    world.settle()
    assert world.log.count("node1: start web1 epoch 1") == 1
    assert world.vm("web1").restart == 2


@pytest.mark.parametrize("when", ["before", "while it stops", "after"])
def test_a_restart_is_done_once_although_the_agent_dies(world: World, when: str) -> None:
    node = world["node1"]
    if when == "before":
        node.kill_agent()
    node.hypervisor.obedient = when != "while it stops"
    world.want(VmRequest("web1", state="restarted", shutdown_timeout=20))
    world.settle()
    if when != "before":
        node.kill_agent()
    node.hypervisor.obedient = True
    node.start_agent()
    world.advance(30)
    assert world.log.count("node1: start web1 epoch 1") == 1
    assert is_settled(world)


def test_a_restart_that_was_done_is_not_done_again_by_the_next_owner(world: World) -> None:
    world.want(VmRequest("web1", state="restarted"))
    world.want(VmRequest("web1", state="reset"))
    world.settle()
    world.log.clear()
    world.move("web1", "node2")
    world.settle()
    assert world.log == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]
    assert (world.vm("web1").restart, world.vm("web1").reset) == (1, 1)


def test_a_restart_that_was_not_done_follows_a_move(world: World) -> None:
    world["node1"].kill_agent()
    world.want(VmRequest("web1", state="restarted"))
    world.want(VmRequest("web1", node=None))
    world.move("web1", "node2")
    world["node1"].start_agent()
    world.settle()
    assert "node1: migrate web1 to node2" in world.log
    assert world.log[-2:] == ["node2: shutdown web1", "node2: start web1 epoch 2"]


def test_each_reset_is_done_once(world: World) -> None:
    for _turn in range(2):
        world.want(VmRequest("web1", state="reset"))
        world.settle()
        world["node1"].kill_agent()
        world["node1"].start_agent()
        world.settle()
    assert world.log == ["node1: reset web1"] * 2
    assert world.vm("web1").reset == 2


def test_a_reset_that_fails_is_tried_again(world: World) -> None:
    world["node1"].hypervisor.stop_answering()
    world.want(VmRequest("web1", state="reset"))
    world.settle()
    assert not is_settled(world)
    world["node1"].hypervisor.answer_again()
    world.advance(5)
    assert world.log == ["node1: reset web1"]
    assert is_settled(world)


# --- larger disks and copies ------------------------------------------------------------------------------------------


def test_a_disk_grows_while_its_guest_runs(world: World) -> None:
    world.want(VmRequest("web1", disks=[DiskRequest(size=GIB), DiskRequest(size=2 * GIB)]))
    world.settle()
    assert world.log == [f"node1: grow vms/web1-disk1 to {2 * GIB}"]
    status = world.vm("web1")
    assert (status.definition, status.state) == (1, "running")
    world["node1"].kill_agent()
    world["node1"].start_agent()
    world.settle()
    assert len(world.log) == 1


def test_a_disk_that_came_while_the_guest_runs_grows(world: World) -> None:
    disks = [DiskRequest(size=GIB), DiskRequest(size=GIB), DiskRequest(size=GIB)]
    world.want(VmRequest("web1", disks=disks))
    world.settle()
    world.want(VmRequest("web1", disks=[*disks[:2], DiskRequest(size=2 * GIB)]))
    world.settle()
    assert world.log[-1] == f"node1: grow vms/web1-disk2 to {2 * GIB}"


def test_a_guest_that_clings_to_a_disk_is_reset(world: World) -> None:
    world["node1"].hypervisor.clinging = {"web1"}
    world.want(VmRequest("web1", disks=[DiskRequest(size=GIB)]))
    world.settle()
    world.log.clear()
    world.want(VmRequest("web1", state="reset"))
    world.settle()
    assert world.log[0] == "node1: reset web1"
    assert world.vm("web1").reset == 1


def test_a_disk_grows_while_nothing_runs(world: World) -> None:
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.want(VmRequest("web1", disks=[DiskRequest(size=2 * GIB), DiskRequest(size=GIB)]))
    world.settle()
    assert world.log[1:] == [f"resize vms/web1-disk0 to {2 * GIB}"]


def test_a_disk_that_was_to_grow_does_so_before_the_next_start_at_the_latest(world: World) -> None:
    world["node1"].kill_agent()
    world.want(VmRequest("web1", disks=[DiskRequest(size=GIB), DiskRequest(size=2 * GIB)]))
    world["node1"].hypervisor.end("web1", "its QEMU died")
    world["node1"].start_agent()
    world.settle()
    assert world.log == [f"resize vms/web1-disk1 to {2 * GIB}", "node1: start web1 epoch 1"]


def test_a_disk_that_did_not_grow_in_its_guest_does_so_afterwards(world: World) -> None:
    def refuse(what: str, _vm: str) -> None:
        if what == "grow":
            raise EffectFailed("QEMU does not want to")

    world["node1"].hypervisor.before = refuse
    world.want(VmRequest("web1", disks=[DiskRequest(size=GIB), DiskRequest(size=2 * GIB)]))
    world.settle()
    assert (world.vm("web1").state, is_settled(world)) == ("running", False)
    assert world.vm("web1").reason == "QEMU does not want to; tried again after 1 s"
    world.want(VmRequest("web1", state="restarted"))
    world.settle()
    assert world.log == ["node1: shutdown web1", f"resize vms/web1-disk1 to {2 * GIB}", "node1: start web1 epoch 1"]


def test_a_copy_is_made_from_a_snapshot_of_a_guest_that_runs(world: World) -> None:
    snap(world, SnapshotRequest("web1", "v1"))
    world.settle()
    world.log.clear()
    world.want(VmRequest("web2", node="node2", clone_from=CloneRequest("web1", "v1")))
    world.settle()
    assert world.log == [
        "copy vms/web1-disk0@pvc.v1 to vms/web2-disk0",
        "copy vms/web1-disk1@pvc.v1 to vms/web2-disk1",
        "node2: start web2 epoch 1",
    ]


# --- another name -----------------------------------------------------------------------------------------------------


def test_a_vm_with_another_name_runs_on_its_old_volumes(world: World) -> None:
    world.user.commit([Create(paths.rule("near"), encode(Rule("apart", ("other", "web1"))))])
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    uuid = world.desired("web1")[0].uuid
    world.want(VmRequest("web1", new_name="www"))
    world.settle()
    assert world.znode(paths.vm("web1")) is None
    assert "web1" not in world.status("node1").vms
    assert world.vm("www").state == "stopped"
    world.log.clear()
    world.want(VmRequest("www", state="started", disks=[DiskRequest(size=GIB), DiskRequest(size=GIB)]))
    world.settle()
    assert world.log == ["node1: start www epoch 1"]
    assert world.desired("www")[0].uuid == uuid
    assert load(world.user).rules["near"].value == Rule("apart", ("other", "www"), generation=2)


# --- snapshots --------------------------------------------------------------------------------------------------------


def test_a_guest_is_held_while_its_snapshot_is_made(world: World) -> None:
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    assert world.log == ["node1: hold web1", f"snapshot a of {DISKS}", "node1: release web1"]
    assert world.vm("web1").snapshots == ("a",)
    assert is_settled(world)


def test_a_snapshot_that_fails_lets_the_guest_go_and_is_made_later(world: World) -> None:
    world.storage.failing = "Ceph failed: no space"
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    assert world.log == ["node1: hold web1", "node1: release web1"]
    status = world.vm("web1")
    assert (status.state, status.reason) == ("running", "Ceph failed: no space; tried again after 1 s")
    assert not is_settled(world)
    world.storage.failing = ""
    world.advance(1)
    assert (world.vm("web1").snapshots, world.vm("web1").reason) == (("a",), "runs")


def test_only_the_newest_of_a_series_are_kept(world: World) -> None:
    for day in "123":
        snap(world, SnapshotRequest("web1", f"day{day}", series="daily", keep=2))
        snap(world, SnapshotRequest("web1", f"hour{day}", series="hourly"))
        world.settle()
    assert world.vm("web1").snapshots == ("hour1", "day2", "hour2", "day3", "hour3")
    assert f"remove snapshot day1 of {DISKS}" in world.log


def test_snapshots_follow_a_move(world: World) -> None:
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    world.log.clear()
    world.move("web1", "node2")
    world.settle()
    assert world.vm("web1").snapshots == ("a",)
    assert not [line for line in world.log if "snapshot" in line]


AGAIN = [f"remove snapshot a of {DISKS}", "hold", f"snapshot a of {DISKS}", "release"]


def plain(world: World) -> list[str]:
    """What happened to snapshots, and around them, wherever."""
    words = (re.sub(r"^node\d: (hold|release) web1$", r"\1", line) for line in world.log)
    return [line for line in words if line in ("hold", "release") or "snapshot" in line]


def test_an_old_snapshot_does_not_pass_for_a_new_one_of_its_name(world: World) -> None:
    """Its record was changed twice while nobody looked: the owner must not take what it has made before for it."""
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    world.log.clear()
    world["node1"].kill_agent()
    first = world.desired("web1")[0].snapshots[0]
    world.want_blindly("web1", snapshots=(replace(first, id="another"),), generation=9)
    world["node1"].start_agent()
    world.settle()
    assert plain(world) == AGAIN
    assert is_settled(world)


def test_the_next_owner_removes_what_the_last_one_has_left(world: World) -> None:
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    world.log.clear()
    world["node1"].kill_agent()
    snap(world, SnapshotRequest("web1", "a", "absent"))
    world["node1"].hypervisor.end("web1", "its QEMU died")
    znode = world.znode(paths.claim("web1"))
    assert znode is not None
    world.take_claim("web1", "node2", znode)
    world.want_blindly("web1", node="node2")
    world.settle()
    assert plain(world) == AGAIN[:1]
    world.log.clear()
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    assert plain(world) == AGAIN[1:]


def test_snapshots_of_kept_volumes_are_not_those_of_the_next_vm(world: World) -> None:
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    world.want(VmRequest("web1", state="absent"))
    world.settle()
    world.advance(100)
    world.want(WEB)
    world.settle()
    world.log.clear()
    snap(world, SnapshotRequest("web1", "a", at="later"))
    world.settle()
    assert plain(world) == AGAIN


def test_a_guest_that_was_left_held_is_let_go(world: World) -> None:
    node = world["node1"]
    node.kill_agent()
    node.hypervisor.domains["web1"] = replace(node.hypervisor.domains["web1"], held=True)
    node.start_agent()
    world.settle()
    assert world.log == ["node1: release web1"]


@pytest.fixture
def clinging(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """web1 was left held, and its own agent answers no more."""

    def refuse(_vm: str, _uuid: str) -> None:
        raise EffectFailed("it does not thaw")

    node = world["node1"]
    node.kill_agent()
    node.hypervisor.domains["web1"] = replace(node.hypervisor.domains["web1"], held=True)
    monkeypatch.setattr(node.hypervisor, "release", refuse)
    node.start_agent()
    return world


def test_a_guest_that_cannot_be_let_go_can_be_stopped(clinging: World) -> None:
    clinging["node1"].hypervisor.obedient = False
    clinging.want(VmRequest("web1", state="stopped", shutdown_timeout=20))
    clinging.advance(25)
    assert (clinging.log[0], clinging.log[-1]) == ("node1: shutdown web1", "node1: destroy web1")


def test_a_guest_that_cannot_be_let_go_can_move_and_is_let_go_there(clinging: World) -> None:
    clinging.move("web1", "node2")
    clinging.advance(15)
    assert clinging.log == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2", "node2: release web1"]


def test_a_guest_that_cannot_be_let_go_can_be_reset(clinging: World) -> None:
    clinging.want(VmRequest("web1", state="reset"))
    clinging.settle()
    assert clinging.log == ["node1: reset web1"]


def test_a_guest_that_cannot_be_let_go_says_so_and_grows(clinging: World) -> None:
    snap(clinging, SnapshotRequest("web1", "a"))
    clinging.want(VmRequest("web1", disks=[DiskRequest(size=2 * GIB), DiskRequest(size=GIB)]))
    clinging.advance(15)
    assert clinging.log == [f"node1: grow vms/web1-disk0 to {2 * GIB}"]
    assert clinging.vm("web1").reason.startswith("it does not thaw")


def test_an_ignored_guest_is_let_go(world: World) -> None:
    node = world["node1"]
    node.kill_agent()
    node.hypervisor.domains["web1"] = replace(node.hypervisor.domains["web1"], held=True)
    world.want(VmRequest("web1", state="ignored"))
    node.start_agent()
    world.settle()
    assert world.log == ["node1: release web1"]
    assert world.vm("web1").reason.startswith("ignored: ")


# --- rollback ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stopped(world: World) -> World:
    """web1 is stopped, and has a snapshot."""
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    world.want(VmRequest("web1", state="stopped"))
    world.settle()
    world.log.clear()
    return world


BACK = ["roll back vms/web1-disk0 to a", "roll back vms/web1-disk1 to a"]


def test_disks_are_taken_back_before_the_vm_starts(stopped: World) -> None:
    stopped["node1"].kill_agent()
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back"))
    stopped.want(VmRequest("web1", state="started"))
    stopped["node1"].start_agent()
    stopped.settle()
    assert stopped.log == [*BACK, "node1: start web1 epoch 1"]


def test_each_rollback_is_done_once_wherever_the_vm_goes(stopped: World) -> None:
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back"))
    stopped.settle()
    assert stopped.log == BACK
    stopped["node1"].kill_agent()
    stopped["node1"].start_agent()
    stopped.want(VmRequest("web1", state="started", node="node2"))
    stopped.settle()
    stopped.advance(60)
    assert "node2: start web1 epoch 2" in stopped.log
    assert [line for line in stopped.log if line.startswith("roll back")] == BACK
    assert stopped.desired("web1")[0].rollback is None


def test_the_next_owner_does_not_roll_back_what_has_run_since(stopped: World) -> None:
    """Even while the record still names the rollback: the volumes know."""
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back"))
    stopped.settle()
    stopped.want_blindly("web1", state="started", node="node2", generation=9)
    stopped.settle()
    stopped.advance(60)
    assert "node2: start web1 epoch 2" in stopped.log
    assert [line for line in stopped.log if line.startswith("roll back")] == BACK


def test_a_rollback_of_a_vm_before_does_not_count_for_the_next_one_with_its_name(stopped: World) -> None:
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back"))
    stopped.settle()
    stopped.want(VmRequest("web1", state="absent"))
    stopped.settle()
    stopped.want(replace(WEB, state="stopped"))
    stopped.settle()
    snap(stopped, SnapshotRequest("web1", "a", at="later"))
    stopped.settle()
    stopped.log.clear()
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back", at="later"))
    stopped.settle()
    assert stopped.log == BACK


@pytest.mark.parametrize("way", ["another", "off"])
def test_a_rollback_that_fails_is_replaced_or_called_off(stopped: World, way: str) -> None:
    snap(stopped, SnapshotRequest("web1", "b"))
    stopped.settle()
    stopped.storage.snapshots["vms/web1-disk1"].pop("a")
    stopped.log.clear()
    snap(stopped, SnapshotRequest("web1", "a", "rolled_back"))
    stopped.settle()
    assert (stopped.vm("web1").state, is_settled(stopped)) == ("backoff", False)
    back = SnapshotRequest("web1", "b", "rolled_back") if way == "another" else SnapshotRequest("web1", "a", "absent")
    snap(stopped, back)
    stopped.want(VmRequest("web1", state="started"))
    stopped.settle()
    stopped.advance(10)
    assert stopped.vm("web1").state == "running"
    backs = [line.replace(" to a", " to b") for line in BACK] if way == "another" else []
    assert [line for line in stopped.log if line.startswith("roll back")] == backs


def test_a_guest_that_runs_is_not_rolled_back(world: World) -> None:
    snap(world, SnapshotRequest("web1", "a"))
    world.settle()
    with pytest.raises(InvalidRequest, match="is not stopped: its state is started; stop it first"):
        snap(world, SnapshotRequest("web1", "a", "rolled_back"))
