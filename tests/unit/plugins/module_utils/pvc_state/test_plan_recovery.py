# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a dead node's VMs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvc_state.codec import Stored
from pvc_state.plan_recovery import Recovery, plan_recoveries, plan_recovery, to_recover
from pvc_state.records import FenceDevice, Settings
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation, ssd


def goes(recovery: Recovery) -> dict[str, str]:
    return {move.vm: move.to for move in recovery.moves}


def test_vms_go_by_priority_then_what_is_to_run_then_by_name() -> None:
    made = situation(2)
    made.vm("d", "node1", state="stopped", priority=5)
    made.vm("c", "node1", state="stopped")
    made.vm("b", "node1")
    made.vm("a", "node1")
    made.vm("z", "node1", priority=5)
    made.die("node1", "storage_cut")
    recovery = plan_recovery(made.snapshot, "node1")
    assert [move.vm for move in recovery.moves] == ["z", "d", "a", "b", "c"]
    assert recovery.moves[0].why == (
        "no VMs to run there, the only node that fits; not node1 is down: its agent has no session"
    )
    assert recovery.waiting == {}


def test_disabled_and_ignored_vms_stay_and_a_deletion_is_finished_by_another() -> None:
    made = situation()
    for state in ("disabled", "ignored", "absent"):
        made.vm(state, "node1", state=state)
    made.die("node1", "storage_cut")
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"absent": "node2"}
    assert recovery.waiting == {}


def test_a_deletion_needs_neither_room_nor_rules() -> None:
    made = situation(1)
    made.node("node2", memory=1024)
    made.vm("old", "node1", state="absent", bound="node1")
    made.rule("here", "node_preference", "old", {"node1": 1}, strict=True)
    made.die("node1", "storage_cut")
    assert goes(plan_recovery(made.snapshot, "node1")) == {"old": "node2"}


def test_what_has_no_node_waits_for_what_is_named() -> None:
    made = situation()
    made.node("node3", state="drained")
    made.vm("large", "node1", memory=3072, priority=1)
    made.vm("next", "node1", memory=3072)
    made.die("node1", "storage_cut")
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"large": "node2"}
    assert recovery.waiting == {
        "next": "no node can take it: node1 is down: its agent has no session, node2 has 0 MiB free, 3072 are needed, "
        "node3 is drained"
    }


@pytest.mark.parametrize("bound", [True, False])
def test_what_is_bound_to_the_dead_node_waits_for_it(bound: bool) -> None:
    made = situation(2)
    made.vm("a", "node1", bound="node1" if bound else None)
    if not bound:
        made.rule("here", "node_preference", "a", {"node1": 0}, strict=True)
    made.die("node1", "storage_cut")
    reason = "bound to: its option node says node1" if bound else "is none of those that rule here allows"
    assert reason in plan_recovery(made.snapshot, "node1").waiting["a"]


def test_a_node_that_lives_is_taken_for_dead() -> None:
    made = situation(2)
    made.vm("a", "node1")
    made.vm("b", "node1", power_off=True)
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"a": "node2", "b": "node2"}
    assert recovery.moves[0].why == "no VMs to run there, the only node that fits; not node1 is the one that dies"


# --- moves under way ------------------------------------------------------------------------------------------------


def under_way() -> Situation:
    made = situation()
    made.vm("a", "node1", to="node3")
    made.die("node1", "storage_cut")
    return made


def test_a_vm_on_its_way_goes_to_its_target_and_nowhere_else() -> None:
    made = under_way()
    made.node("node3", memory=1024, state="drained")
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"a": "node3"}, "it may run there already, whatever speaks against it"
    made.die("node3")
    assert plan_recovery(made.snapshot, "node1").waiting == {
        "a": "it was on its way to node3, and may run there already: node3 is down: its agent has no session"
    }


