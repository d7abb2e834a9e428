# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of moves that make the nodes more evenly loaded, and what holds for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import fmean, pstdev
from typing import Any

import pytest
from hypothesis import given, settings

from pvc_state.codec import Stored
from pvc_state.plan_balance import Balance, plan_balance
from pvc_state.records import Migration, Settings
from pvc_state.snapshot import Snapshot
from pvc_state.spare import worse
from pvc_state.spread import spread
from pvc_state.views import vm_status
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, moved, situation
from tests.unit.plugins.module_utils.pvc_state.test_placing_properties import broken, overcommitted, situations


def running(made: Situation, name: str, node: str, memory: int = 512, **options: Any) -> None:
    """A VM that runs, as its owner says. Options: of Situation.vm, and load, load_memory."""
    measured = {key: options.pop(key) for key in ("load", "load_memory") if key in options}
    made.vm(name, node, memory, **options)
    made.observe(name, "running", **measured)


def lopsided(count: int = 6, nodes: int = 3, **options: Any) -> Situation:
    """All VMs are on node1."""
    made = situation(nodes, **{"memory": 8192, **options})
    for number in range(count):
        running(made, f"vm{number}", "node1")
    return made


def goes(plan: Balance) -> dict[str, str]:
    return {name: move.to for move in plan.moves for name in move.vms}


def after(snapshot: Snapshot, plan: Balance) -> Snapshot:
    return moved(snapshot, goes(plan))


def counts(snapshot: Snapshot) -> list[int]:
    owners = [snapshot.owner(name) for name in snapshot.vms]
    return sorted(owners.count(node) for node in snapshot.nodes)


@pytest.mark.parametrize("placement", ["fewest_vms", "fewest_vcpus", "free_memory", "free_share", "configured_size"])
def test_all_on_one_node_become_even(placement: str) -> None:
    made = lopsided()
    made.settings = Settings(placement=placement)
    plan = plan_balance(made.snapshot)
    assert counts(after(made.snapshot, plan)) == [2, 2, 2]
    assert plan.before == pytest.approx(pstdev([1, 0, 0]) / fmean([1, 0, 0]))
    assert plan.after == pytest.approx(0.0, abs=1e-6)
    assert len(plan.moves) == 4


def test_each_move_has_its_gain_and_reason() -> None:
    plan = plan_balance(lopsided(3).snapshot)
    first, second = plan.moves
    assert (first.vms, first.source, first.to, first.stage) == (("vm0",), "node1", "node2", 1)
    assert first.why == "node1 has 3 VMs to run there, node2 0 VMs to run there"
    assert second.spread == pytest.approx(0.0, abs=1e-6)
    assert second.gain == pytest.approx(1.0, abs=1e-6)
    assert first.gain == pytest.approx(1 - first.spread / plan.before)
    assert plan.loads["node1"] == {"vms": 3}
    assert plan.loads_after["node1"] == {"vms": 1}


def test_the_cap_is_kept_and_the_best_comes_first() -> None:
    made = lopsided(2)
    running(made, "large", "node1", 4096)
    made.settings = Settings(placement="free_memory")
    plan = plan_balance(made.snapshot, max_moves=1)
    assert goes(plan) == {"large": "node2"}
    assert plan_balance(made.snapshot, max_moves=0).moves == ()


def test_nothing_is_proposed_for_nodes_that_are_even() -> None:
    made = situation()
    for node in made.nodes:
        running(made, f"on-{node}", node)
    assert plan_balance(made.snapshot).moves == ()
    assert spread(made.snapshot).value == pytest.approx(0.0, abs=1e-6)
    assert plan_balance(situation(0).snapshot).moves == ()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"bound": "node1"}, "it is bound to node1 by its option node"),
        ({"to": "node2"}, "it is on its way to node2"),
        ({"home": "node2"}, "it is to return to node2"),
        ({"migration": Migration("shutdown")}, "it cannot be moved while it runs"),
        ({"migration": Migration("none")}, "it cannot be moved while it runs"),
        ({"state": "ignored"}, "it is ignored"),
    ],
)
def test_who_is_not_moved_for_this(options: dict[str, Any], reason: str) -> None:
    made = situation()
    for name in ("a", "b", "c"):
        running(made, name, "node1", **options)
    plan = plan_balance(made.snapshot)
    assert plan.moves == ()
    assert set(plan.staying.values()) == {reason}


