# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings' own ladder, on both stores: they are there from the beginning, and never go."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Set
from ansible_collections.pvc.cluster.plugins.modules import node, settings, settings_info, vm

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options, Result
from tests.unit.plugins.modules.test_bad_input import Case, refused

BMC = {"name": "bmc", "kind": "ipmi", "address": "10.0.3.11", "username": "fence", "credential": "bmc"}
DEFAULTS = {
    "maintenance": False,
    "shutdown_policy": "migrate",
    "placement": "free_memory",
    "evidence": ["storage_cut", "powered_off"],
    "rejoin": "ready",
    "session_timeout": 6.0,
    "boot_grace": 120.0,
    "storm_limit": 0,
    "early_suspicion": False,
    "vcpu_ratio": 0.0,
    "spare_nodes": 1,
    "parallel_moves": 8,
    "rebalance": False,
    "rebalance_threshold": 0.1,
}
OTHERS = {
    "maintenance": True,
    "shutdown_policy": "conditional",
    "placement": "fewest_vms",
    "evidence": ["storage_cut"],
    "rejoin": "drained",
    "session_timeout": 4.5,
    "boot_grace": 300.0,
    "storm_limit": 1,
    "early_suspicion": True,
    "vcpu_ratio": 4.0,
    "spare_nodes": 0,
    "parallel_moves": 3,
    "rebalance": True,
    "rebalance_threshold": 0.25,
}


def step(cluster: Cluster, options: Options, *, changed: bool) -> Result:
    """Check mode and for real: they agree, and check mode changes nothing."""
    before = cluster.dump()
    check = cluster.ok(settings, options, check=True)
    assert cluster.dump() == before
    real = cluster.ok(settings, options)
    assert check["changed"] == real["changed"] == changed
    assert check["diff"] == real["diff"]
    assert check["settings"] == real["settings"]
    assert (cluster.dump() != before) == changed
    assert cluster.ok(settings_info, {})["settings"] == real["settings"]
    return real


def fields(result: Result, side: str) -> dict[str, Any]:
    shown: dict[str, Any] = (yaml.safe_load(result["diff"][side]) or {}).get("settings", {})
    return shown


def test_all_have_their_defaults(cluster: Cluster) -> None:
    shown = step(cluster, {}, changed=False)["settings"]
    assert DEFAULTS.items() <= shown.items()
    step(cluster, DEFAULTS, changed=False)


@pytest.mark.parametrize("option", OTHERS)
def test_each_changes_is_kept_and_is_reset(cluster: Cluster, option: str) -> None:
    changed = step(cluster, {option: OTHERS[option]}, changed=True)
    assert fields(changed, "before") == {option: DEFAULTS[option]}
    assert fields(changed, "after") == {option: OTHERS[option]}
    step(cluster, {option: OTHERS[option]}, changed=False)
    another = next(each for each in OTHERS if each != option)
    kept = step(cluster, {another: OTHERS[another]}, changed=True)
    assert kept["settings"][option] == OTHERS[option]
    step(cluster, {option: DEFAULTS[option]}, changed=True)
    assert cluster.ok(settings_info, {})["settings"]["generation"] == 4


def test_the_session_follows_from_the_budget(cluster: Cluster) -> None:
    result = step(cluster, {"ha_budget": 8.5}, changed=True)
    assert result["settings"]["session_timeout"] == 4.5
    assert result["settings"]["ha_budget"] == 8.5
    assert result["why"] == {"settings": "session_timeout 6 -> 4.5"}
    step(cluster, {"ha_budget": 8.5}, changed=False)
    step(cluster, {"ha_budget": 10}, changed=True)
    step(cluster, {"session_timeout": 6}, changed=False)


def test_maintenance_is_said_loudly(cluster: Cluster) -> None:
    assert not cluster.ok(settings_info, {}).get("warnings")
    cluster.ok(settings, {"maintenance": True})
    (warning,) = cluster.ok(settings_info, {})["warnings"]
    assert "The cluster is in maintenance: no node is fenced" in str(warning)