@pytest.mark.parametrize("state", ["held", "collecting", "lifting"])
def test_it_waits_while_its_target_is_fenced(state: str) -> None:
    made = under_way()
    made.die("node3", "storage_cut", state=state)
    waiting = plan_recovery(made.snapshot, "node1").waiting
    assert waiting == {"a": f"it was on its way to node3, and may run there already: the fence of node3 is {state}"}


def test_a_target_that_has_signed_off_runs_nothing() -> None:
    made = under_way()
    made.sign_off("node3")
    (move,) = plan_recovery(made.snapshot, "node1").moves
    assert (move.to, move.rests_on) == ("node2", ("node3",))


def test_it_goes_elsewhere_once_its_target_cannot_run_it_either() -> None:
    made = under_way()
    made.die("node3", "storage_cut")
    (move,) = plan_recovery(made.snapshot, "node1").moves
    assert (move.to, move.rests_on) == ("node2", ("node3",))
    made.vm("a", "node1", to="node3", power_off=True)
    made.die("node1", "powered_off")
    assert "cutting off the storage of node3 is not enough" in plan_recovery(made.snapshot, "node1").waiting["a"]


def test_a_group_follows_the_one_that_was_on_its_way() -> None:
    made = under_way()
    made.vm("b", "node1")
    made.rule("both", "together", "a b")
    assert goes(plan_recovery(made.snapshot, "node1")) == {"a": "node3", "b": "node3"}


# --- groups ---------------------------------------------------------------------------------------------------------


def test_a_group_goes_where_all_of_it_fits() -> None:
    made = situation(2)
    made.node("node3", memory=1024 + 4096)
    made.vm("busy", "node3")
    made.vm("a", "node1", memory=2000)
    made.vm("b", "node1", memory=1500)
    made.rule("both", "together", "a b")
    made.die("node1", "storage_cut")
    assert goes(plan_recovery(made.snapshot, "node1")) == {"a": "node3", "b": "node3"}


def test_of_a_group_that_fits_nowhere_the_first_runs_and_the_rest_waits() -> None:
    made = situation()
    made.vm("a", "node1", memory=2000)
    made.vm("b", "node1", memory=1500)
    made.rule("both", "together", "a b")
    made.die("node1", "storage_cut")
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"a": "node2"}
    assert "node2 has 1072 MiB free, 1500 are needed" in recovery.waiting["b"]
    assert "node3 is not node2, where a (rule both) is" in recovery.waiting["b"]


def test_vms_that_are_kept_apart_go_apart() -> None:
    made = situation()
    for name in "abc":
        made.vm(name, "node1", memory=64)
    made.rule("never", "apart", "a b c")
    made.die("node1", "storage_cut")
    recovery = plan_recovery(made.snapshot, "node1")
    assert goes(recovery) == {"a": "node2", "b": "node3"}
    assert "node2 has a, from which rule never keeps it apart, node3 has b" in recovery.waiting["c"]


def test_two_dead_nodes_are_recovered_in_one_pass() -> None:
    made = situation()
    made.vm("a", "node1", memory=2048)
    made.vm("b", "node2", memory=2048, priority=1)
    made.die("node1", "storage_cut")
    made.die("node2", "storage_cut")
    both = plan_recoveries(made.snapshot, ["node1", "node2"])
    assert goes(both["node2"]) == {"b": "node3"}
    assert goes(both["node1"]) == {}
    assert "node3 has 1024 MiB free" in both["node1"].waiting["a"]


# --- evidence -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "power_off", "enough"),
    [
        ("storage_cut", False, True),
        ("storage_cut", True, False),
        ("powered_off", True, True),
        ("signed_off", True, True),
        ("declared_dead", True, True),
    ],
)
def test_what_uses_more_than_ceph_needs_more_than_a_storage_cut(kind: str, power_off: bool, enough: bool) -> None:
    made = situation(2)
    made.vm("a", "node1", power_off=power_off)
    made.die("node1", kind)
    recovery = plan_recovery(made.snapshot, "node1")
    assert bool(recovery.moves) == enough
    if not enough:
        assert recovery.waiting["a"] == (
            "it uses more than Ceph, so that cutting off the storage of node1 is not enough: node1 must be powered off"
        )


