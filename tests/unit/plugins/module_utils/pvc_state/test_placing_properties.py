# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every recovery and every plan of moves, whatever the cluster looks like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pvc_state.codec import Stored
from pvc_state.node_limits import capacity, vcpu_limit, why_closed
from pvc_state.placement import Choice, Placement
from pvc_state.plan_moves import Moves, plan_moves
from pvc_state.plan_recovery import REHOMED, Recovery, plan_recovery
from pvc_state.records import PLACEMENTS, Claim, Devices, HostDevice, Migration, Rule, Settings, Vm
from pvc_state.snapshot import Snapshot
from pvc_state.spare import lacks
from pvc_state.views import vm_status
from tests.unit.plugins.module_utils.pvc_state.placing import Situation, moved

NODES = ("n1", "n2", "n3", "n4")
VMS = ("a", "b", "c", "d", "e", "f")
ROOMY = 1 << 20

some_vms = st.lists(st.sampled_from(VMS), min_size=1, max_size=4, unique=True)
priorities = st.dictionaries(st.sampled_from(NODES), st.integers(0, 2), min_size=1, max_size=3)
rules = st.one_of(
    st.builds(lambda vms: Rule("together", tuple(vms)), some_vms),
    st.builds(lambda vms: Rule("apart", tuple(vms)), some_vms),
    st.builds(
        lambda vms, nodes, strict: Rule("node_preference", tuple(vms), nodes, strict),
        some_vms,
        priorities,
        st.booleans(),
    ),
)
placements = st.sampled_from([*PLACEMENTS])
GPU = HostDevice("gpu", "pci", "0000:65:00.0")


@st.composite
def situations(draw: st.DrawFn, roomy: bool | None = None) -> Situation:
    """Up to four nodes and six VMs in any condition, under any rules."""
    ratio = 0 if roomy else draw(st.sampled_from([0, 0, 1, 2]))
    made = Situation(settings=Settings(placement=draw(placements), vcpu_ratio=ratio))
    small = st.sampled_from([2048, 3072, 4096])
    for name in NODES[: draw(st.integers(1, len(NODES)))]:
        memory = ROOMY if roomy else draw(small)
        state = draw(st.sampled_from(["ready", "ready", "ready", "drained", "maintenance"]))
        devices = () if roomy else draw(st.sampled_from([(), (GPU,)]))
        made.node(name, memory=memory, state=state, cpus=draw(st.sampled_from([2, 8])), devices=devices)
        if draw(st.integers(0, 7)) == 0:
            made.die(name, *draw(st.sampled_from([(), ("storage_cut",)])))
    nodes = st.sampled_from(sorted(made.nodes))
    for name in VMS[: draw(st.integers(0, len(VMS)))]:
        options: dict[str, Any] = {
            "memory": draw(st.sampled_from([256, 512, 1024])),
            "state": draw(
                st.sampled_from(["started", "started", "started", "stopped", "disabled", "ignored", "absent"])
            ),
            "priority": draw(st.integers(0, 2)),
            "failback": draw(st.booleans()),
            "home": draw(st.sampled_from(["", "", *made.nodes])),
            "bound": draw(st.sampled_from([None, None, None, *made.nodes])),
            "to": draw(st.sampled_from(["", "", "", *made.nodes])),
        }
        options["vcpus"] = draw(st.sampled_from([1, 1, 2, 4]))
        options["placement"] = draw(st.sampled_from(["", "", *PLACEMENTS]))
        options["migration"] = Migration(draw(st.sampled_from(["live", "live", "live", "none"])))
        if not roomy:
            options["devices"] = Devices(host=draw(st.sampled_from([(), (), ("gpu",)])))
        node = draw(nodes)
        if options["to"] == node:
            options["to"] = ""
        made.vm(name, options["bound"] or node, **{**options, "to": "" if options["bound"] else options["to"]})
        if draw(st.integers(0, 4)) == 0:
            made.observe(name, "failed")
    for number, rule in enumerate(draw(st.lists(rules, max_size=3))):
        made.rules[f"r{number}"] = Stored(rule, 0)
    return made


