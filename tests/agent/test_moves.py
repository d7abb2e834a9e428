# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves that take their time: called off, broken off, hanging; and what is told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvc_node_agent.absorb import absorb
from pvc_node_agent.effects import WriteStatus
from pvc_node_agent.events import DomainSeen
from pvc_node_agent.sim.faults import Faults
from pvc_node_agent.step import step
from pvc_node_agent.view import Domain, DomainState
from pvc_state import paths
from pvc_state.records import Claim, Migration
from pvc_state.requests import DiskRequest, VmRequest
from tests.agent.world import World

WEB = VmRequest("web1", memory=512, disks=[DiskRequest(size=1 << 30)])
SECONDS = 4.0


@pytest.fixture
def world() -> World:
    """Three nodes, and web1 running on the first. A move takes four seconds."""
    world = World("node1", "node2", "node3")
    world.want(WEB)
    world.settle()
    assert world["node1"].running == {"web1"}
    world.orders["move"] = SECONDS
    return world


def log(world: World) -> list[str]:
    """What was done since web1 runs."""
    return world.log[2:]


def test_how_a_guest_came_is_told(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    assert (world.vm("web1").state, world.claim("web1")) == ("moving", Claim("node1", 1, to="node2", why="test"))
    world.advance(SECONDS)
    told = "from node1 in 1.0 s; its guest stood still for 100 ms"
    assert (world.vm("web1").state, world.vm("web1").moved) == ("running", told)
    world["node2"].restart_agent()
    world.advance(1)
    assert world.vm("web1").moved == told
    world.want(VmRequest("web1", description="another generation"))
    world.settle()
    assert world.vm("web1").moved == told
    world["node2"].hypervisor.end("web1", "its guest crashed")
    world.advance(5)
    assert (world.vm("web1").state, world.vm("web1").moved) == ("running", "")


def test_why_a_guest_did_not_go_is_told_until_it_goes(world: World) -> None:
    world.faults["web1"] = Faults(move_fails=1)
    world.move("web1", "node2")
    world.settle()
    world.move("web1", "")
    world.settle()
    assert (world.vm("web1").refused, world.vm("web1").moved) == (
        "",
        "not to node2: its move was made to fail (1 of 1)",
    )
    world.move("web1", "node2")
    world.advance(SECONDS)
    assert world.vm("web1").moved.startswith("from node1")


def test_a_move_is_called_off_and_the_guest_runs_on(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world.move("web1", "")
    world.settle()
    assert world.vm("web1").reason.endswith("is not to be moved any more: libvirt was told so")
    world.advance(SECONDS)
    assert log(world) == ["node1: migrate web1 to node2", "node1: cancel the move of web1"]
    assert (world.vm("web1").state, world.vm("web1").reason) == ("running", "runs")
    assert world["node2"].hypervisor.domains == {}
    world.move("web1", "node3")
    world.advance(SECONDS)
    assert world["node3"].running == {"web1"}, "it can be moved again"


def test_a_move_that_libvirt_does_not_call_off_is_called_off_again(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world["node1"].hypervisor.stop_answering()
    world.move("web1", "")
    world.settle()
    world["node1"].hypervisor.answer_again()
    world.advance(SECONDS)
    assert log(world) == ["node1: migrate web1 to node2", "node1: cancel the move of web1"]
    assert world["node1"].running == {"web1"}


def test_a_guest_that_has_left_is_handed_over_although_its_move_was_called_off(world: World) -> None:
    world.orders.clear()
    world["node1"].later.delay = 1.0  # the store is slow to take the new claim
    world.move("web1", "node2")
    world.settle()
    assert world["node2"].hypervisor.domains["web1"].state is DomainState.ARRIVED
    world.move("web1", "")
    world.advance(8)
    assert log(world) == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]
    assert world.claim("web1") == Claim("node2", 2, with_guest=2)
    assert [world.user.children(paths.assigned(node)) for node in ("node1", "node2")] == [[], ["web1"]]


def test_a_guest_that_has_left_goes_on_to_where_it_is_wanted_now(world: World) -> None:
    world.orders.clear()
    world["node1"].later.delay = 1.0
    world.move("web1", "node2")
    world.settle()
    world.move("web1", "node3")
    world.advance(8)
    assert log(world) == [
        "node1: migrate web1 to node2",
        "node2: resume web1 epoch 2",
        "node2: migrate web1 to node3",
        "node3: resume web1 epoch 3",
    ]
    assert [world.user.children(paths.assigned(node)) for node in ("node1", "node2", "node3")] == [[], [], ["web1"]]


def test_an_agent_that_comes_back_calls_a_move_off_that_nobody_wants_any_more(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world["node1"].kill_agent()
    world.move("web1", "")
    world["node1"].start_agent()
    world.advance(1)
    assert log(world) == ["node1: migrate web1 to node2", "node1: cancel the move of web1"]
    world.advance(SECONDS)
    assert (world.vm("web1").state, world["node1"].running) == ("running", {"web1"})


def test_an_agent_that_comes_back_awaits_the_move_of_the_one_before_it(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world["node1"].restart_agent()
    world.advance(20)
    assert world.claim("web1") == Claim("node2", 2, with_guest=2)
    assert log(world) == ["node1: migrate web1 to node2", "node2: resume web1 epoch 2"]


def test_an_agent_that_comes_back_calls_a_move_off_that_goes_elsewhere_than_is_wanted_now(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world["node1"].kill_agent()
    world.move("web1", "node3")
    world["node1"].start_agent()
    world.advance(20)
    assert log(world) == [
        "node1: migrate web1 to node2",
        "node1: cancel the move of web1",
        "node1: migrate web1 to node3",
        "node3: resume web1 epoch 2",
    ]


def test_a_guest_that_left_before_its_move_was_called_off_is_handed_over_to_where_it_is(world: World) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world["node1"].kill_agent()
    world.move("web1", "node3")
    hypervisor = world["node1"].hypervisor
    hypervisor.cancel_move = lambda vm, _uuid: hypervisor.tell(DomainSeen(vm, hypervisor.domains[vm]))  # type: ignore[method-assign]
    world["node1"].start_agent()
    world.advance(30)
    assert log(world) == [
        "node1: migrate web1 to node2",
        "node2: resume web1 epoch 2",
        "node2: migrate web1 to node3",
        "node3: resume web1 epoch 3",
    ]


@pytest.mark.parametrize("victim", ["node1", "node2"])
def test_a_node_that_dies_on_the_way(world: World, victim: str) -> None:
    world.move("web1", "node2")
    world.advance(1)
    world[victim].power_cut()
    world.advance(SECONDS)
    if victim == "node1":
        assert world["node2"].hypervisor.domains == {}
    else:
        assert (world["node1"].running, world.vm("web1").refused) == ({"web1"}, "node2")


def test_a_move_that_never_ends_keeps_no_lane(world: World) -> None:
    world.orders["move"] = 1e6
    world.want(*(VmRequest(f"hung{number}", node="node1", memory=64) for number in (1, 2)))
    world.settle()
    for vm in ("hung1", "hung2"):
        world.want_blindly(vm, node=None)
        world.move(vm, "node2")
    world.settle()
    del world.orders["move"]
    world.move("web1", "node2")
    world.advance(600)
    assert "waits until others have been moved" in world.vm("web1").reason
    world.advance(100)
    assert world.vm("hung1").reason == "libvirt has not moved it within 11 minutes"
    assert world["node2"].running == {"web1"}


def test_a_guest_that_somebody_has_paused_moves_and_stays_paused(world: World) -> None:
    world["node1"].hypervisor.change("web1", DomainState.PAUSED)
    world.move("web1", "node2")
    world.advance(SECONDS)
    assert world["node2"].hypervisor.domains["web1"].state is DomainState.PAUSED
    assert (world.vm("web1").state, world.vm("web1").reason) == ("running", "its guest is paused, and not by the agent")


def test_a_paused_guest_that_was_not_handed_over_is_not_run_from_an_older_memory(world: World) -> None:
    """It arrives paused, but the move breaks at its end; somebody resumes it at its source, and then the source dies."""
    world.orders.clear()
    hypervisor = world["node1"].hypervisor
    hypervisor.change("web1", DomainState.PAUSED)
    hypervisor.breaks = True
    world.move("web1", "node2")
    world.settle()
    hypervisor.change("web1", DomainState.RUNNING)
    world["node1"].power_cut()
    claim = world.znode(paths.claim("web1"))
    assert claim is not None
    world.move("web1", "")
    claim = world.znode(paths.claim("web1"))
    assert claim is not None
    world.take_claim("web1", "node2", claim)
    world.advance(2)
    assert log(world) == ["node1: migrate web1 to node2", "node2: destroy web1", "node2: start web1 epoch 2"]


def test_how_it_is_to_be_moved_is_passed_on(world: World) -> None:
    how = Migration(max_downtime=50, bandwidth=10, auto_converge=False)
    world.want_blindly("web1", migration=how)
    asked: list[Migration] = []
    migrate = world["node1"].hypervisor.migrate
    world["node1"].hypervisor.migrate = lambda *args: (asked.append(args[-1]), migrate(*args))[1]  # type: ignore[method-assign]
    world.move("web1", "node2")
    world.advance(SECONDS)
    assert asked == [how]


def test_a_node_tells_of_its_processor_and_remembers_it(world: World) -> None:
    status = world.status("node1")
    assert (status.cpu_model, status.cpu_models, status.cpu_default) == ("Model", ("Model", "Older"), "host-model")
    world["node1"].hypervisor.stop_answering()
    world["node1"].restart_agent()
    world.advance(5)
    assert world.status("node1").cpu_model == "Model"


def test_a_vm_that_is_deleted_as_its_guest_arrives_is_deleted_there(world: World) -> None:
    world.orders.clear()
    world["node1"].later.delay = 1.0
    world.move("web1", "node2")
    world.settle()
    world.want_blindly("web1", state="absent", delete_volumes=True)
    world.advance(10)
    assert world.claim("web1") is None
    assert not any(node.hypervisor.domains for node in world.nodes.values())
    assert log(world)[-2:] == ["node2: destroy web1", "remove vms/web1-disk0"]


def test_a_vm_that_is_to_be_ignored_as_its_guest_arrives_runs_on(world: World) -> None:
    world.orders.clear()
    world["node1"].later.delay = 1.0
    world.move("web1", "node2")
    world.settle()
    world.want_blindly("web1", state="ignored")
    world.advance(10)
    assert world["node2"].running == {"web1"}


def test_a_cold_move_to_a_node_that_has_gone_meanwhile_is_given_up(world: World) -> None:
    world.want_blindly("web1", migration=Migration("shutdown"))
    world["node1"].hypervisor.obedient = False
    world.move("web1", "node2")
    world.advance(1)
    world["node2"].power_cut()
    world.advance(120)
    assert (world.claim("web1"), world.vm("web1").refused) == (Claim("node1", 1, to="node2", why="test"), "node2")
    assert world["node1"].running == {"web1"}, "it is started again where it was"


def test_a_guest_that_has_arrived_runs_no_sooner_than_how_it_came_is_told(world: World) -> None:
    world.orders.clear()
    resume, told = world["node2"].hypervisor.resume, []

    def slowly(vm: str, uuid: str) -> str:
        came = resume(vm, uuid)
        view = replace(world["node2"].view, writing=False)
        told.append(
            step(world["node2"].clock.now(), absorb(0.0, view, DomainSeen(vm, Domain(uuid, DomainState.RUNNING, 2, 1))))
        )
        return came

    world["node2"].hypervisor.resume = slowly  # type: ignore[method-assign]
    world.move("web1", "node2")
    world.settle()
    (outcome,) = told
    states = {effect.status.vms["web1"].state for effect in outcome.effects if isinstance(effect, WriteStatus)}
    assert "running" not in states
    assert world.vm("web1").moved
