# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be: each request is refused by object, option and remedy, and the tree stays as it is, byte for byte."""

from __future__ import annotations

import socket
from typing import Any, NamedTuple

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create, Set
from ansible_collections.pvc.cluster.plugins.modules import (
    balance,
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
    vm_console_info,
    vm_export,
    vm_import,
    vm_info,
    vm_snapshot,
    vm_snapshot_info,
)

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options, run

WEB1 = {"name": "web1", "memory": 1024, "state": "stopped"}
GOLDEN = {"name": "golden", "memory": 64}
DISKS = {"name": "disks", "memory": 64, "state": "stopped", "disks": [{"size": "2G"}]}


class Case(NamedTuple):
    """A request, what its error names, and words of its text."""

    options: Options
    obj: str
    option: str
    words: str


VM_CASES = {
    "unknown node": Case(
        {"name": "new", "memory": 64, "node": "node7"}, "vm new", "node", "node7 is not part of the cluster"
    ),
    "no room": Case({"name": "new", "memory": "900G"}, "vm new", "", "node2 has 15360 MiB free, 921600 are needed"),
    "no room on that node": Case(
        {"name": "new", "memory": "900G", "node": "node2"}, "vm new", "node", "15360 MiB free"
    ),
    "no room for the loss of a node": Case(
        {"vms": [{"name": "new1"}, {"name": "new2"}], "memory": "8G"},
        "vms new1, new2",
        "",
        "no room would be left for the loss of node1: 8192 MiB of its VMs would fit nowhere: new1",
    ),
    "memory of zero": Case({"name": "new", "memory": 0}, "vm new", "memory", "0"),
    "negative memory": Case({"name": "new", "memory": -1}, "vm new", "memory", "-1"),
    "no memory": Case({"name": "new"}, "vm new", "memory", ""),
    "memory in words": Case({"name": "new", "memory": "a lot"}, "vm new", "memory", "'a lot'"),
    "memory in parts of a MiB": Case({"name": "new", "memory": "1K"}, "vm new", "memory", "'1K'"),
    "no vcpus": Case({"name": "new", "memory": 64, "vcpus": 0}, "vm new", "vcpus", "0"),
    "illegal name": Case({"name": "a/b", "memory": 64}, "vm a/b", "name", ""),
    "name of dots": Case({"name": "..", "memory": 64}, "vm ..", "name", ""),
    "empty name": Case({"name": "", "memory": 64}, "vm ", "name", ""),
    "name that is too long": Case({"name": "x" * 64, "memory": 64}, "vm " + "x" * 64, "name", ""),
    "unknown pool": Case(
        {"name": "new", "memory": 64, "disks": [{"pool": "gold", "size": "1G"}]}, "vm new", "disks[0].pool", "gold"
    ),
    "unknown bridge": Case(
        {"name": "new", "memory": 64, "nics": [{"bridge": "br7"}]}, "vm new", "nics[0].bridge", "br7"
    ),
    "size in words": Case(
        {"name": "new", "memory": 64, "disks": [{"size": "big"}]}, "vm new", "disks[0].size", "'big'"
    ),
    "size of zero": Case({"name": "new", "memory": 64, "disks": [{"size": 0}]}, "vm new", "disks[0].size", ""),
    "illegal MAC": Case(
        {"name": "new", "memory": 64, "nics": [{"bridge": "br0", "mac": "x"}]}, "vm new", "nics[0].mac", ""
    ),
    "initrd without kernel": Case({"name": "new", "memory": 64, "boot": {"initrd": "/i"}}, "vm new", "boot.kernel", ""),
    "the same VM twice": Case({"vms": [{"name": "new"}, {"name": "new"}], "memory": 64}, "vm new", "name", "twice"),
    "one bad VM among good ones": Case(
        {"vms": [{"name": "good", "memory": 64}, {"name": "new", "memory": 0}]}, "vm new", "memory", ""
    ),
    "negative timeout": Case({"name": "web1", "shutdown_timeout": -1}, "vm web1", "shutdown_timeout", "-1"),
    "priority beyond all measure": Case(
        {"name": "web1", "ha": {"priority": 1001}}, "vm web1", "ha.priority", "give a whole number from -1000 to 1000"
    ),
    "fewer restarts than none": Case(
        {"name": "web1", "ha": {"max_local_restarts": -2}}, "vm web1", "ha.max_local_restarts", "-2"
    ),
    "fewer moves than none": Case({"name": "web1", "ha": {"max_moves": -1}}, "vm web1", "ha.max_moves", "-1"),
    "power-off without a device": Case(
        {"name": "web1", "ha": {"power_off": True}}, "vm web1", "ha.power_off", "every node lacks a fence device"
    ),
    "power-off on a node without a device": Case(
        {"name": "new", "memory": 64, "node": "node1", "ha": {"power_off": True}},
        "vm new",
        "ha.power_off",
        "node node1",
    ),
    "another place for a VM that is left alone": Case(
        {"name": "web1", "state": "ignored", "node": "node2"}, "vm web1", "node", "its state is ignored"
    ),
    "a reset of what does not run": Case({"name": "web1", "state": "reset"}, "vm web1", "state", "nothing to reset"),
    "a reset of what does not exist": Case({"name": "new", "state": "reset"}, "vm new", "state", "nothing to reset"),
    "a name that is used": Case({"name": "web1", "new_name": "golden"}, "vm web1", "new_name", "there is a VM golden"),
    "a name that cannot be": Case({"name": "web1", "new_name": "Web"}, "vm web1", "new_name", "'Web'"),
    "another name for what runs": Case(
        {"name": "golden", "new_name": "new"}, "vm golden", "new_name", "is not stopped"
    ),
    "another name for what does not exist": Case({"name": "no", "new_name": "new"}, "vm no", "name", "nor new exists"),
    "another name and more": Case({"name": "web1", "new_name": "new", "memory": 64}, "vm web1", "memory", "renamed"),
    "a copy of what runs": Case(
        {"name": "new", "clone_from": {"vm": "golden"}}, "vm new", "clone_from.snapshot", "name that, or stop the VM"
    ),
    "a copy of a snapshot that is not there": Case(
        {"name": "new", "clone_from": {"vm": "golden", "snapshot": "v1"}},
        "vm new",
        "clone_from.snapshot",
        "no snapshot v1",
    ),
    "a copy of nothing": Case({"name": "new", "clone_from": {"vm": "no"}}, "vm new", "clone_from.vm", "vm no does not"),
    "a copy that is smaller": Case(
        {"name": "new", "clone_from": {"vm": "disks"}, "disks": [{"size": "1G"}]},
        "vm new",
        "disks[0].size",
        "give at least",
    ),
    "a copy of half of it": Case(
        {"name": "new", "clone_from": {"vm": "disks"}, "disks": []}, "vm new", "disks", "vm disks has 1 disks"
    ),
    "a smaller disk": Case({"name": "disks", "disks": [{"size": "1G"}]}, "vm disks", "disks[0].size", "cannot shrink"),
    "a tag that is kept and removed": Case(
        {"name": "web1", "protected_tags": ["a"], "remove_tags": ["a"]}, "vm web1", "remove_tags", "tag a"
    ),
    "a key that cannot be": Case({"name": "web1", "metadata": {"a b": "c"}}, "vm web1", "metadata", "'a b'"),
    "impossible topology": Case(
        {"name": "new", "memory": 64, "vcpus": 4, "cpu": {"sockets": 3, "cores": 1, "threads": 1}},
        "vm new",
        "cpu",
        "3 sockets of 1 cores of 1 threads are 3 vCPUs, but vcpus is 4",
    ),
    "memory above its limit": Case(
        {"name": "web1", "memory": "4G", "memory_max": "2G"}, "vm web1", "memory", "more than memory_max, 2048 MiB"
    ),
    "limit of memory in words": Case({"name": "web1", "memory_max": "much"}, "vm web1", "memory_max", "'much'"),
    "secure boot with a BIOS": Case({"name": "web1", "secure_boot": True}, "vm web1", "secure_boot", "firmware bios"),
    "unknown device of the node": Case(
        {"name": "web1", "devices": {"host": ["gpu"]}}, "vm web1", "devices.host[0]", "has no device gpu"
    ),
    "XML of what the product owns": Case(
        {"name": "web1", "xml": "<domain><memory>1</memory></domain>"}, "vm web1", "xml", "that is option memory"
    ),
    "XML with entities": Case(
        {"name": "web1", "xml": "<!DOCTYPE a [<!ENTITY b 'c'>]><domain/>"}, "vm web1", "xml", "a document type"
    ),
    "a feature that is neither here nor there": Case(
        {"name": "web1", "cpu": {"features": {"vmx": "maybe"}}}, "vm web1", "cpu.features.vmx", "'maybe'"
    ),
    "volumes of a VM that stays": Case({"name": "web1", "delete_volumes": True}, "vm web1", "delete_volumes", "absent"),
}