def test_those_that_must_be_stopped_are_moved_when_that_is_asked_for() -> None:
    made = situation()
    running(made, "a", "node1", migration=Migration("shutdown"))
    running(made, "b", "node1", migration=Migration("none"))
    assert set(goes(plan_balance(made.snapshot, cold=True))) == {"a"}


def test_what_does_not_run_as_wanted_stays() -> None:
    made = situation()
    for name, state in (("a", "starting"), ("b", "backoff"), ("c", "failed")):
        made.vm(name, "node1")
        made.observe(name, state)
    assert plan_balance(made.snapshot).moves == ()


def test_those_that_are_kept_together_move_as_one() -> None:
    made = lopsided(4, 2)
    made.rule("pair", "together", "vm0 vm1")
    plan = plan_balance(made.snapshot)
    assert counts(after(made.snapshot, plan)) == [2, 2]
    assert goes(plan).keys() in ({"vm0", "vm1"}, {"vm2", "vm3"})
    assert not broken(after(made.snapshot, plan))


@pytest.mark.parametrize("failback", [True, False])
def test_nobody_goes_where_a_rule_prefers_another_node(failback: bool) -> None:
    made = situation(2, memory=8192)
    for number in range(4):
        running(made, f"vm{number}", "node1", failback=failback)
    made.rule("home", "node_preference", "vm0 vm1 vm2 vm3", {"node1": 1})
    assert plan_balance(made.snapshot).moves == ()


def test_nodes_that_take_nothing_do_not_count() -> None:
    made = lopsided(4, 3)
    made.node("node3", state="drained")
    plan = plan_balance(made.snapshot)
    assert set(plan.loads) == {"node1", "node2"}
    assert set(goes(plan).values()) == {"node2"}


def test_an_exchange_helps_where_no_single_move_does() -> None:
    made = situation(2, memory=8192)
    made.settings = Settings(placement="free_memory")
    for name, node, memory, vcpus in (("a", "node1", 2048, 1), ("b", "node1", 2048, 1), ("c", "node2", 1024, 1)):
        running(made, name, node, memory, vcpus=vcpus)
    running(made, "d", "node2", 1024)
    plan = plan_balance(made.snapshot)
    assert plan.after == pytest.approx(0.0, abs=1e-6)
    assert sorted(goes(plan).values()) == ["node1", "node2"]


def test_what_has_moved_is_moved_again_before_anything_is_proposed() -> None:
    made = situation(2, memory=16384)
    made.settings = Settings(placement="free_memory")
    for number, memory in enumerate((512, 768, 256, 1024, 1024, 512, 256, 256, 256)):
        running(made, f"vm{number}", "node1", memory)
    plan = plan_balance(made.snapshot)
    assert plan.after < 0.1, "a single round ends at 0.13"
    assert len(goes(plan)) == len(plan.moves), "and yet each moves once"


def test_a_move_that_needs_the_room_of_another_waits_for_it() -> None:
    made = situation(2, memory=1024 + 4096)
    made.settings = Settings(placement="free_memory")
    for name, node, memory in (("a", "node1", 2048), ("b", "node1", 1024), ("c", "node1", 1024), ("d", "node2", 3072)):
        running(made, name, node, memory)
    plan = plan_balance(made.snapshot, even=0.0)
    assert plan.moves
    for under_way in both_ends(made.snapshot, plan):
        assert overcommitted(under_way) == {}


def test_a_stage_ends_where_a_node_would_be_given_too_much() -> None:
    made = situation(2, memory=1024 + 4096)
    made.settings = Settings(placement="free_memory", spare_nodes=0)
    for number, memory in enumerate((512, 1024, 512, 768)):
        running(made, f"vm{number}", "node1", memory)
    for number in (4, 5):
        running(made, f"vm{number}", "node2", 1536)
    plan = plan_balance(made.snapshot, even=0.0)
    assert len({move.stage for move in plan.moves}) > 1
    for under_way in both_ends(made.snapshot, plan):
        assert overcommitted(under_way) == {}


