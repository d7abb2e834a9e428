# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spreading VMs: what is proposed, what check mode promises, and what is done."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.modules import balance, balance_info, settings, vm, vm_info

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options, Result


def lopsided(cluster: Cluster, count: int = 4, **options: Any) -> None:
    """VMs that are on node1, and may go anywhere."""
    vms = [{"name": f"vm{number}"} for number in range(count)]
    cluster.ok(vm, {"memory": 256, "vms": vms, "node": "node1", **options})
    cluster.ok(vm, {"vms": vms, "node": ""})


def counts(cluster: Cluster) -> list[int]:
    owners = [one["claim"]["node"] for one in cluster.ok(vm_info, {})["vms"]]
    return [owners.count(node) for node in ("node1", "node2")]


def step(cluster: Cluster, options: Options, *, changed: bool) -> Result:
    """Check mode and for real: they agree, and check mode changes nothing."""
    before = cluster.dump()
    check = cluster.ok(balance, options, check=True)
    assert cluster.dump() == before
    real = cluster.ok(balance, options)
    assert check["changed"] == real["changed"] == changed
    assert check["diff"] == real["diff"]
    assert check["why"] == real["why"]
    assert [(one["vm"], one["from"], one["to"]) for one in check["moves"]] == [
        (one["vm"], one["from"], one["to"]) for one in real["moves"]
    ]
    assert {one["stage"] for one in check["moves"]} <= {"planned"}
    return real


def test_ladder(cluster: Cluster, agents: Agents) -> None:
    with agents():
        lopsided(cluster)
        before = cluster.dump()
        proposed = cluster.ok(balance_info, {})
        assert cluster.ok(balance_info, {}, check=True) == proposed
        assert cluster.dump() == before
        assert [move["vms"] for move in proposed["moves"]] == [["vm0"], ["vm1"]]
        assert (proposed["spread"], proposed["spread_after"]) == (1.0, 0.0)
        assert proposed["sentence"] == "The spread is 1.00; 2 moves would make it 0.00."
        first, second = proposed["moves"]
        assert (first["from"], first["to"], first["stage"], first["gain"], second["gain"]) == (
            "node1",
            "node2",
            1,
            0.5,
            1,
        )
        assert proposed["nodes"][0] == {
            "node": "node1",
            "load": {"memory": pytest.approx(0.0667, abs=1e-3), "vcpus": 1.0},
            "load_after": {"memory": pytest.approx(0.0333, abs=1e-3), "vcpus": 0.5},
        }

        done = step(cluster, {"max_moves": 1}, changed=True)
        assert [(one["vm"], one["to"], one["stage"]) for one in done["moves"]] == [("vm0", "node2", "done")]
        assert "for a spread of 0.50 instead of 1.00: node1 has" in done["why"]["vm0"]
        assert counts(cluster) == [3, 1]
        step(cluster, {}, changed=True)
        assert counts(cluster) == [2, 2]
        done = step(cluster, {}, changed=False)
        assert done["sentence"] == "The spread is 0.00, and no move makes it much smaller."


def test_caps(cluster: Cluster, agents: Agents) -> None:
    with agents():
        lopsided(cluster, 8)
        begun = step(cluster, {"wait": False, "per_node": 1}, changed=True)
        assert len(begun["moves"]) == 1
        assert begun["moves"][0]["stage"] == "prepared"
    with agents():
        done = step(cluster, {"parallel": 1, "max_moves": 2}, changed=True)
        assert [one["stage"] for one in done["moves"]] == ["done", "done"]


def test_what_is_told_when_a_move_does_not_come_about(cluster: Cluster, agents: Agents) -> None:
    with agents(stuck={"vm0": "its guest does not let go"}):
        lopsided(cluster)
        failed = cluster.run(balance, {"parallel": 1})
    assert failed["failed"]
    assert "vm vm0: was not moved to node2: its guest does not let go" in failed["msg"]
    assert "vm vm1 was not begun" in failed["msg"]
    assert [one["stage"] for one in failed["moves"]] == ["refused"]


def test_who_stays_is_told(cluster: Cluster, agents: Agents) -> None:
    with agents():
        lopsided(cluster, 3, migration={"method": "shutdown"})
        cluster.ok(vm, {"name": "vm2", "state": "stopped"})
        info = cluster.ok(balance_info, {})
        assert info["moves"] == []
        reason = "it cannot be moved while it runs"
        assert info["staying"] == [
            {"vm": "vm0", "why": reason},
            {"vm": "vm1", "why": reason},
            {"vm": "vm2", "why": "it is stopped"},
        ]
        step(cluster, {"cold": True}, changed=True)
        assert counts(cluster) == [2, 1]


def test_what_counts_follows_from_the_settings(cluster: Cluster, agents: Agents) -> None:
    with agents():
        lopsided(cluster, 2)
        cluster.ok(settings, {"placement": "fewest_vms"})
        info = cluster.ok(balance_info, {})
        assert info["resources"] == ["vms"]
        assert info["nodes"][0]["load"] == {"vms": 2}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_gain": 2}, "min_gain: 2 is no share of the spread; give 0 to 1, such as 0.05"),
        ({"min_gain": -0.1}, "min_gain: -0.1 is no share of the spread; give 0 to 1, such as 0.05"),
        ({"max_moves": -1}, "max_moves: -1 is no number of VMs; give 0 or more"),
        ({"parallel": -1}, "parallel: -1 is no number of VMs; give 0 or more"),
        ({"per_node": -2}, "per_node: -2 is no number of VMs; give 0 or more"),
    ],
)
def test_bad_input(cluster: Cluster, options: Options, message: str) -> None:
    before = cluster.dump()
    modules = [balance] if options.keys() & {"parallel", "per_node"} else [balance, balance_info]
    for module in modules:
        for check in (True, False):
            result = cluster.run(module, options, check=check)
            assert result["failed"]
            assert message in result["msg"]
    assert cluster.dump() == before
