# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for the VMs of a node that dies: what is missing, and what is refused for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from pvc_state.errors import InvalidRequest
from pvc_state.placement import Placement
from pvc_state.plan import Plan
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Cpu, Devices, HostDevice, Settings, Vm
from pvc_state.requests import VmRequest
from pvc_state.spare import lacks
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation


def full(nodes: int = 3, free: int = 512, **settings: Any) -> Situation:
    """Each node of 3 GiB for VMs runs one that leaves so much free."""
    made = situation(nodes)
    made.settings = Settings(**settings)
    for number in range(1, nodes + 1):
        made.vm(f"vm{number}", f"node{number}", memory=3072 - free)
    return made


def ask(made: Situation, *requests: VmRequest) -> Plan:
    return plan_vms(made.snapshot, requests)


def refused(made: Situation, *requests: VmRequest) -> str:
    with pytest.raises(InvalidRequest) as caught:
        ask(made, *requests)
    return str(caught.value)


def test_where_all_fit_after_any_loss_nothing_is_missing() -> None:
    made = situation(3)
    for number in (1, 2, 3):
        made.vm(f"vm{number}", f"node{number}", memory=1500)
    assert lacks(made.snapshot) == {}


def test_what_would_fit_nowhere_is_named_with_the_node_and_by_how_much() -> None:
    found = lacks(full().snapshot)
    assert sorted(found) == ["node1", "node2", "node3"]
    assert found["node2"].sentence == (
        "no room would be left for the loss of node2: 2560 MiB of its VMs would fit nowhere: "
        "vm2 (node1 has 512 MiB free, 2560 are needed)"
    )


def test_several_small_ones_fit_where_one_large_one_does_not() -> None:
    made = situation(3)
    for node in ("node2", "node3"):
        made.vm(f"on-{node}", node, memory=2048)
    for number in range(4):
        made.vm(f"small{number}", "node1", memory=512)
    assert "node1" not in lacks(made.snapshot)
    made.vm("small4", "node1", memory=64)
    assert lacks(made.snapshot)["node1"].memory == 64


def test_a_new_vm_that_leaves_no_room_is_refused_unless_it_is_forced() -> None:
    made = situation(2)
    made.vm("old", "node1", memory=2048)
    message = refused(made, VmRequest("new", memory=2048))
    assert message.startswith(
        "vm new: no room would be left for the loss of node1: 2048 MiB of its VMs would fit nowhere"
    )
    assert "force=true" in message
    assert ask(made, VmRequest("new", memory=1024)).changed
    forced = ask(made, VmRequest("new", memory=2048, force=True))
    assert "; forced, although no room would be left for the loss of node1: 2048 MiB" in forced.why["new"]
    stopped = refused(made, VmRequest("new", memory=2048, state="stopped"))
    assert "the loss of node1: 2048 MiB" in stopped  # what is off holds its memory, too


def test_starting_and_growing_are_refused_as_well() -> None:
    made = situation(2)
    made.vm("runs", "node1", memory=1024)
    made.vm("held", "node1", memory=512, state="disabled")
    made.vm("off", "node2", memory=2048, state="stopped")
    assert "vm off: no room would be left for the loss of node2" in refused(made, VmRequest("off", state="started"))
    assert ask(made, VmRequest("off", state="started", force=True)).changed
    assert "vm runs: no room would be left for the loss of node1" in refused(made, VmRequest("runs", memory=1025))
    assert ask(made, VmRequest("runs", memory=1000)).changed


def test_what_does_not_make_it_worse_is_admitted_although_there_is_no_room() -> None:
    made = full(3)
    assert ask(made, VmRequest("vm1", description="x")).changed
    assert ask(made, VmRequest("vm1", memory=2048)).changed
    assert ask(made, VmRequest("vm1", vcpus=2)).changed
    assert ask(made, VmRequest("vm1", state="stopped")).changed
    small = [VmRequest(name, memory=512) for name in ("a", "b", "c")]
    assert ask(made, *small[:2]).changed, "they would run elsewhere, whatever becomes of the others"
    assert "no room would be left" in refused(made, *small)


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_single_node_that_takes_vms_has_nobody_to_spare(nodes: int) -> None:
    made = situation(1)
    if nodes == 2:
        made.node("node2", state="drained")
    assert ask(made, VmRequest("new", memory=3072)).changed


