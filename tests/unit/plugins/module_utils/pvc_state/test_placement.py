# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where VMs go: each filter with its reason, preferences, and each score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pvc_state.placement import Choice, NoPlace, Placement
from pvc_state.records import PLACEMENTS, Cpu, Devices, Disk, HostDevice, Nic, Settings, Vm
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, nic, situation, ssd


def chosen(made: Situation, *names: str, **against: str) -> Choice:
    found = Placement(made.snapshot).find(unit(made, *names), against)
    assert isinstance(found, Choice), found
    return found


def unit(made: Situation, *names: str) -> dict[str, Vm]:
    found = {name: made.vms[name].value for name in names}
    return {name: vm for name, vm in found.items() if vm is not None}


def new(
    made: Situation, memory: int = 512, disks: tuple[Disk, ...] = (), nics: tuple[Nic, ...] = ()
) -> Choice | NoPlace:
    return Placement(made.snapshot).find({"new": Vm("new", memory, disks=disks, nics=nics)})


CLOSED: dict[str, tuple[Callable[[Situation], object], str]] = {
    "dead": (lambda made: made.die("node2"), "is down: its agent has no session"),
    "signed off": (lambda made: made.sign_off("node2"), "has signed off: shut down by its administrator"),
    "drained": (lambda made: made.node("node2", state="drained"), "is drained"),
    "maintenance": (lambda made: made.node("node2", state="maintenance"), "is in maintenance"),
    "leaves": (lambda made: made.node("node2", leaving="migrate"), "shuts down"),
    "freezes": (lambda made: made.node("node2", leaving="freeze"), "shuts down"),
    "silent": (lambda made: made.status.pop("node2"), "has not reported yet: is its agent running?"),
    "full": (lambda made: made.node("node2", memory=1024 + 511), "has 511 MiB free, 512 are needed"),
}


@pytest.mark.parametrize("case", CLOSED)
def test_a_node_that_takes_nothing_is_named_with_the_reason(case: str) -> None:
    change, reason = CLOSED[case]
    made = situation(2)
    change(made)
    assert new(made) == Choice("node1", f"no VMs to run there, the only node that fits; not node2 {reason}")


def test_a_fenced_node_takes_nothing_even_while_it_lives() -> None:
    made = situation(2)
    made.die("node2", "storage_cut")
    made.node("node2")
    found = new(made)
    assert isinstance(found, Choice)
    assert found.why.endswith("not node2 is fenced")


def test_what_a_node_does_not_reach_speaks_against_it() -> None:
    made = situation(1)
    made.node("node2", pools=("vms", "ssd"), bridges=("br0", "br7"))
    assert new(made, disks=ssd()) == Choice(
        "node2", "no VMs to run there, the only node that fits; not node1 does not reach pool ssd"
    )
    found = new(made, nics=nic("br9"))
    assert isinstance(found, NoPlace)
    assert found.why == "node1 has no bridge br9, node2 has no bridge br9"


def test_a_cluster_without_nodes_has_no_place() -> None:
    found = new(Situation())
    assert isinstance(found, NoPlace)
    assert found.why == "the cluster has no nodes"


def test_a_node_is_excluded_by_who_asks() -> None:
    made = situation(2)
    made.vm("a", "node2")
    assert chosen(made, "a", node1="was tried").why.endswith("not node1 was tried")
    placement = Placement(made.snapshot, {"node1": "is the one that died", "node2": "is another"})
    assert placement.find(unit(made, "a")) == NoPlace({"node1": "is the one that died", "node2": "is another"})


def test_the_reasons_of_many_nodes_are_counted() -> None:
    made = situation(20, memory=1024)
    found = new(made)
    assert isinstance(found, NoPlace)
    assert found.why == "each of node1, node10, node11 and 17 more has 0 MiB free, 512 are needed"
    made.node("node5")
    choice = new(made)
    assert isinstance(choice, Choice)
    full = "has 0 MiB free, 512 are needed"
    assert choice.why.endswith(f"not node1 {full}, node10 {full}, node11 {full}, nor 16 more")


# --- what a VM has for itself ---------------------------------------------------------------------------------------