CASES = {
    "budget below what is safe": Case(
        {"ha_budget": 5}, "settings", "ha_budget", "5 s is not safe: 4 s of it are for all but the session"
    ),
    "budget beyond what the servers grant": Case(
        {"ha_budget": 13}, "settings", "ha_budget", "the ZooKeeper servers grant 8 s at most"
    ),
    "budget that power-off alone cannot keep": Case(
        {"ha_budget": 10, "evidence": ["powered_off"]}, "settings", "evidence", "node1, node2"
    ),
    "budget of nothing": Case({"ha_budget": -1}, "settings", "ha_budget", "-1"),
    "session that is too short": Case(
        {"session_timeout": 3.9}, "settings", "session_timeout", "sessions of 3.9 s are too short"
    ),
    "session that is too long": Case(
        {"session_timeout": 8.5}, "settings", "session_timeout", "the ZooKeeper servers grant 8 s at most"
    ),
    "no evidence": Case({"evidence": []}, "settings", "evidence", "no fence is ever proven by itself"),
    "evidence that no device can give": Case(
        {"evidence": ["powered_off"]}, "settings", "evidence", "that no device can give for node1, node2"
    ),
    "no patience with a boot": Case({"boot_grace": 0}, "settings", "boot_grace", "0"),
    "a storm that takes the majority": Case({"storm_limit": 2}, "settings", "storm_limit", "2 of 2 nodes"),
    "less than one vCPU for a processor": Case({"vcpu_ratio": 0.5}, "settings", "vcpu_ratio", "0.5"),
    "fewer than no spare nodes": Case({"spare_nodes": -1}, "settings", "spare_nodes", "-1"),
    "no moves at all": Case({"parallel_moves": 0}, "settings", "parallel_moves", "0"),
    "a gain of nothing": Case({"rebalance_threshold": 0}, "settings", "rebalance_threshold", "0"),
    "more than all of the imbalance": Case({"rebalance_threshold": 1.5}, "settings", "rebalance_threshold", "1.5"),
    "negative storm": Case({"storm_limit": -1}, "settings", "storm_limit", "-1"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_not_safe_is_refused(cluster: Cluster, case: str) -> None:
    refused(cluster, settings, CASES[case].options, CASES[case])


def test_budget_or_session(cluster: Cluster) -> None:
    assert "mutually exclusive" in cluster.run(settings, {"ha_budget": 10, "session_timeout": 6})["msg"]


def test_power_off_alone_needs_a_device_of_every_node(cluster: Cluster) -> None:
    cluster.ok(node, {"nodes": [{"name": "node1"}, {"name": "node2"}], "fence": [BMC]})
    step(cluster, {"evidence": ["powered_off"]}, changed=True)
    assert cluster.ok(settings_info, {})["settings"]["ha_budget"] == 14.5
    for options in ({"name": "node2", "fence": []}, {"name": "node3"}):
        case = Case(options, f"node {options['name']}", "fence", "the settings accept no other evidence")
        refused(cluster, node, options, case)
    refused(
        cluster,
        settings,
        {"ha_budget": 10},
        Case({}, "settings", "ha_budget", "8.5 s of it are for all but the session, with evidence powered_off"),
    )


def test_vms_that_need_power_off_hold_the_settings_to_it(cluster: Cluster, agents: Agents) -> None:
    web1 = {"name": "web1", "memory": 64, "ha": {"power_off": True}}
    with agents():
        refused(cluster, vm, web1, Case({}, "vm web1", "ha.power_off", "every node lacks a fence device"))
        cluster.ok(node, {"name": "node1", "fence": [BMC]})
        cluster.ok(vm, web1)
        need = Case({}, "settings", "evidence", "web1 need powered_off")
        refused(cluster, settings, {"evidence": ["storage_cut"]}, need)
        cluster.ok(vm, {"name": "web1", "ha": {"power_off": False}})
        step(cluster, {"evidence": ["storage_cut"]}, changed=True)
        refused(cluster, vm, web1, Case({}, "vm web1", "ha.power_off", "do not accept powered_off"))


def test_damaged_settings_are_shown_and_not_changed(cluster: Cluster) -> None:
    cluster.ok(settings, {"rejoin": "drained"})
    znode = cluster.store.get(paths.SETTINGS)
    assert znode
    cluster.store.commit([Set(paths.SETTINGS, b"?", znode.version)])
    refused(cluster, settings, {"rejoin": "ready"}, Case({}, "settings", "", "no valid record"))
    shown = cluster.ok(settings_info, {})["settings"]
    assert "no JSON" in shown["damaged"]
    assert shown["rejoin"] == "ready"