SNAPSHOT_CASES = {
    "of nothing": Case({"vms": ["no"], "name": "a"}, "snapshot a of vm no", "vm", "does not exist"),
    "of a VM without disks": Case({"vms": ["web1"], "name": "a"}, "snapshot a of vm web1", "vm", "has no disks"),
    "twice": Case({"vms": ["disks", "disks"], "name": "a"}, "snapshot a of vm disks", "name", "twice"),
    "illegal name": Case({"vms": ["disks"], "name": "a@b"}, "snapshot a@b of vm disks", "name", "'a@b'"),
    "back while it runs": Case(
        {"vms": ["runs"], "name": "there", "state": "rolled_back"}, "vm runs", "state", "is not stopped"
    ),
    "back to what is not there": Case(
        {"vms": ["disks"], "name": "no", "state": "rolled_back"}, "snapshot no of vm disks", "name", "give one of there"
    ),
    "kept without a series": Case(
        {"vms": ["disks"], "name": "a", "keep": 2}, "snapshot a of vm disks", "keep", "series"
    ),
    "fewer than none": Case(
        {"vms": ["disks"], "name": "a", "series": "s", "keep": -1}, "snapshot a of vm disks", "keep", "-1"
    ),
    "removal with a series": Case(
        {"vms": ["disks"], "name": "there", "state": "absent", "series": "s"},
        "snapshot there of vm disks",
        "series",
        "no sense",
    ),
}