def broken(snapshot: Snapshot) -> set[tuple[str, ...]]:
    """Rules that are broken by VMs on nodes that take VMs: each with those that break it."""
    at = {}
    for name, claim in snapshot.claims.items():
        vm = snapshot.vms[name].value
        if claim.value and vm and vm.state in ("started", "stopped") and not why_closed(snapshot, claim.value.node):
            at[name] = claim.value.node
    found: set[tuple[str, ...]] = set()
    for rule_name, stored in snapshot.rules.items():
        rule = stored.value
        assert rule is not None
        there = [name for name in rule.vms if name in at]
        if rule.kind == "node_preference" and rule.strict:
            found |= {(rule_name, name) for name in there if at[name] not in rule.nodes}
        pairs = [(one, other) for one in there for other in there if one < other]
        if rule.kind == "apart":
            found |= {(rule_name, *pair) for pair in pairs if at[pair[0]] == at[pair[1]]}
        if rule.kind == "together":
            found |= {(rule_name, *pair) for pair in pairs if at[pair[0]] != at[pair[1]]}
    return found


def overcommitted(snapshot: Snapshot) -> dict[str, int]:
    """MiB that nodes lack for what they were given."""
    return {
        node: lack for node in snapshot.nodes if (lack := snapshot.reserved.get(node, 0) - capacity(snapshot, node)) > 0
    }