def test_the_settings_say_which_evidence_suffices() -> None:
    made = situation(2)
    made.settings = Settings(evidence=("powered_off",))
    made.vm("a", "node1")
    made.die("node1", "storage_cut")
    assert plan_recovery(made.snapshot, "node1").waiting == {"a": "nothing proves yet that node1 cannot write any more"}


def test_two_power_supplies_count_together() -> None:
    made = situation(2)
    devices = (FenceDevice("left", "ipmi", "10.0.0.1"), FenceDevice("right", "ipmi", "10.0.0.2"))
    made.node("node1", fence=devices, fence_together=True)
    made.vm("a", "node1")
    made.die("node1", "powered_off", "powered_off")
    fence = made.fences["node1"].value
    assert fence is not None
    left, right = (replace(one, device=name) for one, name in zip(fence.evidence, ("left", "right"), strict=True))
    made.fences["node1"] = Stored(replace(fence, evidence=(left, right)), 0)
    assert plan_recovery(made.snapshot, "node1").moves
    half = (left, replace(right, state="failed"))
    made.fences["node1"] = Stored(fence.__class__("1-1", "proven", "gone", evidence=half), 0)
    assert not plan_recovery(made.snapshot, "node1").moves


# --- damage ---------------------------------------------------------------------------------------------------------


def test_damaged_records_wait_for_a_person() -> None:
    made = situation(2)
    made.vm("a", "node1")
    made.vm("b", "node1")
    made.observe("b", "running")
    made.vm("c", "node2")
    made.vms["a"] = Stored(None, 0, 0, "no JSON")
    made.claims["b"] = Stored(None, 0, 0, "no JSON")
    made.claims["c"] = Stored(None, 0, 0, "no JSON")
    made.die("node1", "storage_cut")
    assert plan_recovery(made.snapshot, "node1").waiting == {
        "a": "its record is damaged (no JSON): nobody knows what it needs",
        "b": "its claim is damaged (no JSON): nobody knows who may run it",
    }


def test_a_damaged_fence_proves_nothing() -> None:
    made = situation(2)
    made.vm("a", "node1")
    made.die("node1")
    made.fences["node1"] = Stored(None, 0, 0, "no JSON")
    assert plan_recovery(made.snapshot, "node1").waiting == {"a": "the fence of node1 has a damaged record"}


def test_what_nobody_reaches_waits() -> None:
    made = situation(2)
    made.vm("a", "node1", disks=ssd())
    made.die("node1", "storage_cut")
    assert "node2 does not reach pool ssd" in plan_recovery(made.snapshot, "node1").waiting["a"]


@pytest.mark.parametrize(("max_moves", "to"), [(1, []), (2, ["node2"])])
def test_what_has_failed_on_as_many_nodes_as_it_may_waits_for_a_person(max_moves: int, to: list[str]) -> None:
    made = situation()
    made.vm("a", "node1", max_moves=max_moves, tried=("node2",))
    made.observe("a", "failed")
    assert to_recover(made.snapshot, "node1") is bool(to)
    made.die("node1")
    recovery = plan_recovery(made.snapshot, "node1")
    assert ([move.to for move in recovery.moves], dict(recovery.waiting)) == (to, {})


def test_a_node_is_missed_for_what_it_runs_may_run_or_nobody_can_read() -> None:
    made = situation(3)
    made.vm("off", "node1", state="disabled")
    made.vm("own", "node1", state="ignored")
    made.vm("going", "node2", to="node3")
    assert [to_recover(made.snapshot, node) for node in ("node1", "node2", "node3")] == [False, True, True]
    made.claims["off"] = Stored(None, 1, "not JSON")
    assert to_recover(made.snapshot, "node1")