def test_the_settings_say_how_many_nodes_may_be_lost() -> None:
    assert lacks(full(spare_nodes=0).snapshot) == {}
    made = situation(4)
    for number in range(1, 5):
        made.vm(f"vm{number}", f"node{number}", memory=1024)
    made.settings = Settings(spare_nodes=2)
    assert lacks(made.snapshot) == {}
    made.settings = Settings(spare_nodes=3)
    # three of four lost: 3 VMs of 1024 for the 2048 that the last has free
    found = lacks(made.snapshot)["node2"]
    assert (found.nodes, found.memory) == (("node2", "node1", "node3"), 1024)
    assert "the loss of node2 together with node1, node3: some VMs would fit nowhere" in found.sentence
    made.settings = Settings(spare_nodes=99)
    assert lacks(made.snapshot)["node2"].memory == 1024  # one always remains


def test_a_dead_node_counts_among_those_that_are_lost_until_its_vms_run_elsewhere() -> None:
    made = situation(3)
    made.vm("waiting", "node1", memory=2048)
    made.die("node1")
    assert "no room would be left for the loss of node1" in refused(
        made, VmRequest("a", memory=1536), VmRequest("b", memory=1536)
    )
    assert ask(made, VmRequest("a", memory=1536)).changed
    made.claims["waiting"] = replace(made.claims["waiting"], value=replace(made.claims["waiting"].value, node="node2"))  # type: ignore[type-var]
    assert "the loss of node2" in refused(made, VmRequest("a", memory=1536))


def test_only_a_lack_of_room_counts() -> None:
    made = full(2, free=512)
    for name in ("vm1", "vm2"):
        vm = made.vms[name].value
        assert vm is not None
        made.vms[name] = replace(made.vms[name], value=replace(vm, node=made.claims[name].value.node))  # type: ignore[union-attr]
    assert lacks(made.snapshot) == {}, "what is bound waits for its node"
    made = situation(1)
    made.node("node2", devices=(HostDevice("gpu", "pci", "0000:01:00.0"),))
    made.vm("renders", "node2", memory=512, devices=Devices(host=("gpu",)))
    made.vm("other", "node1", memory=2048, state="disabled")
    assert lacks(made.snapshot) == {}, "no other node has its device, whatever room there is"


def test_vcpus_count_where_the_settings_limit_them() -> None:
    made = situation(2)
    made.settings = Settings(vcpu_ratio=2)
    made.vm("a", "node1", vcpus=4)
    made.vm("b", "node2", vcpus=4)
    assert lacks(made.snapshot) == {}
    message = refused(made, VmRequest("c", memory=64, vcpus=1))
    assert re.search(r"vcpu_ratio 2 allows, \d are needed", message)


def test_rules_count_where_a_loss_is_tried() -> None:
    made = situation(3)
    made.vm("a", "node1", memory=2048)
    made.vm("b", "node2", memory=1536)
    made.vm("c", "node3", memory=64)
    made.rule("only", "node_preference", "a", {"node1": 2, "node2": 1}, strict=True)
    found = lacks(made.snapshot)
    assert list(found) == ["node1"]
    assert "node2 has 1536 MiB free, 2048 are needed" in found["node1"].sentence


def test_the_cheap_bound_never_says_that_what_does_not_fit_does() -> None:
    """Free memory in pieces that are too small for any of them."""
    made = situation(9)
    for number in range(2, 10):
        made.vm(f"vm{number}", f"node{number}", memory=3072 - 500)
    made.vm("large", "node1", memory=501)
    assert lacks(made.snapshot)["node1"].memory == 501
    made.vms["large"] = replace(made.vms["large"], value=replace(made.vms["large"].value, memory=500))  # type: ignore[type-var]
    assert "node1" not in lacks(made.snapshot)


def test_a_trial_leaves_no_trace() -> None:
    made = situation(3)
    for number in range(6):
        made.vm(f"vm{number}", f"node{number % 3 + 1}", memory=900, cpu=Cpu("host-model"))
    made.rule("apart", "apart", "vm0 vm1")
    made.rule("together", "together", "vm3 vm5")
    first = lacks(made.snapshot)
    assert first == lacks(made.snapshot)
    turned = replace(made.snapshot, vms=dict(reversed(list(made.vms.items()))))
    assert lacks(turned) == first


def test_a_trial_gives_devices_back() -> None:
    made = situation(2, devices=(HostDevice("gpu", "pci", "0000:01:00.0"),))
    placement = Placement(made.snapshot)
    vm = Vm("renders", 512, devices=Devices(host=("gpu",)))
    with placement.trial({"node1": "is lost"}):
        placement.put({"renders": vm}, "node2")
        assert placement.holders("gpu", "node2") == {"renders"}
    assert placement.holders("gpu", "node2") == set()
