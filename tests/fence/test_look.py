# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a coordinator reads of the fence devices that are declared, and when."""

from __future__ import annotations

from collections import Counter

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.health.fence import STEADY, UNEASY, Fences
from pvc_state import codec, paths
from pvc_state.fence_devices import declaration
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.records import Alive, FenceDevice, Node, Service
from pvc_state.store import Create, Delete, Set

BMC = FenceDevice("bmc", "ipmi", "10.0.0.1")


class World:
    """Nodes in a store, and devices that read as told."""

    def __init__(self) -> None:
        self.store = MemoryEnsemble().connect()
        self.store.commit([Create(paths.NODES), Create(paths.ALIVE)])
        self.time = 0.0
        self.power = "on"
        self.trouble = ""
        self.reads: Counter[str] = Counter()
        self.fences = Fences(lambda: self.store, self, lambda: self.time)

    def read(self, device: FenceDevice) -> str:
        self.reads[device.name] += 1
        if self.trouble:
            raise EffectFailed(self.trouble)
        return self.power

    def declare(self, name: str, *devices: FenceDevice, together: bool = False) -> None:
        data = codec.encode(Node(fence=devices, fence_together=together))
        znode = self.store.get(paths.node(name))
        self.store.commit([Set(paths.node(name), data, znode.version) if znode else Create(paths.node(name), data)])

    def live(self, name: str) -> None:
        self.store.commit([Create(paths.alive(name), codec.encode(Alive("boot", "agent")), ephemeral=True)])

    def look(self, after: float = 0.0) -> list[Service]:
        self.time += after
        return list(self.fences.look())


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_declared(world: World) -> None:
    world.declare("node1")
    assert world.look() == []


def test_a_device_is_read_when_it_was_declared_and_then_now_and_then(world: World) -> None:
    world.declare("node1", BMC)
    details = {"declaration": declaration(BMC), "power": "on"}
    seen = [Service("fence", "node1/bmc", "answers", details=details)]
    assert world.look() == seen
    assert world.look(after=STEADY - 1) == seen
    assert world.reads["bmc"] == 1
    world.look(after=1)
    assert world.reads["bmc"] == 2


def test_a_changed_declaration_is_read_at_once_and_told_apart(world: World) -> None:
    world.declare("node1", BMC)
    (before,) = world.look()
    world.declare("node1", FenceDevice("bmc", "ipmi", "10.0.0.2"), FenceDevice("other", "ipmi", "10.0.0.3"))
    after = world.look()
    assert [one.name for one in after] == ["node1/bmc", "node1/other"]
    assert after[0].details["declaration"] != before.details["declaration"]
    world.store.commit([Delete(paths.node("node1"), 1)])
    assert world.look() == []


def test_one_that_does_not_answer_is_not_healthy_and_read_again_soon(world: World) -> None:
    world.declare("node1", BMC)
    world.trouble = "nothing answers"
    (one,) = world.look()
    assert (one.healthy, one.state, one.why) == (False, "no answer", "nothing answers")
    world.trouble = ""
    assert world.look(after=UNEASY - 1) == [one]
    (one,) = world.look(after=1)
    assert (one.healthy, one.state) == (True, "answers")


def test_one_that_reads_off_of_a_node_that_lives_is_found_out(world: World) -> None:
    world.declare("node1", BMC)
    world.live("node1")
    world.power = "off"
    (one,) = world.look()
    assert one.healthy, "its session may outlive it by seconds"
    (one,) = world.look(after=UNEASY)
    assert (one.healthy, one.state) == (False, "wrong")
    assert one.why == "it reads off while the agent of its node lives: it is another machine's device, or it lies"


@pytest.mark.parametrize("alive", [True, False])
def test_off_is_fine_for_a_node_without_a_session_and_one_of_several_supplies(world: World, alive: bool) -> None:
    world.declare("node1", BMC, together=alive)
    if alive:
        world.live("node1")
    world.power = "off"
    for _turn in range(3):
        (one,) = world.look(after=STEADY)
        assert (one.healthy, one.details["power"]) == (True, "off")


def test_what_is_known_stays_while_the_store_is_out_of_reach(world: World) -> None:
    world.declare("node1", BMC)
    before = world.look()
    world.store.close()
    assert world.look(after=STEADY) == before
    assert world.reads["bmc"] == 2