def test_no_more_vcpus_than_the_settings_allow() -> None:
    made = situation(2)  # of four processors each
    made.settings = Settings(placement="fewest_vms", vcpu_ratio=1.5)
    made.vm("a", "node1", vcpus=3, state="stopped")
    made.vm("b", "node2", vcpus=2)
    choice = Placement(made.snapshot).find({"new": Vm("new", 64, vcpus=4)})
    assert choice == Choice(
        "node2",
        "1 VM to run there, the only node that fits; "
        "not node1 has 3 left of the 6 vCPUs that vcpu_ratio 1.5 allows, 4 are needed",
    )
    assert chosen(made, "a").node == "node1", "what is there needs none"
    made.settings = Settings()
    assert Placement(made.snapshot).why_not({"new": Vm("new", 64, vcpus=400)}, "node1") == ""


def test_vcpus_that_a_pass_has_given_are_gone() -> None:
    made = situation(1)
    made.settings = Settings(vcpu_ratio=1)
    one = Placement(made.snapshot)
    one.put({"x": Vm("x", 64, vcpus=3)}, "node1")
    assert "has 1 left of the 4 vCPUs" in one.why_not({"y": Vm("y", 64, vcpus=2)}, "node1")


GPU = HostDevice("gpu", "pci", "0000:65:00.0")


def test_a_device_of_a_node_is_for_one_vm_at_a_time() -> None:
    made = situation(1)
    made.node("node2", devices=(GPU,))
    made.node("node3", devices=(GPU,))
    made.vm("a", "node2", devices=Devices(host=("gpu",)), state="stopped")
    wants = {"new": Vm("new", 64, devices=Devices(host=("gpu",)))}
    one = Placement(made.snapshot)
    assert one.find(wants) == Choice(
        "node3",
        "no VMs to run there, the only node that fits; not node1 has no device gpu, node2 has given its gpu to a",
    )
    assert chosen(made, "a").node == "node2", "its own is no other's"
    one.put(wants, "node3")
    other = one.find({"other": Vm("other", 64, devices=Devices(host=("gpu",)))})
    assert isinstance(other, NoPlace)
    assert other.against["node3"] == "has given its gpu to new"


def test_a_cpu_model_is_had_where_the_node_knows_it_or_says_nothing() -> None:
    made = situation(1)
    made.node("node2", cpu_models=("EPYC", "qemu64"))
    made.node("node3", cpu_models=("EPYC", "EPYC-Milan"))
    one = Placement(made.snapshot)
    milan = {"new": Vm("new", 64, cpu=Cpu("EPYC-Milan"))}
    assert one.why_not(milan, "node2") == "cannot give guests the CPU model EPYC-Milan"
    assert (one.why_not(milan, "node1"), one.why_not(milan, "node3")) == ("", "")
    for model in ("", "host-model", "host-passthrough"):
        assert one.why_not({"new": Vm("new", 64, cpu=Cpu(model))}, "node2") == ""


def test_a_deletion_needs_nothing_but_its_volumes() -> None:
    made = situation(1, cpu_models=("qemu64",))
    made.settings = Settings(vcpu_ratio=1)
    gone = Vm("gone", 1 << 20, state="absent", vcpus=99, cpu=Cpu("EPYC"), devices=Devices(host=("gpu",)))
    assert Placement(made.snapshot).why_not({"gone": gone}, "node1") == ""


# --- rules ----------------------------------------------------------------------------------------------------------


def test_a_strict_preference_allows_no_other_node() -> None:
    made = situation()
    made.vm("a", "node1")
    made.rule("here", "node_preference", "a", {"node3": 0}, strict=True)
    choice = chosen(made, "a")
    assert choice.node == "node3"
    assert "not node1 is none of those that rule here allows, node2 is none" in choice.why
    made.die("node3")
    found = Placement(made.snapshot).find(unit(made, "a"))
    assert isinstance(found, NoPlace)
    assert found.against["node3"] == "is down: its agent has no session"


def test_the_highest_priority_with_a_legal_node_wins_before_the_score() -> None:
    made = situation(4)
    made.vm("busy", "node2")
    made.vm("a", "node1")
    made.rule("best", "node_preference", "a", {"node2": 2, "node3": 1})
    choice = chosen(made, "a")
    assert choice.node == "node2"
    assert choice.why == (
        "preferred by rule best; 1 VM to run there, the only one of them that fits; "
        "not node1 is less preferred, node3 is less preferred, node4 is less preferred"
    )
    made.die("node2")
    assert chosen(made, "a").node == "node3"
    made.die("node3")
    assert chosen(made, "a").node == "node1", "a soft preference is no reason to be nowhere"


