# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the leader wants of the VMs of living nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pvc_state.codec import Stored
from pvc_state.plan_moves import Moves, Wish, plan_moves
from pvc_state.plan_recovery import plan_recovery
from pvc_state.records import Migration
from pvc_state.snapshot import Snapshot
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, moved, situation


def goes(moves: Moves) -> dict[str, str]:
    return {wish.vm: wish.to for wish in moves.wishes}


def settled(snapshot: Snapshot) -> Moves:
    """What is wished; once it is done, nothing more is."""
    moves = plan_moves(snapshot)
    homes = {wish.vm: {"home": wish.home, "tried": wish.tried} for wish in moves.wishes}
    after = plan_moves(moved(snapshot, goes(moves), **homes))
    assert after.wishes == ()
    return moves


def test_nothing_is_wished_when_all_is_well() -> None:
    made = situation()
    made.vm("a", "node1")
    made.vm("b", "node1")
    made.vm("c", "node1")
    assert plan_moves(made.snapshot) == Moves((), {})


# --- drain and return -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"state": "drained"}, "is drained"),
        ({"state": "maintenance"}, "is in maintenance"),
        ({"leaving": "migrate"}, "shuts down"),
    ],
)
def test_a_node_that_is_to_be_empty_is_emptied(options: dict[str, str], reason: str) -> None:
    made = situation()
    made.node("node3", **options)
    made.vm("ct102", "node3", migration=Migration("shutdown"))
    made.vm("vm103", "node3")
    made.vm("off", "node3", state="stopped")
    moves = settled(made.snapshot)
    assert moves.wishes[0] == Wish(
        "ct102",
        "node1",
        f"node3 {reason}; no VMs to run there, the fewest of 2 nodes that fit; not node3 {reason}",
        home="node3",
    )
    assert goes(moves) == {"ct102": "node1", "vm103": "node2", "off": "node1"}


@pytest.mark.parametrize("policy", ["conditional", "freeze", "failover"])
def test_a_node_that_stops_its_vms_keeps_them(policy: str) -> None:
    made = situation()
    made.node("node3", leaving=policy)
    made.vm("a", "node3")
    assert plan_moves(made.snapshot) == Moves((), {})


@pytest.mark.parametrize("failback", [True, False])
def test_what_was_moved_away_returns_when_its_home_takes_vms_again(failback: bool) -> None:
    made = situation()
    made.vm("a", "node1", home="node3", failback=failback)
    made.vm("off", "node1", home="node3", state="stopped")
    assert [(wish.vm, wish.to, wish.why, wish.home) for wish in settled(made.snapshot).wishes] == [
        ("a", "node3", "node3 takes VMs again, and is its home", ""),
        ("off", "node3", "node3 takes VMs again, and is its home", ""),
    ]
    made.die("node3")
    assert plan_moves(made.snapshot) == Moves((), {})


def test_the_first_home_is_kept_through_several_drains() -> None:
    made = situation()
    made.node("node1", state="maintenance")
    made.node("node3", state="maintenance")
    made.vm("a", "node1", home="node3")
    (wish,) = plan_moves(made.snapshot).wishes
    assert (wish.to, wish.home) == ("node2", "node3")
    made.node("node3")
    (wish,) = settled(made.snapshot).wishes
    assert (wish.to, wish.home, wish.why) == ("node3", "", "node1 is in maintenance; node3 is its home")


def test_a_home_without_room_is_waited_for_and_says_so() -> None:
    made = situation()
    made.vm("large", "node3", memory=3000)
    made.vm("a", "node1", home="node3")
    moves = plan_moves(made.snapshot)
    assert moves == Moves((), {"a": "it cannot return to its home: node3 has 72 MiB free, 512 are needed"})


def test_a_drain_names_what_blocks_it() -> None:
    made = situation(2)
    made.node("node2", state="drained")
    made.vm("bound", "node2", bound="node2")
    made.vm("disabled", "node2", state="disabled")
    made.vm("failed", "node2", max_moves=0)
    made.observe("failed", "failed", "its disk is gone")
    made.vm("ignored", "node2", state="ignored")
    made.vm("large", "node2", memory=4000)
    moves = plan_moves(made.snapshot)
    assert moves.wishes == ()
    assert moves.blocked == {
        "bound": "node2 is drained, but it is bound to node2 by its option node",
        "failed": "node2 is drained, but it has failed and waits for a person (its disk is gone)",
        "ignored": "node2 is drained, but its state is ignored, and so it is left as it is",
        "large": "node2 is drained, but no node can take it: node1 has 3072 MiB free, 4000 are needed, "
        "node2 is drained",
    }