def overgiven(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """vCPUs and devices that nodes lack for what they were given, by what and node."""
    given: dict[tuple[str, str], int] = {}
    for name, stored in snapshot.vms.items():
        assert stored.value is not None
        for node in snapshot.places(name, stored.value):
            given["vcpus", node] = given.get(("vcpus", node), 0) + stored.value.vcpus
            given["gpu", node] = given.get(("gpu", node), 0) + len(stored.value.devices.host)
    has = {("gpu", node): len(stored.value.devices) for node, stored in snapshot.nodes.items() if stored.value}
    if snapshot.policy.vcpu_ratio:
        has |= {("vcpus", node): vcpu_limit(snapshot, node) for node in snapshot.nodes}
    return {key: lack for key, most in has.items() if (lack := given.get(key, 0) - most) > 0}


def goes(plan: Recovery | Moves) -> dict[str, str]:
    return {one.vm: one.to for one in (plan.moves if isinstance(plan, Recovery) else plan.wishes)}


def runs(snapshot: Snapshot, name: str) -> bool:
    """Whether a VM is to run and has not failed."""
    vm, status = snapshot.vms[name].value, vm_status(snapshot, name)
    return vm is not None and vm.state == "started" and (status is None or status.state != "failed")


def done(snapshot: Snapshot, moves: Moves) -> Snapshot:
    """The wishes have come true."""
    claims = {one.vm: {"home": one.home, "tried": one.tried, "generation": 1} for one in moves.wishes}
    return moved(snapshot, goes(moves), **claims)


# --- recovery -------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(situations(), st.data())
def test_a_recovery_keeps_its_promises(made: Situation, data: st.DataObject) -> None:
    dead = data.draw(st.sampled_from(sorted(made.nodes)), label="dead")
    made.fences.pop(dead, None)
    before = made.snapshot
    recovery = plan_recovery(before, dead)
    mine = {name for name in before.vms if before.owner(name) == dead}
    vms = {name: stored.value for name, stored in before.vms.items() if stored.value}
    assert goes(recovery).keys() | recovery.waiting.keys() == {name for name in mine if vms[name].state in REHOMED}
    assert not goes(recovery).keys() & recovery.waiting.keys()
    ranks = [(-vms[move.vm].ha.priority, vms[move.vm].state != "started", move.vm) for move in recovery.moves]
    assert ranks == sorted(ranks)
    made.die(dead)
    after = moved(made.snapshot, goes(recovery))
    chosen = {name for name in goes(recovery) if not before.claims[name].value.to and vms[name].state != "absent"}  # type: ignore[union-attr]
    given = {goes(recovery)[name] for name in chosen} - {
        to for name, to in goes(recovery).items() if name not in chosen
    }
    assert not given & overcommitted(after).keys()
    assert not given & {node for _what, node in overgiven(after).keys() - overgiven(made.snapshot).keys()}
    assert not given & {node for node in made.nodes if why_closed(after, node)}
    new = {one for one in broken(after) - broken(before) if chosen & set(one[1:])}
    assert not {one for one in new if after.rules[one[0]].value.kind != "together"}  # type: ignore[union-attr]
    for name in recovery.waiting:
        still_open = Placement(after).find({name: vms[name]})
        assert before.claims[name].value.to or not hasattr(still_open, "node"), f"{name} waits, but {still_open}"  # type: ignore[union-attr]


@settings(max_examples=100, deadline=None)
@given(situations(), st.data())
def test_an_idle_node_more_never_makes_a_recovery_worse(made: Situation, data: st.DataObject) -> None:
    dead = data.draw(st.sampled_from(sorted(made.nodes)), label="dead")
    less = plan_recovery(made.snapshot, dead)
    made.node("idle", memory=ROOMY)
    more = plan_recovery(made.snapshot, dead)
    assert len(more.waiting) <= len(less.waiting)


# --- moves ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(situations())
def test_moves_break_nothing(made: Situation) -> None:
    before = made.snapshot
    moves = plan_moves(before)
    vms = {name: stored.value for name, stored in before.vms.items() if stored.value}
    for wish in moves.wishes:
        claim = before.claims[wish.vm].value
        assert claim is not None
        assert not claim.to
        assert wish.to not in ("", claim.node)
        assert vms[wish.vm].state in ("started", "stopped")
        assert not why_closed(before, wish.to)
        assert wish.why
    assert not moves.blocked.keys() & goes(moves).keys()
    under_way = {name: dataclasses.replace(before.claims[name].value, to=to) for name, to in goes(moves).items()}  # type: ignore[type-var]
    during = dataclasses.replace(
        before, claims={**before.claims, **{name: Stored(claim, 0) for name, claim in under_way.items()}}
    )
    lacking = overcommitted(before)
    assert all(lack <= lacking.get(node, 0) for node, lack in overcommitted(during).items()), "both ends have room"
    held = overgiven(before)
    assert all(lack <= held.get(key, 0) for key, lack in overgiven(during).items()), "and vCPUs, and devices"
    assert not [wish for wish in moves.wishes if vms[wish.vm].migration.method == "none" and runs(before, wish.vm)]
    assert plan_moves(during).wishes == (), "what is under way is left alone"
    after = done(before, moves)
    new = broken(after) - broken(before)
    assert not {one for one in new if after.rules[one[0]].value.kind != "together"}  # type: ignore[union-attr]


@settings(max_examples=150, deadline=None)
@given(situations(roomy=True))
def test_where_there_is_room_one_plan_is_enough(made: Situation) -> None:
    snapshot = made.snapshot
    after = done(snapshot, plan_moves(snapshot))
    assert plan_moves(after).wishes == ()


@settings(max_examples=150, deadline=None)
@given(situations(), st.randoms(use_true_random=False))
def test_moves_come_to_an_end_in_whatever_order_they_are_made(made: Situation, random: Any) -> None:
    snapshot = made.snapshot
    for _round in range(4 * len(VMS)):
        moves = plan_moves(snapshot)
        if not moves.wishes:
            return
        some = random.sample(moves.wishes, random.randint(1, len(moves.wishes)))
        snapshot = done(snapshot, dataclasses.replace(moves, wishes=tuple(some)))
    raise AssertionError(f"still to be moved after so many rounds: {plan_moves(snapshot).wishes}")


# --- one pass -------------------------------------------------------------------------------------------------------


@st.composite
def new_vms(draw: st.DrawFn) -> dict[str, Vm]:
    """VMs that nobody has placed yet."""
    return {
        name: Vm(
            name,
            draw(st.sampled_from([256, 512, 1024, 1536])),
            draw(st.sampled_from([1, 2, 4])),
            devices=Devices(host=draw(st.sampled_from([(), (), ("gpu",)]))),
            placement=draw(st.sampled_from(["", *PLACEMENTS])),
        )
        for name in VMS[: draw(st.integers(2, len(VMS)))]
    }


@st.composite
def nodes_only(draw: st.DrawFn) -> Situation:
    """Nodes that all take VMs, and rules."""
    made = Situation(settings=Settings(placement=draw(placements), vcpu_ratio=draw(st.sampled_from([0, 1, 2]))))
    for name in NODES[: draw(st.integers(1, len(NODES)))]:
        devices = draw(st.sampled_from([(), (GPU,)]))
        made.node(
            name, memory=draw(st.sampled_from([2048, 3072, 6144])), cpus=draw(st.sampled_from([2, 4])), devices=devices
        )
    for number, rule in enumerate(draw(st.lists(rules, max_size=3))):
        made.rules[f"r{number}"] = Stored(rule, 0)
    return made


def placed(made: Situation, vms: Mapping[str, Vm]) -> Snapshot:
    """All VMs placed in one pass, as far as they can be."""
    placement = Placement(made.snapshot)
    for name, vm in vms.items():
        found = placement.find({name: vm})
        if isinstance(found, Choice):
            placement.put({name: vm}, found.node)
            made.vms[name], made.claims[name] = Stored(vm, 0), Stored(Claim(found.node, 1), 0)
    return made.snapshot


@settings(max_examples=150, deadline=None)
@given(nodes_only(), new_vms())
def test_a_pass_keeps_every_rule_and_gives_no_node_more_than_it_has(made: Situation, vms: dict[str, Vm]) -> None:
    after = placed(made, vms)
    assert broken(after) == set()
    assert overcommitted(after) == {}
    assert overgiven(after) == {}


@settings(max_examples=100, deadline=None)
@given(nodes_only(), new_vms())
def test_an_idle_node_more_never_leaves_the_next_vm_without_a_place(made: Situation, vms: dict[str, Vm]) -> None:
    """Each VM by itself: which goes where decides what is left for the next, and no greedy order is the best for all."""
    placed(made, vms)
    less = Placement(made.snapshot)
    made.node("idle", memory=ROOMY, cpus=1000, devices=(GPU,))
    more = Placement(made.snapshot)
    wanted = Vm("wanted", 512, 2, devices=Devices(host=("gpu",)))
    if isinstance(less.find({"wanted": wanted}), Choice):
        assert isinstance(more.find({"wanted": wanted}), Choice)
    assert isinstance(more.find({"free": Vm("free", 512, 2)}), Choice)


@settings(max_examples=100, deadline=None)
@given(nodes_only(), new_vms(), st.data())
def test_a_trial_is_undone_without_a_trace(made: Situation, vms: dict[str, Vm], data: st.DataObject) -> None:
    snapshot = placed(made, vms)
    placement, fresh = Placement(snapshot), Placement(snapshot)
    lost = data.draw(st.sampled_from(sorted(made.nodes)), label="lost")
    with placement.trial({lost: "is lost"}):
        for name, vm in vms.items():
            found = placement.find({name: vm}, {lost: "is lost"})
            if isinstance(found, Choice):
                placement.put({name: vm}, found.node)
    for what in ("room", "vcpus", "closed"):
        assert getattr(placement, what) == getattr(fresh, what)
    for name in VMS:
        assert (placement.places(name), placement.spot(name)) == (fresh.places(name), fresh.spot(name))
    for node in made.nodes:
        assert placement.holders("gpu", node) == fresh.holders("gpu", node)
        for rule in made.rules:
            assert placement.kept_from(rule).get(node, set()) == fresh.kept_from(rule).get(node, set())
    for score in PLACEMENTS:
        one = {"one": Vm("one", 64, placement=score)}
        assert placement.find(one) == fresh.find(one), score


# --- room for a loss ------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(nodes_only(), new_vms(), st.sampled_from(["free_memory", "fewest_vms"]))
def test_what_would_be_missing_is_what_waits_in_a_recovery(made: Situation, vms: dict[str, Vm], score: str) -> None:
    """Without rules and devices nothing but room is missing, and the order and the choices are the same."""
    made.rules.clear()
    made.settings = dataclasses.replace(made.settings, placement=score)
    snapshot = placed(
        made, {name: dataclasses.replace(vm, placement="", devices=Devices()) for name, vm in vms.items()}
    )
    missing = lacks(snapshot)
    for node in snapshot.nodes if len(snapshot.nodes) > 1 else ():
        assert set(missing[node].vms if node in missing else ()) == plan_recovery(snapshot, node).waiting.keys()


@settings(max_examples=100, deadline=None)
@given(situations())
def test_an_idle_node_more_leaves_no_less_room(made: Situation) -> None:
    before = lacks(made.snapshot)
    if len(Placement(made.snapshot).open) < 2:
        return  # with nobody to spare nothing is asked
    made.node("idle", memory=ROOMY, cpus=1000)
    after = lacks(made.snapshot)
    assert sum(lack.memory for lack in after.values()) <= sum(lack.memory for lack in before.values())


# --- names ----------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(situations(), st.data())
def test_the_order_in_which_records_were_read_does_not_matter(made: Situation, data: st.DataObject) -> None:
    snapshot = made.snapshot
    turned = dataclasses.replace(
        snapshot,
        **{
            field: dict(data.draw(st.permutations(list(getattr(snapshot, field).items())), label=field))
            for field in ("nodes", "status", "alive", "vms", "claims", "rules")
        },
    )
    assert plan_moves(turned) == plan_moves(snapshot)
    for node in snapshot.nodes:
        assert plan_recovery(turned, node) == plan_recovery(snapshot, node)


@settings(max_examples=100, deadline=None)
@given(situations(), st.data())
def test_names_decide_nothing_but_ties(made: Situation, data: st.DataObject) -> None:
    """Nodes of different sizes, so that no two are equal: other names give the same places."""
    made.settings = Settings()
    for number, name in enumerate(sorted(made.nodes)):
        status = made.status[name].value
        assert status is not None
        made.status[name] = Stored(dataclasses.replace(status, memory=8192 + 10000 * number), 0)
    for number, name in enumerate(sorted(made.vms)):
        vm = made.vms[name].value
        assert vm is not None
        ha = dataclasses.replace(vm.ha, priority=number)
        made.vms[name] = Stored(dataclasses.replace(vm, memory=100 + number, ha=ha, placement=""), 0)
    names = dict(zip(sorted(made.nodes), data.draw(st.permutations(sorted(made.nodes)), label="names"), strict=True))
    for node in made.nodes:
        before = plan_recovery(made.snapshot, node)
        after = plan_recovery(renamed(made.snapshot, names), names[node])
        assert goes(after) == {vm: names[to] for vm, to in goes(before).items()}
        assert after.waiting.keys() == before.waiting.keys()


def renamed(snapshot: Snapshot, names: Mapping[str, str]) -> Snapshot:
    """The same cluster with other names of nodes."""

    def claim(stored: Stored[Any]) -> Stored[Any]:
        changes = {field: names.get(getattr(stored.value, field), "") for field in ("node", "to", "home")}
        return Stored(dataclasses.replace(stored.value, **changes), 0)

    def vm(stored: Stored[Any]) -> Stored[Any]:
        return Stored(dataclasses.replace(stored.value, node=names.get(stored.value.node)), 0)

    def rule(stored: Stored[Any]) -> Stored[Any]:
        nodes = {names[node]: priority for node, priority in stored.value.nodes.items() if node in names}
        return Stored(dataclasses.replace(stored.value, nodes=nodes), 0)

    return dataclasses.replace(
        snapshot,
        nodes={names[name]: stored for name, stored in snapshot.nodes.items()},
        status={names[name]: stored for name, stored in snapshot.status.items()},
        alive={names[name]: stored for name, stored in snapshot.alive.items()},
        fences={names[name]: stored for name, stored in snapshot.fences.items()},
        vms={name: vm(stored) for name, stored in snapshot.vms.items()},
        claims={name: claim(stored) for name, stored in snapshot.claims.items()},
        rules={name: rule(stored) for name, stored in snapshot.rules.items()},
    )