def test_vms_that_are_kept_apart_avoid_both_ends_of_a_move() -> None:
    made = situation(4)
    made.vm("a", "node1", to="node2")
    made.vm("b", "node3")
    made.rule("never", "apart", "a b")
    choice = chosen(made, "b")
    assert choice.node == "node3"
    reason = "has a, from which rule never keeps it apart"
    assert Placement(made.snapshot).why_not(unit(made, "b"), "node1") == reason
    assert Placement(made.snapshot).why_not(unit(made, "b"), "node2") == reason
    assert Placement(made.snapshot).why_not(unit(made, "b"), "node4") == ""


@pytest.mark.parametrize(
    ("state", "counts"), [("started", 1), ("stopped", 1), ("ignored", 1), ("disabled", 0), ("absent", 0)]
)
def test_vms_that_are_off_for_good_keep_nobody_away(state: str, counts: int) -> None:
    made = situation()
    made.vm("a", "node1", state=state)
    made.vm("b", "node2")
    made.rule("never", "apart", "a b")
    assert bool(Placement(made.snapshot).why_not(unit(made, "b"), "node1")) == bool(counts)


def test_a_vm_follows_its_group() -> None:
    made = situation()
    made.vm("a", "node2")
    made.vm("busy", "node2")
    made.vm("b", "node3")
    made.rule("both", "together", "a b")
    choice = chosen(made, "b")
    assert choice.node == "node2"
    assert choice.why.startswith("together with a (rule both); 2 VMs to run there")
    assert "not node1 is not node2, where a (rule both) is" in choice.why


def test_groups_that_overlap_are_one() -> None:
    made = situation()
    made.vm("a", "node3")
    made.vm("b", "node1", state="disabled")
    made.vm("c", "node1")
    made.rule("first", "together", "a b")
    made.rule("second", "together", "b c")
    assert chosen(made, "c").why.startswith("together with a (rule first, second)")


@pytest.mark.parametrize("state", ["disabled", "ignored", "absent"])
def test_nobody_follows_what_is_not_to_run(state: str) -> None:
    made = situation()
    made.vm("a", "node2", state=state)
    made.vm("b", "node3")
    made.rule("both", "together", "a b")
    assert not Placement(made.snapshot).why_not(unit(made, "b"), "node1")


def test_a_group_is_not_followed_to_where_it_has_to_leave() -> None:
    made = situation()
    made.vm("a", "node2", to="node1")
    made.vm("b", "node3")
    made.rule("both", "together", "a b")
    assert chosen(made, "b").node == "node1"
    made.node("node1", state="drained")
    assert chosen(made, "b").node == "node3"


def test_a_group_needs_room_for_all() -> None:
    made = situation(2)
    made.node("node3", memory=1024 + 2048)
    made.vm("a", "node1", memory=1500)
    made.vm("b", "node1", memory=1500)
    made.rule("both", "together", "a b")
    made.die("node1")
    assert chosen(made, "a", "b").node == "node2"
    assert Placement(made.snapshot).why_not(unit(made, "a", "b"), "node3") == "has 2048 MiB free, 3000 are needed"


def test_rules_that_contradict_each_other_are_named() -> None:
    made = situation()
    made.vm("a", "node1")
    made.vm("b", "node1")
    made.rule("both", "together", "a b")
    made.rule("never", "apart", "a b")
    found = Placement(made.snapshot).find(unit(made, "a", "b"))
    assert isinstance(found, NoPlace)
    assert "cannot keep both the rule never and both: they contradict each other" in found.why


def test_damaged_rules_bind_nobody() -> None:
    made = situation()
    made.vm("a", "node1")
    made.rule("odd", "unheard_of", "a", {"node3": 1}, strict=True)
    made.rules["damaged"] = made.rules["odd"].__class__(None, 0, 0, "no JSON")
    assert chosen(made, "a").node == "node1"


def test_a_bound_vm_has_one_node() -> None:
    made = situation()
    made.vm("a", "node1", bound="node1")
    assert chosen(made, "a") == Choice("node1", "bound to it by its option node")
    assert "bound to: its option node says node1" in Placement(made.snapshot).why_not(unit(made, "a"), "node2")


