# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the documentation says of results and options is what there is."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.doc_fragments import _node as node_fragment
from ansible_collections.pvc.cluster.plugins.doc_fragments import _rule as rule_fragment
from ansible_collections.pvc.cluster.plugins.doc_fragments import _vm as vm_fragment
from ansible_collections.pvc.cluster.plugins.doc_fragments import connection as connection_fragment
from ansible_collections.pvc.cluster.plugins.module_utils import _module, _node, _rule, _vm
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Evidence, Fence
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create
from ansible_collections.pvc.cluster.plugins.modules import (
    balance_info,
    cluster_info,
    failover_info,
    fence_info,
    history_info,
    node,
    node_info,
    rule,
    rule_info,
    settings,
    settings_info,
    vm,
    vm_info,
)

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster

VM = {"name": "web1", "memory": 64, "disks": [{"size": "1G"}], "nics": [{"bridge": "br0"}], "boot": {"kernel": "/k"}}
FENCE = Fence(
    "node2-1-1",
    "proven",
    "its session has ended",
    evidence=(Evidence("storage_cut", "proven", "the monitors have committed it"),),
    moves={"web1": "to node1: room"},
    waiting={"db1": "no room"},
)
PREFERS = {"name": "web", "kind": "node_preference", "vms": ["web1"], "nodes": [{"name": "node1", "priority": 1}]}
BMC = {"name": "bmc", "kind": "ipmi", "address": "10.0.3.11", "credential": "bmc", "options": {"cipher_suite": 17}}

ERROR = {"problem", "object", "option", "remedy"}


def documented(text: str, key: str) -> dict[str, Any]:
    """What RETURN says an object contains."""
    contains: dict[str, Any] = yaml.safe_load(text)[key]["contains"]
    return contains


def keys_agree(shown: dict[str, Any], contains: dict[str, Any]) -> None:
    assert set(shown) == set(contains)
    for key, value in contains.items():
        sample = value.get("sample")
        if isinstance(sample, dict):
            assert set(shown[key]) == set(sample), key
        elif isinstance(sample, list) and sample and isinstance(sample[0], dict):
            assert all(set(one) == set(sample[0]) for one in shown[key]), key


def test_what_is_returned_is_documented(cluster: Cluster, agents: Agents) -> None:
    with agents():
        changed = cluster.ok(vm, VM)
        keys_agree(changed["vm"], documented(vm.RETURN, "vm"))
        cluster.ok(node, {"name": "node1", "coordinator": True, "fence": [BMC]})
        node1 = cluster.ok(node_info, {"names": ["node1"]})["nodes"][0]
        assert node1["fence"]
        keys_agree(node1, documented(node_info.RETURN, "nodes"))
        drained = cluster.ok(node, {"name": "node2", "state": "drained"}, check=True)
        keys_agree(drained["drains"][0], documented(node.RETURN, "drains"))
        cluster.ok(node, {"name": "node2", "state": "drained", "wait": False})
        keys_agree(cluster.ok(node_info, {})["drains"][0], documented(node_info.RETURN, "drains"))
        cluster.ok(node, {"name": "node2", "state": "ready", "wait": False})
        rules = cluster.ok(rule, PREFERS)
        keys_agree(rules["rule"], documented(rule.RETURN, "rule"))
        keys_agree(cluster.ok(settings, {})["settings"], documented(settings.RETURN, "settings"))
        cluster.store.commit([Create(paths.fence("node2"), encode(FENCE))])
        keys_agree(cluster.ok(fence_info, {})["fences"][0], documented(fence_info.RETURN, "fences"))
        history = cluster.ok(history_info, {"limit": 1, "commit": 0})
        keys_agree(history["commits"][0], documented(history_info.RETURN, "commits"))
        assert set(history["state"]) == set(yaml.safe_load(history_info.RETURN)["state"]["sample"])
        keys_agree(cluster.ok(failover_info, {})["failovers"][0], documented(failover_info.RETURN, "failovers"))
        spread = cluster.ok(balance_info, {})
        assert spread.keys() - {"changed", "invocation"} == yaml.safe_load(balance_info.RETURN).keys() - ERROR
        keys_agree(spread["nodes"][0], documented(balance_info.RETURN, "nodes"))
        fenced = cluster.ok(node_info, {"names": ["node2"]})["nodes"][0]["fenced"]
        assert {"node", *fenced} == set(documented(cluster_info.RETURN, "cluster")["fenced"]["sample"][0])
        health = cluster.ok(cluster_info, {})["cluster"]
        assert health["fence"]["devices"]
        contains = documented(cluster_info.RETURN, "cluster")
        keys_agree(health, contains)
        for kind in ("zookeeper", "patroni", "ceph", "frr", "fence"):
            keys_agree(health[kind], {key: {"sample": value} for key, value in contains[kind]["sample"].items()})
    assert set(changed) - {"changed", "diff", "invocation"} <= set(yaml.safe_load(vm.RETURN))


def test_a_module_and_its_reading_twin_say_the_same() -> None:
    assert documented(vm.RETURN, "vm") == documented(vm_info.RETURN, "vms")
    assert documented(node.RETURN, "node") == documented(node_info.RETURN, "nodes")
    assert documented(rule.RETURN, "rule") == documented(rule_info.RETURN, "rules")
    assert documented(settings.RETURN, "settings") == documented(settings_info.RETURN, "settings")


@pytest.mark.parametrize(
    ("fragment", "spec"),
    [
        (vm_fragment.ModuleDocFragment, _vm.SPEC),
        (node_fragment.ModuleDocFragment, _node.SPEC),
        (rule_fragment.ModuleDocFragment, _rule.SPEC),
        (connection_fragment.ModuleDocFragment, _module.CONNECTION),
    ],
    ids=["vm", "node", "rule", "connection"],
)
def test_a_fragment_and_its_arguments_are_in_step(fragment: Any, spec: dict[str, Any]) -> None:
    options = yaml.safe_load(fragment.DOCUMENTATION)["options"]
    assert {name: _facts(option, "suboptions") for name, option in options.items()} == {
        name: _facts(option, "options") for name, option in spec.items()
    }


def _facts(option: dict[str, Any], below: str) -> dict[str, Any]:
    facts = {key: option.get(key) for key in ("type", "elements", "choices", "default")}
    facts["required"] = option.get("required", False)
    facts["options"] = {name: _facts(each, below) for name, each in option.get(below, {}).items()}
    return facts


@pytest.mark.parametrize("name", list(_module.CONNECTION))
def test_each_option_of_the_connection_names_its_variable(name: str) -> None:
    text = yaml.safe_load(connection_fragment.ModuleDocFragment.DOCUMENTATION)["options"][name]["description"]
    assert f"E(PVC_{name.upper()})" in " ".join(text)
