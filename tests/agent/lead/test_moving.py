# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many VMs the leader has on their way at the same time, when it empties nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pvc_node_agent.lead.effects import ChangeClaim
from pvc_node_agent.lead.events import TreeSeen, Written
from pvc_state import paths
from pvc_state.codec import Stored
from pvc_state.records import Node, Rule, VmStatus
from pvc_state.snapshot import Snapshot
from pvc_state.vm_records import STUCK
from tests.agent.lead.builders import Led, cluster, policy, with_vms

NODES = tuple(f"node{number}" for number in range(1, 9))


def draining(*nodes: str, **settings: int) -> Snapshot:
    """Four VMs on each of these nodes of eight, which are to be empty."""
    made = policy(cluster(alive=NODES, nodes=NODES), **settings)
    made = with_vms(made, {f"{node}-vm{number}": node for node in nodes for number in range(4)})
    drained = {node: Stored(Node(coordinator=True, state="drained"), 5) for node in nodes}
    return replace(made, nodes={**made.nodes, **drained})


def begun(led: Led) -> list[ChangeClaim]:
    return [effect for effect in led.step().effects if isinstance(effect, ChangeClaim)]


def ends(moves: list[ChangeClaim]) -> Counter[str]:
    """How many moves each node is an end of."""
    return Counter(node for move in moves for node in (move.claim.node, move.claim.to))


def test_several_nodes_are_emptied_side_by_side_each_with_two_lanes() -> None:
    moves = begun(Led(draining("node1", "node2"), sighted=NODES))
    assert Counter(move.claim.node for move in moves) == {"node1": 2, "node2": 2}
    assert max(ends(moves).values()) == 2
    assert {move.claim.home for move in moves} == {"node1", "node2"}


def test_the_whole_cluster_has_so_many_on_their_way_as_its_settings_say() -> None:
    led = Led(draining("node1", "node2", "node3", parallel_moves=3), sighted=NODES)
    moves = begun(led)
    assert len(moves) == 3
    for move in moves:
        led.see(Written(move))
    assert begun(led) == [], "none has arrived yet"
    arrived = moves[0]
    snapshot = led.view.snapshot
    assert snapshot
    after = replace(arrived.claim, node=arrived.claim.to, to="", epoch=4)
    led.see(TreeSeen(replace(snapshot, claims={**snapshot.claims, arrived.vm: Stored(after, 9)})))
    assert len(begun(led)) == 1


def test_a_move_that_libvirt_does_not_end_keeps_nobody_waiting() -> None:
    led = Led(draining("node1"), sighted=NODES)
    moves = begun(led)
    assert len(moves) == 2
    for move in moves:
        led.see(Written(move))
    assert begun(led) == []
    snapshot = led.view.snapshot
    assert snapshot
    hung = {move.vm: VmStatus("moving", move.claim.epoch, 1, f"{STUCK} within 11 minutes") for move in moves}
    told = replace(snapshot.status["node1"].value, vms=hung)  # type: ignore[type-var]
    led.see(TreeSeen(replace(snapshot, status={**snapshot.status, "node1": Stored(told, 9)})))
    assert len(begun(led)) == 2


def test_who_goes_past_what_is_off_is_moved_only_while_that_is_off() -> None:
    made = with_vms(cluster(alive=NODES[:2], nodes=NODES[:2]), {"off": "node1", "runs": "node2"})
    off = made.vms["off"]
    assert off.value
    rules = {
        "pair": Rule("apart", ("off", "runs")),
        "only": Rule("node_preference", ("runs",), {"node1": 1}, strict=True),
    }
    made = replace(
        made,
        vms={**made.vms, "off": replace(off, value=replace(off.value, state="stopped"))},
        rules={name: Stored(rule, 0) for name, rule in rules.items()},
    )
    (move,) = begun(Led(made, sighted=NODES[:2]))
    assert (move.vm, move.claim.to) == ("runs", "node1")
    assert (paths.vm("off"), off.version) in move.rests_on