NODE_CASES = {
    "illegal name": Case({"name": "a b"}, "node a b", "name", ""),
    "negative reserve": Case({"name": "node1", "memory_reserve": -1}, "node node1", "memory_reserve", "-1"),
    "reserve in words": Case({"name": "node1", "memory_reserve": "some"}, "node node1", "memory_reserve", "'some'"),
    "removal of a node with VMs": Case({"name": "node1", "state": "absent"}, "node node1", "state", "web1"),
    "another cluster's name": Case({"name": "node1", "cluster_name": "other"}, "cluster", "cluster_name", "lab"),
    "a device at no address": Case(
        {"name": "node1", "devices": [{"name": "gpu", "kind": "pci", "address": "65:00.0"}]},
        "node node1",
        "devices[0].address",
        "lspci",
    ),
    "the same node twice": Case({"nodes": [{"name": "new"}, {"name": "new"}]}, "node new", "name", "twice"),
}


APART = {"name": "new", "kind": "apart", "vms": ["web1", "web2"]}
PREFERS = {"name": "new", "kind": "node_preference", "vms": ["web1"], "nodes": [{"name": "node1"}]}
RULE_CASES = {
    "no kind": Case({"name": "new", "vms": ["web1"]}, "rule new", "kind", "it is missing"),
    "no vms": Case({"name": "new", "kind": "apart"}, "rule new", "vms", "it is missing"),
    "illegal name": Case({**APART, "name": "a b"}, "rule a b", "name", ""),
    "the same rule twice": Case({"rules": [APART, APART]}, "rule new", "name", "twice"),
    "one vm apart from nobody": Case({**APART, "vms": ["web1"]}, "rule new", "vms", "only one"),
    "the same vm twice": Case({**APART, "vms": ["web1", "web1"]}, "rule new", "vms", "only one"),
    "unknown vm": Case({**APART, "vms": ["web1", "wbe2"]}, "rule new", "vms", "no vm wbe2; did you mean web2?"),
    "unknown node": Case(
        {**PREFERS, "nodes": [{"name": "nod1"}]}, "rule new", "nodes", "no node nod1; did you mean node1"
    ),
    "the same node twice": Case(
        {**PREFERS, "nodes": [{"name": "node1"}, {"name": "node1"}]}, "rule new", "nodes", "node1 is in it twice"
    ),
    "priority out of range": Case(
        {**PREFERS, "nodes": [{"name": "node1", "priority": 2000}]}, "rule new", "nodes.priority", "2000"
    ),
    "preference without nodes": Case({**PREFERS, "nodes": []}, "rule new", "nodes", "it names no node"),
    "preference without vms": Case({**PREFERS, "vms": []}, "rule new", "vms", "it is about no VM"),
    "preference of all nodes alike": Case(
        {**PREFERS, "nodes": [{"name": "node1"}, {"name": "node2"}]}, "rule new", "nodes", "prefers no node to another"
    ),
    "nodes of another kind": Case(
        {**APART, "nodes": [{"name": "node1"}]}, "rule new", "nodes", "about no certain nodes"
    ),
    "apart at a pinch": Case({**APART, "strict": False}, "rule new", "strict", "is always strict"),
    "contradiction": Case(
        {**APART, "kind": "together"},
        "rule new",
        "vms",
        "it can never be kept together with pair: web1 and web2 would be",
    ),
    "contradiction in one task": Case(
        {
            "rules": [
                {**APART, "name": "one", "vms": ["web1", "web3"]},
                {**APART, "name": "two", "vms": ["web2", "web3"]},
            ]
        },
        "rule one",
        "vms",
        "it can never be kept together with pair, two: no choice of nodes keeps apart all that are to be",
    ),
}