def test_what_moves_already_is_left_alone() -> None:
    made = situation()
    made.node("node3", state="drained")
    made.vm("a", "node3", to="node1")
    assert plan_moves(made.snapshot) == Moves((), {})


def test_what_was_refused_is_not_wished_again_while_it_stands() -> None:
    made = situation(2)
    made.node("node2", state="drained")
    made.vm("a", "node2")
    made.observe("a", "running", "the target has another CPU", refused="node1")
    assert plan_moves(made.snapshot) == Moves((), {"a": "its move to node1 has failed: the target has another CPU"})


def test_the_vms_of_a_dead_node_are_no_matter_of_moves() -> None:
    made = situation()
    made.node("node3", state="drained")
    made.vm("a", "node3")
    made.die("node3")
    assert plan_moves(made.snapshot) == Moves((), {})


def test_a_group_leaves_as_one() -> None:
    made = situation(2, memory=1024 + 1024)
    made.node("node3", memory=1024 + 4096)
    made.node("node4", state="drained")
    made.vm("busy", "node3")
    made.vm("a", "node4", memory=1000)
    made.vm("b", "node4", memory=1000)
    made.rule("both", "together", "a b")
    assert goes(settled(made.snapshot)) == {"a": "node3", "b": "node3"}


def test_the_rest_of_a_group_follows_those_on_their_way() -> None:
    made = situation()
    made.vm("a", "node1", to="node2")
    made.vm("b", "node1")
    made.vm("c", "node1")
    made.rule("all", "together", "a b c")
    assert goes(plan_moves(made.snapshot)) == {"b": "node2", "c": "node2"}


# --- preferences ----------------------------------------------------------------------------------------------------


def test_a_node_that_a_strict_preference_forbids_is_left() -> None:
    made = situation()
    made.vm("a", "node1", failback=False)
    made.vm("off", "node1", state="stopped")
    made.rule("only", "node_preference", "a off", {"node2": 0, "node3": 0}, strict=True)
    moves = settled(made.snapshot)
    assert goes(moves) == {"a": "node2", "off": "node3"}
    assert moves.wishes[0].why.startswith("node1 is none of those that rule only allows; no VMs to run there")


@pytest.mark.parametrize("strict", [True, False])
def test_a_vm_returns_to_the_node_that_it_prefers(strict: bool) -> None:
    made = situation()
    made.vm("a", "node1")
    made.rule("best", "node_preference", "a", {"node3": 2, "node2": 1, "node1": 0}, strict=strict)
    moves = settled(made.snapshot)
    assert goes(moves) == {"a": "node3"}
    assert moves.wishes[0].why.startswith("node3 is preferred to node1; preferred by rule best")
    made.vm("a", "node1", failback=False)
    assert goes(plan_moves(made.snapshot)) == {}
    made.vm("a", "node1", state="stopped")
    assert goes(plan_moves(made.snapshot)) == {}, "what is off is placed well enough"
    made.die("node3")
    made.vm("a", "node1")
    assert goes(settled(made.snapshot)) == {"a": "node2"}


def test_a_preferred_node_without_room_is_no_reason_to_move_elsewhere() -> None:
    made = situation()
    made.vm("large", "node3", memory=3000)
    made.vm("a", "node1")
    made.rule("best", "node_preference", "a", {"node3": 1})
    assert plan_moves(made.snapshot) == Moves((), {})


def test_home_counts_only_among_what_is_preferred() -> None:
    made = situation()
    made.vm("a", "node1", home="node2")
    made.rule("best", "node_preference", "a", {"node3": 1})
    (wish,) = settled(made.snapshot).wishes
    assert (wish.to, wish.home) == ("node3", "")


# --- together and apart ---------------------------------------------------------------------------------------------


