# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left on nodes that are to be empty, and whether anything will change about it by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvc_state.codec import Stored
from pvc_state.drain_report import Left, drain_view, drains, exposed
from pvc_state.records import Devices, Fence, HostDevice, Migration, SignOff, VmStatus
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation


def draining() -> Situation:
    made = situation()
    made.node("node3", state="drained")
    return made


def test_an_empty_node_is_empty() -> None:
    made = draining()
    made.vm("a", "node1")
    found = drains(made.snapshot, ["node3", "node4"])
    assert (found.left, found.stuck, list(found.nodes)) == ((), False, ["node3"])
    assert drain_view(found.nodes["node3"]) == {"node": "node3", "empty": True, "left": [], "staying": []}


def test_what_has_yet_to_go_and_what_is_on_its_way() -> None:
    made = draining()
    made.vm("a", "node3")
    made.vm("b", "node3", to="node1")
    made.vm("c", "node1", to="node3")
    made.vm("gone", "node3", state="absent")
    found = drains(made.snapshot, ["node3"])
    a, b, c, gone = found.left
    assert (a.to, a.stuck) == ("node2", False)
    assert a.why.startswith("node3 is drained; ")
    assert b == Left("b", "node1", "it is on its way from node3 to node1")
    assert c == Left("c", "node3", "it is on its way from node1 to node3")
    assert gone == Left("gone", "", "it is being deleted on node3")
    assert not found.stuck


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"memory": 4000}, "no node can take it: "),
        ({"bound": "node3"}, "it is bound to node3"),
        ({"migration": Migration("none")}, "its migration.method is none, so that it is not moved"),
        ({"devices": Devices(host=("gpu",))}, "it has gpu of its node, and cannot move while it runs"),
    ],
)
def test_what_can_go_nowhere_is_named_and_nothing_more_is_waited_for(options: dict[str, object], words: str) -> None:
    made = draining()
    made.vm("a", "node3", **options)
    found = drains(made.snapshot, ["node3"])
    (left,) = found.left
    assert (left.to, left.stuck, found.stuck) == ("", True, True)
    assert left.why.startswith(f"node3 is drained, but {words}")
    made.vm("b", "node1", to="node2")
    assert not drains(made.snapshot, ["node3"]).stuck, "a move under way may make room"


def test_what_may_not_move_while_it_runs_goes_when_it_is_off() -> None:
    made = draining()
    for name in ("node1", "node2"):
        made.node(name, devices=(HostDevice("gpu", "pci", "0000:65:00.0"),))
    made.vm("a", "node3", migration=Migration("none"), state="stopped")
    made.vm("b", "node3", migration=Migration("shutdown"), devices=Devices(host=("gpu",)))
    assert all(left.to for left in drains(made.snapshot, ["node3"]).left)


def test_what_may_not_move_stays_where_a_rule_does_not_want_it() -> None:
    made = situation()
    made.vm("a", "node3", migration=Migration("none"))
    made.rule("r", "node_preference", "a", {"node1": 1})
    assert drains(made.snapshot, ["node3"]).left[0] == Left("a", "", "it is on node3 still")


def test_a_move_that_has_failed_is_tried_again() -> None:
    made = situation(2)
    made.node("node2", state="drained")
    made.vm("a", "node2")
    made.observe("a", "running", "the target has another CPU", refused="node1")
    (left,) = drains(made.snapshot, ["node2"]).left
    assert (left.why, left.stuck) == ("its move to node1 has failed: the target has another CPU", False)


def test_in_maintenance_of_the_cluster_nothing_goes_but_what_is_on_its_way() -> None:
    made = draining()
    made.settings = replace(made.settings, maintenance=True)
    made.vm("a", "node3")
    found = drains(made.snapshot, ["node3"])
    assert found.left == (Left("a", "", "the cluster is in maintenance, and so nothing is moved", True),)
    assert found.stuck
    made.vm("b", "node3", to="node1")
    assert not drains(made.snapshot, ["node3"]).stuck
    damaged = replace(made.snapshot, settings=Stored(None, 0, invalid="no JSON"))
    assert drains(damaged, ["node3"]).left[0].why == "the settings are damaged, and so nothing is moved"


