# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the leader spreads VMs by itself, and when it leaves them alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from pvc_node_agent.lead.effects import ChangeClaim
from pvc_node_agent.lead.events import TreeSeen, Written
from pvc_node_agent.lead.rebalancing import HOLD, PAUSE
from pvc_state.codec import Stored
from pvc_state.records import Claim, Evidence, Fence, Node, Rule, VmStatus
from pvc_state.snapshot import Snapshot
from tests.agent.lead.builders import NODES, Led, cluster, fenced, policy, with_vms

ON_NODE1 = {f"vm{number}": "node1" for number in range(6)}


def running(owners: Mapping[str, str] = ON_NODE1, load: float | None = None, **settings: Any) -> Snapshot:
    """VMs that run on their nodes, in a cluster that spreads them."""
    settings = {"rebalance": True, "placement": "fewest_vms", **settings}
    return seen(policy(with_vms(cluster(), owners), **settings), load)


def seen(snapshot: Snapshot, load: float | None = None) -> Snapshot:
    """Each agent reports what it has the claims of, as running."""
    status = {}
    for node, stored in snapshot.status.items():
        assert stored.value is not None
        claims = {name: claim.value for name, claim in snapshot.claims.items() if claim.value is not None}
        vms = {
            name: VmStatus("running", claim.epoch, 1, load=load) for name, claim in claims.items() if claim.node == node
        }
        status[node] = Stored(replace(stored.value, vms=vms), stored.version)
    return replace(snapshot, status=status)


def unmeasured(snapshot: Snapshot, vm: str) -> Snapshot:
    """One VM has just begun to run on node1."""
    stored = snapshot.status["node1"]
    assert stored.value is not None
    vms = {**stored.value.vms, vm: replace(stored.value.vms[vm], load=None)}
    status = Stored(replace(stored.value, vms=vms), stored.version)
    return replace(snapshot, status={**snapshot.status, "node1": status})


def begun(led: Led) -> list[ChangeClaim]:
    return [effect for effect in led.step().effects if isinstance(effect, ChangeClaim)]


def arrive(led: Led, moves: list[ChangeClaim]) -> None:
    """These moves are written, carried out and reported."""
    for move in moves:
        led.see(Written(move))
    snapshot = led.view.snapshot
    assert snapshot is not None
    claims = {one.vm: Stored(Claim(one.claim.to, 4), 9) for one in moves}
    led.see(TreeSeen(seen(replace(snapshot, claims={**snapshot.claims, **claims}))))


def first(led: Led) -> list[ChangeClaim]:
    """What is begun after a while in which nothing happens."""
    assert begun(led) == []
    led.now += HOLD
    return begun(led)


def test_after_a_while_a_few_moves_are_begun() -> None:
    led = Led(running())
    assert led.step().wake_at == led.now + HOLD
    led.now += HOLD - 1
    assert begun(led) == []
    led.now += 1
    moves = begun(led)
    assert [(move.vm, move.claim.to) for move in moves] == [("vm0", "node2"), ("vm1", "node3")]
    assert moves[0].claim.why.startswith("the nodes are unevenly loaded (spread 1.41): node1 has 6 VMs to run there")
    assert begun(led) == [], "they are under way"


def test_the_next_pass_waits_and_passes_come_to_an_end() -> None:
    led = Led(running())
    arrive(led, first(led))
    assert begun(led) == []
    led.now += HOLD
    assert begun(led) == [], "what has moved must be measured first"
    led.now += PAUSE - HOLD
    moves = begun(led)
    assert len(moves) == 2
    arrive(led, moves)
    for _turn in range(5):
        assert begun(led) == []
        led.now += PAUSE


def test_a_leader_that_is_new_begins_to_count_anew() -> None:
    led = Led(running())
    assert begun(led) == []
    led.now += HOLD - 1
    assert led.view.snapshot is not None
    other = Led(led.view.snapshot, now=led.now)
    other.now += 1
    assert begun(other) == []


QUIET: dict[str, Callable[[], Snapshot]] = {
    "the settings do not ask for it": lambda: running(rebalance=False),
    "the cluster is in maintenance": lambda: running(maintenance=True),
    "the nodes are even": lambda: running({"a": "node1", "b": "node2", "c": "node3"}),
    "they are even enough": lambda: running({f"vm{number}": NODES[number % 3] for number in range(11)}),
    "a fence stands": lambda: fenced(
        replace(running(), alive={name: one for name, one in cluster().alive.items() if name != "node3"}),
        "node3",
        Fence("node3-1-1", "proven", "gone", evidence=(Evidence("powered_off", "proven"),), proven_by="powered_off"),
    ),
    "a node is gone": lambda: replace(
        running({**ON_NODE1, "b": "node3"}),
        alive={name: one for name, one in cluster().alive.items() if name != "node3"},
    ),
    "a VM moves": lambda: replace(
        (made := running()), claims={**made.claims, "vm0": Stored(Claim("node1", 3, to="node2"), 5)}
    ),
    "a VM cannot leave a node that is to be empty": lambda: replace(
        (made := running({**ON_NODE1, "old": "node3"})),
        nodes={**made.nodes, "node3": Stored(Node(coordinator=True, state="drained"), 5)},
        vms={**made.vms, "old": Stored(replace(made.vms["old"].value, state="ignored"), 2)},  # type: ignore[type-var]
    ),
    "no moves gain enough": lambda: running(dict.fromkeys(("a", "b"), "node1"), rebalance_threshold=1.0),
    "not all was measured": lambda: unmeasured(running(load=1.0, placement="measured_load"), "vm0"),
}


@pytest.mark.parametrize("case", QUIET)
def test_nothing_is_begun_while(case: str) -> None:
    led = Led(QUIET[case](), sighted=NODES)
    for _turn in range(4):
        assert begun(led) == []
        led.now += PAUSE


def test_nothing_is_begun_while_a_node_with_vms_may_be_booting() -> None:
    alive = {name: one for name, one in cluster().alive.items() if name != "node3"}
    led = Led(
        replace(running({**ON_NODE1, "b": "node3"}, boot_grace=10 * PAUSE), alive=alive), sighted=("node1", "node2")
    )
    for _turn in range(4):
        assert begun(led) == []
        led.now += PAUSE


def test_what_was_measured_everywhere_decides() -> None:
    snapshot = seen(running(placement="measured_load"), load=1.0)
    assert len(first(Led(snapshot))) == 2


def test_it_says_once_that_nothing_gains_enough() -> None:
    led = Led(running({"a": "node1", "b": "node1"}, rebalance_threshold=1.0))
    said = []
    for _turn in range(5):
        said += [str(one) for one in led.step().sentences if "leave the VMs" in str(one)]
        led.now += PAUSE
    assert said == ["leave the VMs where they are: the spread of the nodes' loads is 1.41, but no moves gain enough"]


def test_those_that_are_kept_together_are_begun_together() -> None:
    snapshot = running({"a": "node1", "b": "node1", "c": "node1", "d": "node1"})
    snapshot = replace(snapshot, rules={"pair": Stored(Rule("together", ("a", "b", "c")), 0)})
    moves = first(Led(snapshot))
    groups = {move.claim.to for move in moves if move.vm in "abc"}
    assert len(groups) <= 1
    assert {move.vm for move in moves} in ({"a", "b", "c"}, {"d"}, {"a", "b", "c", "d"})