def test_a_group_gathers_where_most_of_it_is() -> None:
    made = situation()
    made.vm("a", "node1")
    made.vm("b", "node3")
    made.vm("c", "node3")
    made.rule("all", "together", "a b c")
    moves = settled(made.snapshot)
    assert goes(moves) == {"a": "node3"}
    assert moves.wishes[0].why.startswith("rule all keeps its VMs together; where most of them are")


def test_a_group_gathers_elsewhere_when_its_majority_has_no_room() -> None:
    made = situation()
    made.vm("large", "node3", memory=2048)
    made.vm("a", "node1", memory=256)
    made.vm("b", "node3")
    made.vm("c", "node3")
    made.rule("all", "together", "a b c")
    assert goes(settled(made.snapshot)) == {"b": "node1", "c": "node1"}


def test_a_group_gathers_only_where_all_of_it_may_be() -> None:
    made = situation()
    made.vm("a", "node1")
    made.vm("b", "node3")
    made.vm("c", "node3")
    made.rule("all", "together", "a b c")
    made.rule("only", "node_preference", "a", {"node1": 0, "node2": 0}, strict=True)
    assert goes(settled(made.snapshot)) == {"b": "node1", "c": "node1"}


@pytest.mark.parametrize(
    ("first", "second", "mover"),
    [
        ({}, {}, "a"),
        ({}, {"state": "stopped"}, "b"),
        ({"memory": 1024}, {}, "b"),
        ({"bound": "node1"}, {}, "b"),
    ],
)
def test_of_two_on_one_node_the_cheaper_one_moves(
    first: dict[str, object], second: dict[str, object], mover: str
) -> None:
    made = situation(2)
    made.vm("a", "node1", **first)  # type: ignore[arg-type]
    made.vm("b", "node1", **second)  # type: ignore[arg-type]
    made.rule("never", "apart", "a b")
    moves = settled(made.snapshot)
    assert goes(moves) == {mover: "node2"}
    assert moves.blocked == {}
    other = "b" if mover == "a" else "a"
    assert moves.wishes[0].why.startswith(f"rule never keeps it apart from {other}; ")


def test_three_that_are_kept_apart_spread() -> None:
    made = situation()
    for name in "abc":
        made.vm(name, "node2")
    made.rule("never", "apart", "a b c")
    assert goes(settled(made.snapshot)) == {"a": "node1", "b": "node3"}


def test_what_cannot_be_mended_is_named() -> None:
    made = situation(1)
    made.vm("a", "node1")
    made.vm("b", "node1")
    made.rule("never", "apart", "a b")
    moves = plan_moves(made.snapshot)
    assert moves.blocked == {
        "a": "rule never keeps it apart from b, but no node can take it: "
        "node1 has b, from which rule never keeps it apart",
        "b": "rule never keeps it apart from a, but no node can take it: "
        "node1 has a, from which rule never keeps it apart",
    }


def test_who_leaves_already_is_in_nobodys_way() -> None:
    made = situation()
    made.vm("a", "node1", to="node2")
    made.vm("b", "node1")
    made.rule("never", "apart", "a b")
    assert plan_moves(made.snapshot) == Moves((), {})


# --- failures -------------------------------------------------------------------------------------------------------


def failing(**options: object) -> Situation:
    made = situation()
    made.vm("a", "node1", **options)  # type: ignore[arg-type]
    made.observe("a", "failed", "its kernel is missing")
    return made


def test_what_does_not_start_is_tried_elsewhere() -> None:
    (wish,) = plan_moves(failing().snapshot).wishes
    assert wish == Wish(
        "a",
        "node2",
        "it does not start on node1 (its kernel is missing); no VMs to run there, the fewest of 2 nodes that fit; "
        "not node1 was tried: it does not start there",
        tried=("node1",),
    )


def test_each_node_is_tried_once_and_no_more_than_wanted() -> None:
    (wish,) = plan_moves(failing(max_moves=2, tried=("node2",)).snapshot).wishes
    assert (wish.to, wish.tried) == ("node3", ("node2", "node1"))
    assert plan_moves(failing(max_moves=1, tried=("node2",)).snapshot) == Moves((), {})