def test_the_vms_of_a_node_that_is_down_leave_it_by_its_fence() -> None:
    made = draining()
    made.vm("a", "node3")
    made.die("node3")
    assert drains(made.snapshot, ["node3"]).left == (Left("a", "", "node3 is down: its agent has no session", False),)
    for state, waiting, stuck in (("collecting", {}, False), ("held", {}, True), ("proven", {"a": "no room"}, True)):
        made.fences["node3"] = Stored(Fence("1-1", state, "gone", waiting=waiting), 0)
        found = drains(made.snapshot, ["node3"])
        assert found.stuck is stuck, state
        assert found.left[0].why == waiting.get("a", "node3 is down: its agent has no session")


def test_what_is_frozen_on_its_node_does_not_leave_it() -> None:
    made = draining()
    made.vm("a", "node3")
    made.sign_off("node3")
    assert not drains(made.snapshot, ["node3"]).stuck, "others take it over"
    status = made.status["node3"].value
    assert status
    made.status["node3"] = Stored(replace(status, signed_off=SignOff(False, "it reboots")), 0)
    found = drains(made.snapshot, ["node3"])
    assert (found.stuck, found.left[0].why) == (True, "node3 has signed off: it reboots")


def test_damage_is_never_taken_for_emptiness() -> None:
    made = draining()
    made.vm("a", "node3")
    made.vm("b", "node3")
    made.vm("c", "node3")
    status = made.status["node3"].value
    assert status
    told = {name: VmStatus("running", 1, 1) for name in ("a", "b", "c")}
    made.status["node3"] = Stored(replace(status, vms=told), 0)
    made.vms["a"] = Stored(None, 0, invalid="no JSON")
    made.claims["b"] = Stored(None, 0, invalid="no JSON")
    del made.claims["c"]
    found = drains(made.snapshot, ["node3"])
    assert [(one.vm, one.why) for one in found.left] == [
        ("a", "its record is damaged (no JSON): nobody knows what it needs"),
        ("b", "its claim is damaged (no JSON): nobody knows who may run it"),
        ("c", "its claim is missing: nobody knows who may run it"),
    ]
    assert found.stuck


def test_what_stays_is_told_and_keeps_nobody() -> None:
    made = draining()
    made.vm("off", "node3", state="disabled")
    made.vm("strange", "node3", state="ignored")
    found = drains(made.snapshot, ["node3"])
    assert found.left == ()
    assert dict(found.nodes["node3"].staying) == {"off": "it is disabled", "strange": "it is ignored"}


def test_rules_hold_at_both_ends_of_a_drain() -> None:
    made = draining()
    made.vm("a", "node3", to="node1")
    made.vm("b", "node3")
    made.rule("r", "apart", "a b")
    assert {one.vm: one.to for one in drains(made.snapshot, ["node3"]).left} == {"a": "node1", "b": "node2"}
    made.node("node2", state="drained")
    (_a, b) = drains(made.snapshot, ["node3"]).left
    assert (b.to, b.why.startswith("node3 is drained, but no node can take it: node1 has a, from which rule r")) == (
        "",
        True,
    )


def test_what_another_loss_would_cost_while_a_node_is_empty() -> None:
    made = situation()
    made.vm("a", "node1", memory=2000)
    made.vm("b", "node2", memory=1500)
    made.vm("c", "node3", memory=1000)
    before = made.snapshot
    assert exposed(before, before) == ""
    made.node("node3", state="drained")
    # c goes to node2, and 3072 MiB hold two of the three
    words = "no room would be left for the loss of node1: 2000 MiB of its VMs would fit nowhere: a"
    assert exposed(before, made.snapshot).startswith(words)
    assert exposed(made.snapshot, made.snapshot) == "", "it was so before"
    made.node("node2", state="drained")
    assert exposed(before, made.snapshot).startswith("node1 is the only node left that takes VMs")