EVERY_MODULE: list[tuple[Any, Options]] = [
    (vm, WEB1),
    (vm_info, {}),
    (node, {"name": "node1"}),
    (node_info, {}),
    (rule, {"name": "pair", "state": "absent"}),
    (rule_info, {}),
    (settings, {"rejoin": "drained"}),
    (settings_info, {}),
    (fence_info, {}),
    (history_info, {}),
    (failover_info, {}),
    (cluster_info, {}),
    (vm_snapshot, {"vms": ["web1"], "name": "daily"}),
    (vm_snapshot_info, {}),
    (vm_console_info, {"name": "web1"}),
    (vm_export, {"name": "web1", "dest": "/nowhere"}),
    (vm_import, {"src": "/nowhere"}),
    (balance_info, {}),
    (balance, {}),
]
EACH = pytest.mark.parametrize(
    ("module", "options"), EVERY_MODULE, ids=[one.__name__.rpartition(".")[2] for one, _options in EVERY_MODULE]
)


def refused(cluster: Cluster, module: Any, options: Options, case: Case) -> None:
    """The request fails as the case says, in check mode, too, and changes nothing."""
    before = cluster.dump()
    for check in (True, False):
        result = cluster.run(module, options, check=check)
        assert result.get("failed"), result
        assert (result["object"], result["option"]) == (case.obj, case.option), result["msg"]
        assert case.words in result["msg"]
        assert result["remedy"]
        assert result["remedy"] in result["msg"]
        assert not result.get("changed")
    assert cluster.dump() == before


@pytest.mark.parametrize("case", VM_CASES)
def test_vm(cluster: Cluster, agents: Agents, case: str) -> None:
    with agents():
        cluster.ok(vm, {"vms": [WEB1, GOLDEN, DISKS]})
        refused(cluster, vm, VM_CASES[case].options, VM_CASES[case])


@pytest.mark.parametrize("case", SNAPSHOT_CASES)
def test_vm_snapshot(cluster: Cluster, agents: Agents, case: str) -> None:
    with agents():
        cluster.ok(vm, {"vms": [WEB1, GOLDEN, DISKS]})
        cluster.ok(vm_snapshot, {"vms": ["disks"], "name": "there"})
        cluster.ok(vm, {"name": "runs", "memory": 64, "disks": [{"size": "1G"}]})
        cluster.ok(vm_snapshot, {"vms": ["runs"], "name": "there"})
        refused(cluster, vm_snapshot, SNAPSHOT_CASES[case].options, SNAPSHOT_CASES[case])


@pytest.mark.parametrize("case", RULE_CASES)
def test_rule(cluster: Cluster, agents: Agents, case: str) -> None:
    with agents():
        cluster.ok(vm, {"vms": [{"name": name} for name in ("web1", "web2", "web3")], "memory": 64})
        cluster.ok(rule, {"name": "pair", "kind": "apart", "vms": ["web2", "web1"]})
        refused(cluster, rule, RULE_CASES[case].options, RULE_CASES[case])


@pytest.mark.parametrize("case", NODE_CASES)
def test_node(cluster: Cluster, agents: Agents, case: str) -> None:
    with agents():
        cluster.ok(vm, {**WEB1, "node": "node1"})
        refused(cluster, node, NODE_CASES[case].options, NODE_CASES[case])


def test_first_node_without_a_cluster_name(empty: Cluster) -> None:
    refused(empty, node, {"name": "node1"}, Case({}, "cluster", "cluster_name", "missing"))