def test_what_has_no_other_node_is_tried_again_where_it_is_as_often_as_it_may_move() -> None:
    moves = plan_moves(failing(max_moves=3, tried=("node2", "node3"), home="node3").snapshot)
    ((wish,), wishes) = (moves.again, moves.wishes)
    assert wishes == ()
    assert (wish.to, wish.tried, wish.home) == ("node1", ("node2", "node3", "node1"), "node3")
    assert wish.why.startswith(
        "it does not start on node1 (its kernel is missing), and no other node can take it: node1 was tried: it does not"
    )
    assert plan_moves(failing(max_moves=3, tried=("node2", "node3", "node1")).snapshot) == Moves((), {})


def test_a_node_that_is_to_be_empty_is_no_place_to_try_again() -> None:
    made = failing(max_moves=3, tried=("node2", "node3"))
    made.node("node1", state="maintenance")
    made.observe("a", "failed")
    moves = plan_moves(made.snapshot)
    assert (moves.wishes, moves.again) == ((), ())
    assert "no other node can take it" in moves.blocked["a"]


def cyclic(state: str) -> Situation:
    """Three VMs that are kept apart, each on the node that the next one is bound to; the first is in this state."""
    made = situation()
    for number, name in enumerate("abc"):
        made.vm(name, f"node{number + 1}", state=state if name == "a" else "started")
        made.rule(f"of-{name}", "node_preference", name, {f"node{(number + 1) % 3 + 1}": 0}, strict=True)
    made.rule("apart", "apart", "a b c")
    return made


def test_vms_that_wait_for_each_others_places_go_past_one_that_is_off() -> None:
    assert plan_moves(cyclic("started").snapshot).wishes == (), "nobody can begin"
    assert goes(plan_moves(cyclic("stopped").snapshot)) == {"c": "node1"}, "a gives way in its turn"


def test_one_that_is_off_keeps_away_whom_nothing_forces() -> None:
    made = situation(2)
    made.vm("a", "node1", state="stopped")
    made.vm("b", "node2")
    made.rule("apart", "apart", "a b")
    made.node("node2", state="maintenance")
    assert plan_moves(made.snapshot).wishes == ()


def test_a_home_is_tried_first_and_remembered_while_it_takes_no_vms() -> None:
    made = failing(home="node3")
    (wish,) = plan_moves(made.snapshot).wishes
    assert (wish.to, wish.home) == ("node3", "")
    made.node("node3", state="maintenance")
    (wish,) = plan_moves(made.snapshot).wishes
    assert (wish.to, wish.home) == ("node2", "node3")


def test_a_change_by_its_user_begins_anew() -> None:
    made = failing(max_moves=1, tried=("node2",))
    vm, claim = made.vms["a"].value, made.claims["a"].value
    assert vm is not None
    assert claim is not None
    made.vms["a"] = Stored(replace(vm, generation=2), 1)
    assert plan_moves(made.snapshot) == Moves((), {}), "its owner has not tried it yet as it is wanted now"
    made.observe("a", "failed", generation=2)
    (wish,) = plan_moves(made.snapshot).wishes
    assert (wish.to, wish.tried) == ("node2", ("node1",))


@pytest.mark.parametrize(("change", "fields"), [("epoch", {"epoch": 0}), ("state", {"state": "backoff"}), ("boot", {})])
def test_only_what_its_owner_says_now_counts(change: str, fields: dict[str, object]) -> None:
    made = failing()
    made.observe("a", **{"state": "failed", **fields})  # type: ignore[arg-type]
    if change == "boot":
        status = made.status["node1"].value
        assert status is not None
        made.status["node1"] = Stored(replace(status, boot_id="before"), 0)
    assert plan_moves(made.snapshot).wishes == ()


def test_a_group_does_not_follow_one_that_fails() -> None:
    made = failing()
    made.vm("b", "node1")
    made.observe("b", "running")
    made.rule("both", "together", "a b")
    moves = plan_moves(made.snapshot)
    assert moves.wishes == ()
    (wish,) = moves.again
    assert (wish.vm, wish.to) == ("a", "node1"), "it is tried again where it is"
    assert "node2 is not node1, where b (rule both) is" in wish.why


