# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that users ask for: what is planned, what is refused, and what need not be done."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pvc_state import paths
from pvc_state.codec import Stored, encode
from pvc_state.commit import commit
from pvc_state.errors import DamagedRecord, InvalidRequest
from pvc_state.plan_move import plan_move
from pvc_state.plan_moves import plan_moves
from pvc_state.records import Claim, Cpu, Devices, Node
from pvc_state.requests import MoveRequest
from pvc_state.store import Check, Create, Set
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation


def refused(made: Situation, *requests: MoveRequest) -> str:
    with pytest.raises(InvalidRequest) as caught:
        plan_move(made.snapshot, requests)
    assert caught.value.remedy
    assert caught.value.obj == f"vm {requests[-1].name}"
    return f"{caught.value.option}: {caught.value.problem}"


def test_a_move_is_written_into_the_claim(cluster: Cluster) -> None:
    cluster.apply(request())
    made = commit(cluster.store, lambda snapshot: plan_move(snapshot, [MoveRequest("web1", "node2")]))
    assert cluster.snapshot.claims["web1"].value == Claim("node1", 1, to="node2", why="a user moves it")
    assert cluster.store.children(paths.assigned("node2")) == ["web1"]
    assert made.plan.after.claims["web1"].value == cluster.snapshot.claims["web1"].value
    assert made.plan.why == {"web1": "moves from node1 to node2: a user moves it; while it runs"}
    assert json.loads(made.plan.diff()["after"]) == {
        "vm web1": {"claim": {"node": "node1", "to": "node2", "cold": False, "home": None}}
    }
    again = commit(cluster.store, lambda snapshot: plan_move(snapshot, [MoveRequest("web1", "node2")]))
    assert not again.plan.changed
    assert again.plan.why == {"web1": "it is on its way to node2 already"}


def test_who_is_where_the_others_go_stays_there() -> None:
    made = situation(nodes=2)
    made.vm("a", "node1")
    made.vm("b", "node2")
    made.rule("beside", "together", "a b")
    plan = plan_move(made.snapshot, [MoveRequest("a")])
    assert list(plan.why) == ["a"]
    assert "/assigned/node2/b" not in [op.path for op in plan.ops]


def test_the_plan_holds_on_to_the_state_that_it_was_decided_on() -> None:
    made = situation()
    made.vm("a", "node1", home="node3", tried=("node3",))
    plan = plan_move(made.snapshot, [MoveRequest("a", "node2", method="cold")])
    claim = Claim("node1", 1, to="node2", why="a user moves it", cold=True)
    assert plan.ops == (
        Check("/schema", 0),
        Set("/journal", b"", 0),
        Set("/claims/a", encode(claim), 0),
        Create("/assigned/node2/a"),
    )
    assert plan.why["a"].endswith("it is stopped for that")


def test_a_home_that_is_being_emptied_is_kept() -> None:
    made = situation()
    made.vm("a", "node1", home="node3")
    made.node("node3", state="maintenance")
    moved = plan_move(made.snapshot, [MoveRequest("a", "node2")]).after.claims["a"].value
    assert moved is not None
    assert moved.home == "node3", "its user may not have had the choice"


def test_a_vm_that_is_there_need_not_move() -> None:
    made = situation()
    made.vm("a", "node1")
    plan = plan_move(made.snapshot, [MoveRequest("a", "node1")])
    assert (plan.changed, plan.ops, plan.why) == (False, (), {"a": "it is on node1 already"})


def test_a_vm_that_is_off_moves_too() -> None:
    made = situation()
    made.vm("a", "node1", state="disabled")
    assert plan_move(made.snapshot, [MoveRequest("a", "node2")]).why["a"].endswith("it does not run")


def test_a_group_moves_as_a_whole() -> None:
    made = situation()
    for name in "abc":
        made.vm(name, "node2" if name == "c" else "node1")
    made.vm("off", "node1", state="disabled")
    made.rule("all", "together", "a b c off")
    plan = plan_move(made.snapshot, [MoveRequest("b", "node2"), MoveRequest("a", "node2")])
    assert {change.name for change in plan.changes} == {"a", "b"}
    assert plan.why["a"] == "moves from node1 to node2: moved with b, which is kept together with it; while it runs"
    assert refused(made, MoveRequest("a", "node3"), MoveRequest("b", "node2")) == "to: it is on its way to node3"


