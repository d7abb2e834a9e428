# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules as users declare them: what can never be kept is refused with the fewest that contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvc_state import paths
from pvc_state.codec import Stored
from pvc_state.errors import DamagedRecord, InvalidRequest
from pvc_state.plan import Plan
from pvc_state.plan_moves import plan_moves
from pvc_state.plan_rules import plan_rules
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Claim, Rule
from pvc_state.requests import RuleRequest, VmRequest
from pvc_state.rule_conflicts import contradiction
from pvc_state.rule_report import rule_views
from pvc_state.store import Check, Create, Delete, Set
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, situation

NODES = ("n1", "n2", "n3")
VMS = tuple("abcdef")


def apart(vms: str) -> Rule:
    return Rule("apart", tuple(vms))


def together(vms: str) -> Rule:
    return Rule("together", tuple(vms))


def only(vms: str, *nodes: str) -> Rule:
    return Rule("node_preference", tuple(vms), dict.fromkeys(nodes, 0), strict=True)


def ask(made: Situation, *requests: RuleRequest) -> Plan:
    return plan_rules(made.snapshot, requests)


CASES: dict[str, tuple[dict[str, Rule], Mapping[str, str], set[str], str]] = {
    "kept": ({"x": apart("abc"), "y": together("ad"), "z": only("a", "n2")}, {}, set(), ""),
    "together and apart": (
        {"x": apart("ab"), "y": together("ab"), "z": only("c", "n1")},
        {},
        {"x", "y"},
        "a and b would be kept both together and apart",
    ),
    "together by a chain, and apart": (
        {"x": apart("ad"), "ab": together("ab"), "bc": together("bc"), "cd": together("cd"), "ce": together("ce")},
        {},
        {"x", "ab", "bc", "cd"},
        "a and d would be kept both together and apart",
    ),
    "a shorter chain": (
        {"x": apart("ad"), "ab": together("ab"), "bc": together("bc"), "cd": together("cd"), "y": together("bd")},
        {},
        {"x", "ab", "y"},
        "a and d would be kept both together and apart",
    ),
    "a shorter chain that comes first by name": (
        {"a0": together("bd"), "x": apart("ad"), "ab": together("ab"), "bc": together("bc"), "cd": together("cd")},
        {},
        {"x", "ab", "a0"},
        "a and d would be kept both together and apart",
    ),
    "kept together, and no node in common": (
        {"ab": together("ab"), "a": only("a", "n1", "n2"), "b": only("b", "n3")},
        {},
        {"ab", "a", "b"},
        "no node is left for a, b",
    ),
    "two preferences of one VM": (
        {"one": only("a", "n1"), "two": only("a", "n2"), "three": only("a", "n1", "n2")},
        {},
        {"one", "two"},
        "no node is left for a",
    ),
    "bound by its user": (
        {"one": only("ab", "n1")},
        {"b": "n2"},
        {"one", "the option node of b"},
        "no node is left for b",
    ),
    "more than there are nodes": (
        {"x": apart("abcd")},
        {},
        {"x"},
        "4 VMs that are kept apart (a, b, c and 1 more) may use only n1, n2, n3",
    ),
    "more than the nodes that they may use": (
        {"x": apart("abc"), "p": only("ab", "n1"), "q": only("c", "n2")},
        {},
        {"x", "p"},
        "2 VMs that are kept apart (a, b) may use only n1",
    ),
    "a ring that two nodes cannot colour": (
        {"ab": apart("ab"), "bc": apart("bc"), "ca": apart("ca"), "two": only("abc", "n1", "n2"), "de": apart("de")},
        {},
        {"ab", "bc", "ca", "two"},
        "no choice of nodes keeps apart all that are to be",
    ),
    "a VM that does not exist counts for nothing": (
        {"x": apart("abcz"), "y": together("az"), "v": apart("az")},
        {},
        set(),
        "",
    ),
    "what is soft never contradicts": (
        {"one": Rule("node_preference", ("a",), {"n1": 1}), "two": only("a", "n2")},
        {},
        set(),
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_smallest_set_that_contradicts_itself_is_found(case: str) -> None:
    rules, bound, demands, why = CASES[case]
    found = contradiction(rules, rules, {**dict.fromkeys(VMS), **bound}, NODES)
    assert (set(found.demands) if found else set()) == demands
    assert (found.why if found else "") == why


def test_only_what_changes_is_asked_about() -> None:
    rules = {"x": apart("ab"), "y": together("ab"), "z": apart("ac")}
    everybody = dict.fromkeys(VMS)
    assert contradiction(rules, {"z"}, everybody, NODES) is None
    assert contradiction(rules, {"y"}, everybody, NODES) is not None


def _kept(rules: Mapping[str, Rule], where: Mapping[str, str]) -> bool:
    for rule in rules.values():
        nodes = [where[vm] for vm in rule.vms]
        if rule.kind == "apart" and len(set(nodes)) < len(nodes):
            return False
        if rule.kind == "together" and len(set(nodes)) > 1:
            return False
        if rule.kind == "node_preference" and not set(nodes) <= rule.nodes.keys():
            return False
    return True


some = st.sampled_from(["ab", "ac", "ad", "bc", "bd", "cd", "abc", "bcd", "abcd"])
any_rule = st.one_of(
    some.map(apart),
    some.map(together),
    st.builds(lambda vms, nodes: only(vms, *nodes), some, st.lists(st.sampled_from(NODES), min_size=1, unique=True)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(any_rule, min_size=1, max_size=6), st.integers(2, 3))
def test_it_says_the_same_as_trying_everything(made: list[Rule], count: int) -> None:
    there = NODES[:count]
    rules = {f"r{number}": rule for number, rule in enumerate(made)}

    def possible(some: Mapping[str, Rule]) -> bool:
        return any(_kept(some, dict(zip("abcd", nodes, strict=True))) for nodes in product(there, repeat=4))

    found = contradiction(rules, rules, dict.fromkeys("abcd"), there)
    assert (found is None) == possible(rules)
    if found is not None:
        core = {name: rules[name] for name in found.demands}
        assert not possible(core)
        for name in core:
            assert possible({other: rule for other, rule in core.items() if other != name}), "one could be left out"


def test_very_many_rules_are_answered_soon() -> None:
    vms = [f"vm{number}" for number in range(400)]
    rules = {f"r{number}": Rule("apart", (vms[number], vms[number + 1])) for number in range(399)}
    rules["last"] = Rule("together", (vms[0], vms[399]))
    assert contradiction(rules, {"last"}, dict.fromkeys(vms), ["n1", "n2", "n3"]) is None
    rules["wide"] = Rule("apart", tuple(vms[:200]))
    found = contradiction(rules, {"wide"}, dict.fromkeys(vms), [f"n{number}" for number in range(150)])
    assert found is not None
    assert found.demands == ("wide",)


def test_a_rule_is_declared_changed_and_removed() -> None:
    made = situation()
    for name, node in (("a", "node1"), ("b", "node1"), ("c", "node2")):
        made.vm(name, node)
    plan = ask(made, RuleRequest("ab", kind="apart", vms=["b", "a", "a"]))
    assert plan.why == {"ab": "declared; a moves to node3 (rule ab keeps it apart from b)"}
    (op,) = plan.groups[0]
    assert isinstance(op, Create)
    made.rules = dict(plan.after.rules)
    assert made.rules["ab"].value == Rule("apart", ("a", "b"))
    assert not ask(made, RuleRequest("ab", vms=["b", "a"])).changed
    plan = ask(made, RuleRequest("ab", vms=["b", "c"]))
    assert plan.why == {"ab": "without a, with c"}
    assert isinstance(plan.groups[0][0], Set)
    assert plan.after.rules["ab"].value == Rule("apart", ("b", "c"), generation=2)
    plan = ask(made, RuleRequest("ab", state="absent"))
    assert isinstance(plan.groups[0][0], Delete)
    assert plan.after.rules == {}
    assert ask(made, RuleRequest("other", state="absent")).why == {"other": "it does not exist"}


def test_another_kind_takes_nothing_along() -> None:
    made = situation()
    for name in ("a", "b"):
        made.vm(name, "node1")
    made.rule("r", "node_preference", "a b", {"node1": 2, "node2": 1}, strict=True)
    assert ask(made, RuleRequest("r", kind="together")).after.rules["r"].value == Rule(
        "together", ("a", "b"), generation=2
    )


def test_what_cannot_move_is_told_when_the_rule_is_declared() -> None:
    made = situation(2)
    made.vm("a", "node1")
    made.vm("b", "node1")
    made.vm("full", "node2", memory=3072)
    assert (
        ask(made, RuleRequest("ab", kind="apart", vms=["a", "b"]))
        .why["ab"]
        .startswith("declared; a should move and cannot (rule ab keeps it apart from b, but no node can take it: ")
    )


def test_rules_of_one_task_are_judged_by_what_there_is_in_the_end() -> None:
    made = situation()
    for name in ("a", "b"):
        made.vm(name, "node1")
    made.rule("x", "apart", "a b")
    request = RuleRequest("y", kind="together", vms=["a", "b"])
    with pytest.raises(
        InvalidRequest, match="rule y, vms: it can never be kept together with x: a and b would be kept"
    ):
        ask(made, request)
    assert ask(made, request, RuleRequest("x", state="absent")).changed


def test_a_rule_keeps_what_is_deleted_and_names_it() -> None:
    made = situation()
    made.vm("a", "node1")
    made.vm("b", "node2")
    made.rule("r", "apart", "a b gone")
    assert not ask(made, RuleRequest("r", vms=["gone", "b", "a"])).changed
    (view,) = rule_views(made.snapshot, ["r"])
    assert (view["missing"], view["broken"]) == (["vm gone"], [])
    with pytest.raises(InvalidRequest, match="no vm gone"):
        ask(made, RuleRequest("new", kind="apart", vms=["a", "gone"]))


def test_what_is_broken_is_shown_and_which_rules_are_one_group() -> None:
    made = situation()
    for name, node in (("a", "node1"), ("b", "node1"), ("c", "node2")):
        made.vm(name, node)
    made.rule("ab", "apart", "a b")
    made.rule("ac", "together", "a c")
    made.rule("bc", "together", "b c")
    made.rule("on3", "node_preference", "c", {"node3": 1}, strict=True)
    made.rule("soft", "node_preference", "c", {"node3": 1})
    views = {view["name"]: view for view in rule_views(made.snapshot, sorted(made.rules))}
    assert {name: view["broken"] for name, view in views.items()} == {
        "ab": ["a, b are on node1"],
        "ac": ["a is on node1", "c is on node2"],
        "bc": ["b is on node1", "c is on node2"],
        "on3": ["c is on node2"],
        "soft": [],
    }
    assert (views["ac"]["merged_with"], views["ab"]["merged_with"]) == (["bc"], [])


def test_a_damaged_rule_can_only_be_removed() -> None:
    made = situation()
    made.rules["r"] = Stored(None, 3, invalid="no JSON")
    with pytest.raises(DamagedRecord, match="no JSON"):
        ask(made, RuleRequest("r", vms=["a"]))
    plan = ask(made, RuleRequest("r", state="absent"))
    assert plan.changed
    assert plan.diff()
    assert rule_views(made.snapshot, ["r"]) == [{"name": "r", "damaged": "no JSON"}]


# --- what gives way -------------------------------------------------------------------------------------------------


def giving_way() -> Situation:
    """Node1 is the only one for ``runs``, which is elsewhere; ``off`` is there, kept apart from it, and nothing else is free."""
    made = situation(2)
    made.vm("off", "node1", memory=1024, state="stopped")
    made.vm("runs", "node2", memory=1024)
    made.rule("pair", "apart", "off runs")
    made.rule("only", "node_preference", "runs", {"node1": 1}, strict=True)
    return made


def test_who_goes_past_what_is_off_rests_on_its_being_off() -> None:
    (wish,) = plan_moves(giving_way().snapshot).wishes
    assert (wish.vm, wish.to, wish.past) == ("runs", "node1", ("off",))


def test_what_gives_way_is_not_started_meanwhile() -> None:
    made = giving_way()
    start = [VmRequest("off", state="started", force=True)]
    plan = plan_vms(made.snapshot, start)
    assert Check(paths.claim("runs"), 0) in plan.ops, "it has not set out in the meantime"
    for claim in ({"node": "node2", "to": "node1"}, {"node": "node1"}):
        made.claims["runs"] = Stored(Claim(**claim, epoch=1), 0)
        with pytest.raises(InvalidRequest, match="rule pair keeps it apart from runs, to which it gives way on node1"):
            plan_vms(made.snapshot, start)
    made.claims["off"] = Stored(Claim("node2", 1), 0)
    assert plan_vms(made.snapshot, start).changed