def test_a_group_that_fails_as_a_whole_is_tried_elsewhere() -> None:
    made = failing()
    made.vm("b", "node1")
    made.observe("b", "failed")
    made.rule("both", "together", "a b")
    assert goes(plan_moves(made.snapshot)) == {"a": "node2", "b": "node2"}


def test_nobody_returns_to_where_it_did_not_start() -> None:
    made = situation()
    made.vm("a", "node2", tried=("node1",))
    made.observe("a", "running")
    made.rule("best", "node_preference", "a", {"node1": 1})
    assert plan_moves(made.snapshot) == Moves((), {}), "it prefers node1 still, and so that is not forgotten"
    del made.rules["best"]
    assert plan_moves(made.snapshot) == Moves((), {}, ("a",))


# --- others ---------------------------------------------------------------------------------------------------------


def test_what_is_about_to_arrive_has_its_room() -> None:
    made = situation(3)
    made.vm("large", "node1", memory=3000)
    made.die("node1", "storage_cut")
    made.node("node3", state="drained")
    made.vm("a", "node3")
    assert goes(plan_moves(made.snapshot)) == {"a": "node2"}
    moves = plan_moves(made.snapshot, {"large": "node2"})
    assert "node2 has 72 MiB free, 512 are needed" in moves.blocked["a"]


def test_a_bound_vm_that_runs_elsewhere_goes_where_it_is_bound_to() -> None:
    made = situation()
    made.vm("a", "node1", bound="node3")
    made.vm("off", "node1", bound="node3", state="stopped")
    moves = settled(made.snapshot)
    assert goes(moves) == {"a": "node3"}, "the owner of what is off gives it away by itself"
    assert moves.wishes[0].why == "it is bound to node3 by its option node; bound to it by its option node"


def test_damaged_records_move_nowhere() -> None:
    made = situation()
    made.node("node3", state="drained")
    made.vm("a", "node3")
    made.vm("b", "node3")
    made.vms["a"] = Stored(None, 0, 0, "no JSON")
    made.claims["b"] = Stored(None, 0, 0, "no JSON")
    assert plan_moves(made.snapshot) == Moves((), {})


# --- what is not moved ----------------------------------------------------------------------------------------------

NONE = Migration("none")


def fixed(made: Situation) -> Mapping[str, str]:
    """What is blocked; that it is not moved is said of each."""
    moves = plan_moves(made.snapshot)
    said = ", but its migration.method is none, so that it is not moved: stop it, or choose another method"
    assert all(why.endswith(said) for why in moves.blocked.values())
    return {name: why.removesuffix(said) for name, why in moves.blocked.items()}


def test_what_is_not_moved_stays_whatever_rules_say_and_that_is_told() -> None:
    made = situation()
    made.vm("bound", "node1", migration=NONE)
    made.rule("only", "node_preference", "bound", {"node2": 1}, strict=True)
    made.vm("a", "node3", migration=NONE)
    made.vm("b", "node3", migration=NONE)
    made.rule("ab", "apart", "a b")
    assert plan_moves(made.snapshot).wishes == ()
    assert fixed(made) == {
        "bound": "node1 is none of those that rule only allows",
        "a": "rule ab keeps it apart from b",
        "b": "rule ab keeps it apart from a",
    }


def test_others_keep_away_from_it_and_follow_it() -> None:
    made = situation()
    made.vm("a", "node1", memory=256, migration=NONE)
    made.vm("b", "node1", memory=1024)
    made.rule("ab", "apart", "a b")
    made.vm("c", "node2")
    made.vm("d", "node2")
    made.rule("acd", "together", "a c d")
    moves = settled(made.snapshot)
    assert goes(moves) == {"b": "node3", "c": "node1", "d": "node1"}
    assert moves.blocked == {}


def test_it_prefers_in_vain_and_only_a_dead_node_gives_it_another() -> None:
    made = situation()
    made.vm("a", "node1", migration=NONE, home="node2")
    made.rule("soft", "node_preference", "a", {"node3": 1})
    assert plan_moves(made.snapshot) == Moves((), {})
    made.die("node1", "storage_cut")
    assert [move.to for move in plan_recovery(made.snapshot, "node1").moves] == ["node3"]