def test_what_a_rule_forbids_is_not_even_thought_of() -> None:
    made = situation(2)
    for name in ("a", "b", "c"):
        running(made, name, "node1")
    running(made, "e", "node2")
    made.rule("pair", "apart", "a e")
    plan = plan_balance(made.snapshot)
    assert goes(plan) == {"b": "node2"}
    assert plan.after == pytest.approx(0.0, abs=1e-6)


def test_what_is_measured_counts_where_the_settings_say_so() -> None:
    made = situation(2)
    made.settings = Settings(placement="measured_load")
    running(made, "busy", "node1", load=3.0, load_memory=100)
    running(made, "busy-too", "node1", load=3.0, load_memory=100)
    for number in range(3):
        running(made, f"idle{number}", "node2", load=0.0, load_memory=10)
    assert goes(plan_balance(made.snapshot)).keys() <= {"busy", "busy-too"}
    assert len(plan_balance(made.snapshot, even=0.1).moves) == 1


def test_it_does_not_go_where_it_did_not_start_or_could_not_be_moved() -> None:
    made = lopsided(0, 3)
    running(made, "a", "node1", tried=("node2",))
    made.vm("b", "node1")
    made.observe("b", "running", refused="node2")
    assert set(goes(plan_balance(made.snapshot)).values()) == {"node3"}


def test_no_move_takes_the_room_for_the_loss_of_a_node() -> None:
    made = situation(3, memory=1024 + 4096)
    made.settings = Settings(placement="fewest_vms", spare_nodes=1)
    running(made, "large", "node1", 4096)
    for number in range(7):
        running(made, f"small{number}", "node2", 512)
    assert worse(made.snapshot, moved(made.snapshot, {"small0": "node3"})) is not None
    plan = plan_balance(made.snapshot)
    assert worse(made.snapshot, after(made.snapshot, plan)) is None
    assert set(plan.staying.values()) == {"its move to node3 would leave too little room for the loss of a node"}
    assert plan.after == pytest.approx(plan.moves[-1].spread if plan.moves else plan.before)


def test_no_guest_goes_where_it_would_not_find_its_processor() -> None:
    made = lopsided(4, 3)
    for node, model in (("node1", "Skylake"), ("node2", "EPYC"), ("node3", "Skylake")):
        status = made.status[node].value
        assert status is not None
        made.status[node] = Stored(replace(status, cpu_model=model, cpu_default="host-passthrough"), 0)
    assert set(goes(plan_balance(made.snapshot)).values()) == {"node3"}


def both_ends(snapshot: Snapshot, plan: Balance) -> Iterator[Snapshot]:
    """Each stage, with all of its VMs on their way."""
    for stage in sorted({move.stage for move in plan.moves}):
        moves = {name: move.to for move in plan.moves if move.stage == stage for name in move.vms}
        claims = {
            name: Stored(replace(claim.value, to=moves[name]), 0) if name in moves and claim.value else claim
            for name, claim in snapshot.claims.items()
        }
        yield replace(snapshot, claims=claims)
        snapshot = moved(snapshot, moves)


# --- properties -------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(situations())
def test_a_plan_keeps_its_promises(made: Situation) -> None:
    for name in made.claims:
        if vm_status(made.snapshot, name) is None:
            made.observe(name, "running")
    before = made.snapshot
    plan = plan_balance(before)
    then = after(before, plan)
    assert broken(then) <= broken(before)
    assert all(lack <= overcommitted(before).get(node, 0) for node, lack in overcommitted(then).items())
    for under_way in both_ends(before, plan):
        assert all(lack <= overcommitted(before).get(node, 0) for node, lack in overcommitted(under_way).items())
    assert worse(before, then) is None
    assert len(goes(plan)) == sum(len(move.vms) for move in plan.moves)
    values = [plan.before, *(move.spread for move in plan.moves)]
    assert plan.after == values[-1]
    assert plan.after < plan.before or not plan.moves
    for name, node in goes(plan).items():
        vm = before.vms[name].value
        assert vm is not None
        assert (vm.state, vm.node) == ("started", None)
        assert node in plan.loads
    # nothing flaps: what one plan has made, no later one undoes for ever
    for _turn in range(20):
        again = plan_balance(then)
        if not again.moves:
            break
        then = after(then, again)
    else:
        raise AssertionError("it never comes to rest")