REFUSED = {
    "unknown": (MoveRequest("nobody", "node2"), "name: it does not exist"),
    "bad name": (MoveRequest("a", "Node 2"), "to: 'Node 2' is no valid name"),
    "no such node": (MoveRequest("a", "node9"), "to: node node9 is not part of the cluster"),
    "dead": (MoveRequest("a", "dead"), "to: node dead is down: its agent has no session"),
    "drained": (MoveRequest("a", "drained"), "to: node drained is drained"),
    "full": (MoveRequest("a", "full"), "to: node full has 0 MiB free, 512 are needed"),
    "bound": (
        MoveRequest("bound", "node2"),
        "to: node node2 is not the one that it is bound to: its option node says node1",
    ),
    "forbidden": (MoveRequest("here", "node2"), "to: node node2 is none of those that rule only allows"),
    "apart": (MoveRequest("x", "node3"), "to: node node3 has y, from which rule never keeps it apart"),
    "absent": (MoveRequest("absent", "node2"), "state: it is being deleted"),
    "ignored": (MoveRequest("ignored", "node2"), "state: its state is ignored, and so it is left as it is"),
    "moving": (MoveRequest("moving", "node3"), "to: it is on its way to node2"),
    "its node is dead": (
        MoveRequest("lost", "node2"),
        "to: it belongs to dead, which is down: its agent has no session",
    ),
    "prefers": (MoveRequest("prefers", "node2"), "to: it would return at once to node1, which a rule prefers to node2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(case: str) -> None:
    made = situation()
    made.node("dead")
    made.die("dead")
    made.node("drained", state="drained")
    made.node("full", memory=1024)
    for name in ("a", "here", "x", "prefers"):
        made.vm(name, "node1")
    made.vm("y", "node3")
    made.vm("bound", "node1", bound="node1")
    made.vm("absent", "node1", state="absent")
    made.vm("ignored", "node1", state="ignored")
    made.vm("moving", "node1", to="node2")
    made.vm("lost", "dead")
    made.rule("only", "node_preference", "here", {"node1": 0, "node3": 0}, strict=True)
    made.rule("never", "apart", "x y")
    made.rule("best", "node_preference", "prefers", {"node1": 1})
    made.settings = replace(made.settings, placement="free_memory")
    one, text = REFUSED[case]
    assert refused(made, one) == text


def test_a_vm_is_named_once() -> None:
    made = situation()
    made.vm("a", "node1")
    assert refused(made, MoveRequest("a", "node2"), MoveRequest("a", "node3")) == "name: it is in the list twice"


def test_moves_of_one_plan_share_the_room() -> None:
    made = situation()
    made.vm("a", "node1", memory=2048)
    made.vm("b", "node1", memory=1024)
    made.vm("c", "node2", memory=1024)
    assert refused(made, MoveRequest("a", "node3"), MoveRequest("b", "node3"), MoveRequest("c", "node3")) == (
        "to: node node3 has 0 MiB free, 1024 are needed"
    )


def test_where_a_user_moves_a_vm_it_stays() -> None:
    made = situation()
    made.vm("a", "node1", home="node3", failback=False)
    made.rule("best", "node_preference", "a", {"node1": 1})
    plan = plan_move(made.snapshot, [MoveRequest("a", "node2")])
    claim = plan.after.claims["a"].value
    assert claim is not None
    there = replace(claim, node="node2", to="", epoch=2)
    after = replace(plan.after, claims={"a": Stored(there, 2)})
    assert plan_moves(after).wishes == ()


def test_a_damaged_claim_is_nobodys_to_change() -> None:
    made = situation()
    made.vm("a", "node1")
    made.claims["a"] = Stored(None, 0, 0, "no JSON")
    with pytest.raises(DamagedRecord):
        plan_move(made.snapshot, [MoveRequest("a", "node2")])


def heterogeneous(**guest: Any) -> Situation:
    """Two equal nodes and an older one; a runs on the first."""
    made = situation()
    for node, model, models in (
        ("node1", "New", ("New", "Old")),
        ("node2", "Old", ("Old",)),
        ("node3", "New", ("New", "Old")),
    ):
        status = made.status[node].value
        assert status is not None
        told = replace(status, cpu_model=model, cpu_models=models, cpu_default="host-model")
        made.status[node] = Stored(told, 0)
    made.vm("a", "node1", **guest)
    made.observe("a", "running")
    return made


def test_a_running_guest_goes_only_where_its_processor_is_offered() -> None:
    made = heterogeneous()
    assert refused(made, MoveRequest("a", "node2")) == (
        "method: node node2 cannot offer its guest's processor (New), so that it cannot move there while it runs"
    )
    assert plan_move(made.snapshot, [MoveRequest("a", "node2", method="cold")]).changed
    chosen = plan_move(made.snapshot, [MoveRequest("a")])
    assert "moves from node1 to node3" in chosen.why["a"]
    assert "node2 cannot offer its guest's processor (New)" in chosen.why["a"]
    made.observe("a", "backoff")
    assert plan_move(made.snapshot, [MoveRequest("a", "node2")]).changed, "what does not run fits everywhere"


@pytest.mark.parametrize(
    ("model", "fits"), [("Old", True), ("New", False), ("host-model", False), ("host-passthrough", False)]
)
def test_what_fits_depends_on_the_guests_own_processor(model: str, fits: bool) -> None:
    made = heterogeneous(cpu=Cpu(model=model))
    if fits:
        assert plan_move(made.snapshot, [MoveRequest("a", "node2")]).changed
    else:
        assert "node node2 " in refused(made, MoveRequest("a", "node2"))
    assert plan_move(made.snapshot, [MoveRequest("a", "node3")]).changed


def test_the_leader_moves_a_running_guest_only_where_its_processor_is_offered() -> None:
    made = heterogeneous()
    made.nodes["node1"] = Stored(Node(memory_reserve=1024, state="drained"), 0)
    (wish,) = plan_moves(made.snapshot).wishes
    assert wish.to == "node3"
    made.die("node3")
    assert "node2 cannot offer its guest's processor (New)" in plan_moves(made.snapshot).blocked["a"]


def test_a_vm_that_was_sent_away_for_a_while_is_not_sent_back() -> None:
    made = situation()
    made.vm("a", "node1")
    plan = plan_move(made.snapshot, [MoveRequest("a", "node2", home="remember")])
    claim = plan.after.claims["a"].value
    assert claim is not None
    there = replace(claim, node="node2", to="", epoch=2)
    assert (there.home, there.away) == ("node1", True)
    after = replace(plan.after, claims={"a": Stored(there, 2)})
    assert plan_moves(after).wishes == ()
    made.claims["a"] = Stored(there, 2)
    made.nodes["node2"] = Stored(Node(memory_reserve=1024, state="drained"), 0)
    (wish,) = plan_moves(made.snapshot).wishes
    assert (wish.to, wish.home) == ("node1", ""), "it must go somewhere, and goes home"


def test_a_move_that_the_leader_would_begin_again_is_not_cancelled() -> None:
    made = situation()
    made.nodes["node1"] = Stored(Node(memory_reserve=1024, state="drained"), 0)
    made.vm("a", "node1", to="node2")
    assert refused(made, MoveRequest("a", state="cancelled")).startswith(
        "state: it would be moved again at once, to node2: node1 is drained"
    )


def test_a_guest_that_has_arrived_cannot_be_called_back() -> None:
    made = situation()
    made.vm("a", "node2")
    made.observe("a", "moving")
    assert refused(made, MoveRequest("a", state="cancelled")) == (
        "state: its guest has arrived on node2, and the claim with it"
    )
    made.vm("a", "node1", to="node2")
    made.die("node1")
    assert "where it goes is up to its recovery" in refused(made, MoveRequest("a", state="cancelled"))


def test_devices_of_a_node_stay_there() -> None:
    made = situation()
    made.vm("a", "node1", devices=Devices(host=("gpu",)))
    assert "it has gpu of its node" in refused(made, MoveRequest("a", "node2"))