@pytest.mark.parametrize(
    "module",
    [one for one, _options in EVERY_MODULE if one is not node],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_store_without_a_cluster(empty: Cluster, module: Any) -> None:
    result = empty.run(module, dict(EVERY_MODULE)[module])
    assert result["failed"]
    assert (result["option"], empty.dump()) == ("root", empty.dump())
    assert "initialise" in result["remedy"]


@EACH
def test_wrong_password(zookeeper: Cluster, module: Any, options: Options) -> None:
    cluster = zookeeper
    cluster.ok(node, {"name": "node1", "cluster_name": "lab"})
    case = Case({}, "", "password", "")
    refused(cluster, module, {**options, "password": "guessed wrongly"}, case)
    assert "guessed wrongly" not in str(cluster.run(module, {**options, "password": "guessed wrongly"}))


@EACH
def test_other_schema_version(cluster: Cluster, module: Any, options: Options) -> None:
    schema = cluster.store.get(paths.SCHEMA)
    assert schema
    cluster.store.commit([Set(paths.SCHEMA, schema.data.replace(b'"version":1', b'"version":99'), schema.version)])
    refused(cluster, module, options, Case({}, "znode /schema", "", "version 99"))


@EACH
def test_damaged_schema(cluster: Cluster, module: Any, options: Options) -> None:
    schema = cluster.store.get(paths.SCHEMA)
    assert schema
    cluster.store.commit([Set(paths.SCHEMA, b"\xff\x00", schema.version)])
    refused(cluster, module, options, Case({}, "znode /schema", "", "no JSON"))


@EACH
def test_unreachable_store(module: Any, options: Options) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"127.0.0.1:{server.getsockname()[1]}"
    result = run(module, {"hosts": [closed], "password": "x", "tls": False, "connect_timeout": 0.5, **options})
    assert result["failed"]
    assert result["option"] == "hosts"
    assert closed in result["msg"]
    assert result["remedy"]


def test_filters_that_cannot_be(cluster: Cluster) -> None:
    refused(cluster, fence_info, {"limit": -1}, Case({}, "", "limit", "-1"))
    for option in ("since", "limit", "commit"):
        refused(cluster, history_info, {option: -1}, Case({}, "", option, "-1 is not possible; give 0 or more"))
    problem = "there is no revision 4711 yet: the newest is 0; give the revision of a commit"
    refused(cluster, history_info, {"commit": 4711}, Case({}, "", "commit", problem))
    case = Case({}, "node node7", "nodes", "it is not part of the cluster; give some of node1, node2")
    refused(cluster, failover_info, {"nodes": ["node1", "node7"]}, case)


def test_damaged_vm(cluster: Cluster, agents: Agents) -> None:
    """It is shown as such, it cannot be changed, and others can."""
    with agents():
        cluster.ok(vm, {**WEB1, "node": "node1"})
    web1 = cluster.store.get(paths.vm("web1"))
    assert web1
    cluster.store.commit([Set(paths.vm("web1"), b'{"uuid":"x","memory":"lots"}', web1.version)])
    with agents():
        refused(cluster, vm, {"name": "web1", "description": "x"}, Case({}, "vm web1", "", "no valid record"))
        cluster.ok(vm, {**WEB1, "name": "web2"})
    shown = cluster.ok(vm_info, {})
    assert [one["name"] for one in shown["vms"]] == ["web1", "web2"]
    assert "memory is str, not int" in shown["vms"][0]["damaged"]
    assert not shown["vms"][1]["damaged"]
    assert [one["name"] for one in cluster.ok(vm_info, {"node": "node1"})["vms"]][:1] == ["web1"]


def test_damaged_node(cluster: Cluster, agents: Agents) -> None:
    node1 = cluster.store.get(paths.node("node1"))
    assert node1
    cluster.store.commit([Set(paths.node("node1"), b"", node1.version)])
    with agents():
        refused(cluster, node, {"name": "node1", "coordinator": True}, Case({}, "node node1", "", "no valid record"))
        assert cluster.ok(vm, WEB1)["vm"]["claim"]["node"] == "node2"
    shown = cluster.ok(node_info, {})["nodes"]
    assert [(one["name"], bool(one["damaged"])) for one in shown] == [("node1", True), ("node2", False)]


def test_foreign_znode_does_no_harm(cluster: Cluster, agents: Agents) -> None:
    cluster.store.commit([Create(paths.vm("not a name"), b"")])
    with agents():
        cluster.ok(vm, WEB1)
    assert [one["name"] for one in cluster.ok(vm_info, {})["vms"]] == ["not a name", "web1"]
