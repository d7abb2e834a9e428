# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decides between nodes that all may run a VM. The first three scores are in test_placement.py."""

from __future__ import annotations

import pytest

from pvc_state.placement import Choice, Placement
from pvc_state.records import PLACEMENTS, Settings, Vm
from pvc_state.scores import SCORES, FreeMemory, Scores
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation


def two(placement: str, **large: int) -> Situation:
    """A node of 4 GiB for VMs and four processors, and one of 16 with sixteen."""
    made = Situation(settings=Settings(placement=placement))
    made.node("large", memory=1024 + 16384, cpus=16, **large)
    made.node("small", memory=1024 + 4096, cpus=4)
    return made


def new(made: Situation, memory: int = 512, vcpus: int = 1, placement: str = "") -> Choice:
    found = Placement(made.snapshot).find({"new": Vm("new", memory, vcpus, placement=placement)})
    assert isinstance(found, Choice), found
    return found


def test_every_placement_has_a_score_of_its_own() -> None:
    made = situation(1)
    scores = Scores(made.snapshot, ["node1"], {"node1": 1})
    of = [type(scores.of(name)) for name in PLACEMENTS]
    assert len(set(of)) == len(PLACEMENTS)
    assert SCORES.keys() < PLACEMENTS.keys()
    assert isinstance(scores.of("unheard of"), FreeMemory)


def test_the_share_of_free_memory_is_what_is_left_with_the_vm() -> None:
    made = two("free_share")
    made.vm("a", "large", memory=4096)
    made.vm("off", "small", memory=512, state="stopped")
    assert new(made, 512) == Choice("small", "88% of its memory free, the most of 2 nodes that fit")
    assert new(made, 256).node == "small"
    assert new(made, 1024).node == "large", "75% are free there, and 69% with it; of the small one 63%"


def test_the_fewest_vcpus_for_each_processor_with_the_vm() -> None:
    made = two("fewest_vcpus")
    made.vm("a", "large", vcpus=6)
    made.vm("b", "small", vcpus=1)
    assert new(made, vcpus=1).node == "large"
    assert new(made, vcpus=1).why == "6 vCPUs for its 16 processors, the fewest of 2 nodes that fit"
    made.vm("c", "large", vcpus=2)
    assert new(made, vcpus=1).node == "small", "2 for 4 are fewer than 9 for 16"
    assert new(made, vcpus=4).node == "large", "12 for 16 are fewer than 5 for 4"


def test_a_tie_goes_to_the_first_by_name() -> None:
    for placement in PLACEMENTS:
        made = situation(3)
        made.settings = Settings(placement=placement)
        assert new(made).node == "node1", placement


def test_measured_load_takes_what_nodes_report() -> None:
    made = two("measured_load", load=12, load_memory=1024)
    choice = new(made)
    assert choice == Choice("small", "0% of its processors and 0% of its memory in use, the least of 2 nodes that fit")
    made.node("small", memory=1024 + 4096, cpus=4, load=1, load_memory=3900)
    assert new(made, 128).node == "large", "its processors are 75% used, the memory of the other 95%"


def test_what_is_not_measured_yet_counts_like_the_rest() -> None:
    made = Situation(settings=Settings(placement="measured_load"))
    made.node("node1", load=2, load_memory=1024)
    made.node("node2", load=2, load_memory=1024)
    made.vm("runs", "node1", memory=1024, vcpus=8)
    made.observe("runs", "running")
    assert new(made).node == "node1"
    made.vm("fresh", "node1", memory=256, vcpus=8)
    assert new(made).node == "node2", "two processors more, for eight vCPUs at four measured processors for eight"
    placed = Placement(made.snapshot)
    for name, node in (("x", "node2"), ("y", "node1")):
        found = placed.find({name: Vm(name, 256, 8)})
        assert isinstance(found, Choice)
        assert found.node == node
        placed.put({name: Vm(name, 256, 8)}, node)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([(2048, 4)], [(1024, 4)]),
        ([(1024, 4)], [(1024, 2)]),
        ([(512, 2), (512, 2)], [(1024, 4)]),
        ([(2048, 2)], [(1024, 3)]),
        ([(1024, 7)], [(1280, 2)]),
        ([(256, 1)] * 6, [(1536, 6), (64, 1)]),
    ],
    ids=["memory", "vcpus", "count", "memory before vcpus", "many vcpus before some memory", "many before some memory"],
)
def test_the_balance_weighs_memory_vcpus_and_count(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    """The other node is better, wherever it comes by name."""
    for first, second in (("node1", "node2"), ("node2", "node1")):
        made = situation(2)
        made.settings = Settings(placement="balanced")
        for node, vms in ((first, one), (second, other)):
            for number, (memory, vcpus) in enumerate(vms):
                made.vm(f"{node}-{number}", node, memory=memory, vcpus=vcpus)
        assert new(made, 64, 1).node == second


def test_the_balance_in_words() -> None:
    made = situation(2)
    made.settings = Settings(placement="balanced")
    made.vm("a", "node1", memory=1536, vcpus=2)
    made.vm("b", "node2", memory=3008, vcpus=2)
    assert new(made, 64).why == (
        "50% of its memory and 2 vCPUs for its 4 processors given to 1 VM, the best balance of 2 nodes that fit"
    )


def test_the_balance_looks_at_shares_where_nodes_differ() -> None:
    made = two("balanced")
    nodes = []
    placed = Placement(made.snapshot)
    for number in range(10):
        vm = {f"vm{number}": Vm("x", 512, 1)}
        found = placed.find(vm)
        assert isinstance(found, Choice)
        placed.put(vm, found.node)
        nodes.append(found.node)
    assert 6 <= nodes.count("large") <= 9


def test_a_vm_may_have_a_score_of_its_own() -> None:
    made = two("fewest_vms")
    made.vm("a", "large")
    assert new(made).node == "small"
    assert new(made, placement="free_memory").node == "large"
    assert "MiB free, the most" in new(made, placement="free_memory").why


def test_a_score_that_is_asked_for_late_knows_what_was_placed_before() -> None:
    made = situation(2)
    placed = Placement(made.snapshot)
    placed.put({"a": Vm("a", 64, 4)}, "node1")
    found = placed.find({"b": Vm("b", 64, placement="fewest_vcpus")})
    assert isinstance(found, Choice)
    assert found.why == "0 vCPUs for its 4 processors, the fewest of 2 nodes that fit"