# --- scores ---------------------------------------------------------------------------------------------------------


def test_fewest_vms_counts_what_is_to_run_here_or_on_its_way_here() -> None:
    made = situation()
    made.vm("off", "node1", state="stopped")
    made.vm("ignored", "node1", state="ignored")
    made.vm("a", "node3", to="node2")
    assert new(made) == Choice("node1", "no VMs to run there, the fewest of 3 nodes that fit")
    made.die("node1")
    found = new(made)
    assert isinstance(found, Choice)
    assert found.node == "node2", "both ends of a move count, and the first by name wins"


def test_free_memory_counts_every_vm() -> None:
    made = situation()
    made.settings = Settings()
    made.vm("off", "node1", state="stopped")
    made.vm("a", "node3", memory=256)
    choice = new(made)
    assert choice == Choice("node2", "3072 MiB free, the most of 3 nodes that fit")


def test_configured_size_takes_the_lowest_share() -> None:
    made = Situation(settings=Settings(placement="configured_size"))
    made.node("small", memory=1024 + 4096, cpus=4)
    made.node("large", memory=1024 + 16384, cpus=16)
    made.vm("a", "small", memory=1024, vcpus=1)
    made.vm("b", "large", memory=2048, vcpus=2)
    choice = new(made)
    assert choice == Choice(
        "large", "12% of its processors and 12% of its memory given away, the least of 2 nodes that fit"
    )


def test_configured_size_prefers_idle_processors_among_equals_in_memory() -> None:
    made = Situation(settings=Settings(placement="configured_size"))
    made.node("node1")
    made.node("node2")
    made.vm("a", "node1", vcpus=3)
    made.vm("b", "node2", vcpus=1)
    choice = new(made)
    assert isinstance(choice, Choice)
    assert choice.node == "node2"


def test_memory_weighs_more_than_processors() -> None:
    made = Situation(settings=Settings(placement="configured_size"))
    made.node("node1")
    made.node("node2")
    made.vm("a", "node1", memory=1536, vcpus=1)
    made.vm("b", "node2", memory=512, vcpus=3)
    choice = new(made)
    assert isinstance(choice, Choice)
    assert choice.node == "node2"


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_what_a_pass_has_placed_counts_for_the_rest(placement: str) -> None:
    made = situation()
    made.settings = Settings(placement=placement)
    one = Placement(made.snapshot)
    nodes = []
    for name in "abc":
        found = one.find({name: Vm(name, 512)})
        assert isinstance(found, Choice)
        nodes.append(found.node)
        one.put({name: Vm(name, 512)}, found.node)
    assert nodes == ["node1", "node2", "node3"]


def test_what_a_vm_has_used_where_it_was_counts_where_it_goes() -> None:
    made = situation(3, cpus=8)
    made.settings = Settings(placement="measured_load")
    for name, node, load in (("calm", "node1", 0.5), ("busy", "node2", 6.0), ("quiet", "node3", 0.0)):
        made.vm(name, node, vcpus=8)
        made.observe(name, "running", load=load, load_memory=100)
    assert chosen(made, "calm").node == "node1", "it stays where it is"
    placement = Placement(made.snapshot, {"node2": "is dead"})
    found = placement.find(unit(made, "busy"))
    assert isinstance(found, Choice)
    assert found.node == "node3"
    placement.put(unit(made, "busy"), found.node)
    found = placement.find({"new": Vm("new", 64)})
    assert isinstance(found, Choice)
    assert (found.node, found.why[:20]) == ("node1", "6% of its processors")


def test_what_a_changed_record_needs_no_more_is_free_for_others_of_the_same_plan() -> None:
    made = situation(1, devices=(GPU,))
    had = Vm("had", 512, 2, devices=Devices(host=("gpu",)))
    one = Placement(made.snapshot)
    one.put({"had": had}, "node1")
    wants = {"wants": Vm("wants", 64, devices=Devices(host=("gpu",)))}
    assert one.why_not(wants, "node1") == "has given its gpu to had"
    one.change("had", had, replace(had, devices=Devices(), memory=256), "node1")
    assert one.why_not(wants, "node1") == ""
    assert one.room["node1"] == 3072 - 256
