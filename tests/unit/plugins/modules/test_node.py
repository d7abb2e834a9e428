# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What node does beside the ladder: fence devices that are tried, nodes that are emptied, and nodes that are declared dead."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import decode, encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import (
    Claim,
    Declaration,
    Fence,
    Leader,
)
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create, Delete, Set, Store
from ansible_collections.pvc.cluster.plugins.modules import cluster_info, node, node_info, settings, vm, vm_info

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Result
from tests.unit.plugins.modules.test_bad_input import Case, refused

BMC = {"name": "bmc", "kind": "ipmi", "address": "10.0.3.11", "username": "fence", "credential": "bmc"}
OTHER = {"name": "other", "kind": "redfish", "address": "https://10.0.3.12", "credential": "bmc"}
FENCE = Fence("node2-1-1", "collecting", "its session has ended")


def warnings(result: Result) -> str:
    return " ".join(str(one) for one in result.get("warnings") or ())


# --- fence devices that are tried ---------------------------------------------------------------------------------------


def test_a_device_that_every_coordinator_can_use(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(node, {"nodes": [{"name": "node1"}, {"name": "node2"}], "coordinator": True})
        result = cluster.ok(node, {"name": "node2", "fence": [BMC]})
        shown = cluster.ok(node_info, {"names": ["node2"]})["nodes"][0]["fence"]
    assert not warnings(result)
    assert shown == [{**BMC, "options": {}, "healthy": True, "why": ""}]


def test_a_device_that_cannot_be_used_fails_the_task_and_is_shown(cluster: Cluster, agents: Agents) -> None:
    with agents(unreadable={"bmc": "wrong user or password"}):
        cluster.ok(node, {"name": "node1", "coordinator": True})
        result = cluster.run(node, {"name": "node2", "fence": [BMC, OTHER]})
        assert result["failed"]
        assert result["changed"]
        assert "node1 cannot use device bmc of node2: wrong user or password" in result["msg"]
        assert "other" not in result["msg"]
        assert "verify=false" in result["remedy"]
        assert cluster.ok(node, {"name": "node2", "fence": [BMC, OTHER], "verify": False})["changed"] is False
        again = cluster.ok(node, {"name": "node2", "fence": [BMC, OTHER]})
        assert not again["changed"]
        assert "Node1 cannot use device bmc of node2: wrong user or password." in warnings(again)
        shown = cluster.ok(node_info, {"names": ["node2"]})["nodes"][0]["fence"]
        health = cluster.ok(cluster_info, {"services": ["fence"]})["cluster"]
    assert [(device["healthy"], device["why"]) for device in shown] == [
        (False, "node1: wrong user or password"),
        (True, ""),
    ]
    assert health["why"] == ["Fence device read on node1 (node2/bmc): wrong user or password (since then)"]


def test_what_was_read_of_another_declaration_does_not_count(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(node, {"name": "node1", "coordinator": True, "fence": [BMC]})
    with agents(unreadable={"bmc": "nothing answers"}):
        result = cluster.run(node, {"name": "node1", "fence": [{**BMC, "address": "10.0.3.99"}]})
    assert "nothing answers" in result["msg"]


def test_without_a_coordinator_nobody_can_try(cluster: Cluster, agents: Agents) -> None:
    with agents():
        result = cluster.ok(node, {"name": "node2", "fence": [BMC]})
    assert "device bmc of node2 by anybody, since no coordinator runs an agent" in warnings(result)
    assert not warnings(cluster.ok(node, {"name": "node1", "fence": [BMC], "verify": False}))


# --- what may be declared -----------------------------------------------------------------------------------------------

DEVICES = {
    "unknown kind": Case({"kind": "telepathy"}, "", "", "value of kind must be one of: ipmi, redfish"),
    "a password": Case({"password": "s3cret"}, "", "", "password"),
    "a credential that is a path": Case(
        {"credential": "../bmc"}, "node node2", "fence[0].credential", "no name of a file"
    ),
    "a credential that is a password": Case(
        {"credential": "p@ss word!"}, "node node2", "fence[0].credential", "never the"
    ),
    "no credential": Case({"credential": ""}, "node node2", "fence[0].credential", "it is missing"),
    "no name": Case({"name": ""}, "node node2", "fence[0].name", "no valid name"),
    "a URL for IPMI": Case({"address": "https://10.0.3.11"}, "node node2", "fence[0].address", "of kind ipmi"),
    "a password in the address": Case(
        {"kind": "redfish", "address": "https://root:s3cret@bmc"}, "node node2", "fence[0].address", "of kind redfish"
    ),
    "Redfish without TLS": Case(
        {"kind": "redfish", "address": "http://bmc"}, "node node2", "fence[0].address", "https://HOST"
    ),
    "an unknown option": Case({"options": {"colour": "red"}}, "node node2", "fence[0].options", "cipher_suite"),
    "a password among the options": Case(
        {"options": {"password": "s3cret"}}, "node node2", "fence[0].options", "the file that credential names"
    ),
    "an option of another value": Case(
        {"options": {"cipher_suite": "best"}}, "node node2", "fence[0].options.cipher_suite", "'best'"
    ),
}


@pytest.mark.parametrize("case", DEVICES)
def test_a_device_that_cannot_be(cluster: Cluster, case: str) -> None:
    device = {**BMC, **DEVICES[case].options}
    options = {"name": "node2", "fence": [device]}
    if DEVICES[case].obj:
        refused(cluster, node, options, DEVICES[case])
    result = cluster.run(node, options)
    assert result["failed"]
    assert DEVICES[case].words in result["msg"]
    assert "s3cret" not in result["msg"]
    assert not cluster.ok(node_info, {"names": ["node2"]})["nodes"][0]["fence"]


def test_two_devices_of_one_name(cluster: Cluster) -> None:
    case = Case({}, "node node2", "fence[1].name", "two devices have the name bmc")
    refused(cluster, node, {"name": "node2", "fence": [BMC, BMC]}, case)


# --- declared dead ------------------------------------------------------------------------------------------------------

DEAD = {"name": "node2", "declared_dead": {"why": "its rack burnt down", "by": "alice"}}


def test_a_node_that_lives_is_not_declared_dead(cluster: Cluster, agents: Agents) -> None:
    with agents():
        refused(cluster, node, DEAD, Case({}, "node node2", "declared_dead", "it is alive: its agent has a session"))


def test_a_node_that_nobody_waits_for_is_not_declared_dead(cluster: Cluster) -> None:
    refused(cluster, node, DEAD, Case({}, "node node2", "declared_dead", "no fence of it stands, so nothing waits"))
    case = Case({}, "node node3", "declared_dead", "no fence of it stands")
    refused(cluster, node, {**DEAD, "name": "node3"}, case)


def test_a_fenced_node_is_declared_dead_once(cluster: Cluster) -> None:
    cluster.store.commit([Create(paths.fence("node2"), encode(FENCE))])
    check = cluster.ok(node, DEAD, check=True)
    assert cluster.store.get(paths.declared("node2")) is None
    real = cluster.ok(node, DEAD)
    assert (check["changed"], check["diff"]) == (real["changed"], real["diff"])
    assert real["why"] == {"node2": "declared dead by alice: its rack burnt down"}
    assert "alice" in real["diff"]["after"]
    word = declared(cluster)
    assert (word.fence, word.by, word.why) == ("node2-1-1", "alice", "its rack burnt down")
    assert word.at
    again = cluster.ok(node, {**DEAD, "declared_dead": {"why": "still"}})
    assert not again["changed"]
    assert again["why"] == {"node2": "nothing to change; declared dead already by alice"}
    fence = cluster.store.get(paths.fence("node2"))
    assert fence
    cluster.store.commit([Set(paths.fence("node2"), encode(replace(FENCE, id="node2-1-2")), fence.version)])
    assert cluster.ok(node, {**DEAD, "declared_dead": {"why": "again"}})["changed"], "it holds for one fence only"
    assert declared(cluster).fence == "node2-1-2"
    assert " on " in declared(cluster).by


def test_the_word_of_somebody_without_reason_or_name(cluster: Cluster) -> None:
    cluster.store.commit([Create(paths.fence("node2"), encode(FENCE))])
    for option, word in (("why", {"why": " "}), ("by", {"why": "x", "by": ""})):
        case = Case({}, "node node2", f"declared_dead.{option}", "it is missing")
        refused(cluster, node, {"name": "node2", "declared_dead": word}, case)


def declared(cluster: Cluster) -> Declaration:
    znode = cluster.store.get(paths.declared("node2"))
    assert znode
    return decode(Declaration, znode.data)


def test_a_fenced_node_is_removed_only_once_it_is_surely_off(cluster: Cluster) -> None:
    cluster.store.commit([Create(paths.fence("node2"), encode(FENCE))])
    case = Case({}, "node node2", "state", "it is not certain that it is off")
    refused(cluster, node, {"name": "node2", "state": "absent"}, case)
    fence = cluster.store.get(paths.fence("node2"))
    assert fence
    proven = replace(FENCE, state="proven", proven_by="powered_off")
    cluster.store.commit([Set(paths.fence("node2"), encode(proven), fence.version)])
    assert cluster.ok(node, {"name": "node2", "state": "absent"})["changed"]


def test_a_node_that_is_only_cut_off_is_removed_when_somebody_vouches_for_it(cluster: Cluster) -> None:
    cut = replace(FENCE, state="proven", proven_by="storage_cut", cut=True, addresses=("10.0.2.12",))
    cluster.store.commit([Create(paths.fence("node2"), encode(cut))])
    absent = {"name": "node2", "state": "absent"}
    refused(cluster, node, absent, Case({}, "node node2", "state", "it is only cut off from its storage"))
    vouched = {**absent, "declared_dead": {"why": "it is scrap", "by": "alice"}}
    check = cluster.ok(node, vouched, check=True)
    real = cluster.ok(node, vouched)
    assert (check["changed"], check["diff"]) == (real["changed"], real["diff"])
    assert real["why"] == {"node2": "removed from the cluster; declared dead by alice: it is scrap"}
    assert declared(cluster).fence == "node2-1-1"
    assert not cluster.ok(node, vouched)["changed"]


def test_what_a_removed_node_has_left_behind_is_named_and_can_be_lifted(cluster: Cluster) -> None:
    absent = {"name": "node2", "state": "absent"}
    cluster.ok(node, absent)
    cut = replace(FENCE, state="proven", proven_by="storage_cut", cut=True)
    cluster.store.commit([Create(paths.fence("node2"), encode(cut))])
    told = cluster.ok(node, absent)
    assert not told["changed"]
    assert "it does not exist, but its fence stands, and Ceph refuses its addresses" in told["why"]["node2"]
    assert "node2: was fenced" in " ".join(cluster.ok(cluster_info, {})["cluster"]["why"])
    assert cluster.ok(node, {**absent, "declared_dead": {"why": "it is scrap"}})["changed"]
    assert declared(cluster).fence == "node2-1-1"


# --- nodes that are emptied ---------------------------------------------------------------------------------------------


class Mover(threading.Thread):
    """Gives each VM of one node to another one, as leader and agents do, once the node is to be empty."""

    def __init__(self, store: Store, node: str, to: str) -> None:
        super().__init__(name=f"mover from {node}")
        self._store, self._node, self._to = store, node, to
        self._touched = threading.Event()

    def run(self) -> None:
        path = paths.node(self._node)
        while b'"drained"' not in (self._store.get(path, lambda _path: self._touched.set()) or Create(path)).data:
            self._touched.wait()
            self._touched.clear()
        for name in self._store.children(paths.assigned(self._node)) or []:
            znode = self._store.get(paths.claim(name))
            assert znode
            claim = decode(Claim, znode.data)
            self._store.commit(
                [
                    Set(paths.claim(name), encode(Claim(self._to, claim.epoch + 1)), znode.version),
                    Delete(paths.assigned(self._node, name), 0),
                    Create(paths.assigned(self._to, name)),
                ]
            )
        self._store.close()


def test_a_drain_ends_when_the_node_is_empty(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"vms": [{"name": "a"}, {"name": "b"}], "memory": 64, "node": "node1"})
        cluster.ok(vm, {"vms": [{"name": "a"}, {"name": "b"}], "node": ""})
        would = cluster.ok(node, {"name": "node1", "state": "drained"}, check=True)
        mover = Mover(cluster.another(), "node1", "node2")
        mover.start()
        result = cluster.ok(node, {"name": "node1", "state": "drained"})
        mover.join()
        again = cluster.ok(node, {"name": "node1", "state": "drained"})
    assert result["node"]["state"] == "drained"
    assert result["node"]["vms"] == []
    assert result["why"] == {"node1": "state ready -> drained"}
    (drain,) = result["drains"]
    assert (drain["node"], drain["empty"], drain["left"], drain["staying"]) == ("node1", True, [], [])
    assert [(one["vm"], one["to"]) for one in drain["moved"]] == [("a", "node2"), ("b", "node2")]
    assert all(one["seconds"] >= 0 for one in drain["moved"])
    assert [(one["vm"], one["to"]) for one in would["drains"][0]["left"]] == [("a", "node2"), ("b", "node2")]
    assert not would["drains"][0]["empty"]
    assert again["drains"] == [{"node": "node1", "empty": True, "left": [], "moved": [], "staying": []}]


def test_a_drain_that_cannot_end_says_what_is_in_the_way(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
        cluster.ok(vm, {"name": "off", "memory": 64, "node": "node1", "state": "disabled"})
        result = cluster.run(node, {"name": "node1", "state": "drained", "wait_timeout": 60})
        assert result["failed"]
        assert result["changed"]
        assert (
            "not all can be moved: vm a: node1 is drained, but it is bound to node1 by its option node" in result["msg"]
        )
        assert "off" not in result["msg"].replace("option", "")
        (drain,) = result["drains"]
        assert not drain["empty"]
        assert [(one["vm"], one["to"]) for one in drain["left"]] == [("a", None)]
        assert drain["staying"] == [{"vm": "off", "why": "it is disabled"}]
        cluster.ok(vm, {"name": "a", "state": "absent"})
        result = cluster.ok(node, {"name": "node1", "state": "drained"})
        assert not result["changed"]
        assert "VM off stays on node1: it is disabled." in warnings(result)


def test_a_drain_takes_too_long(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
        cluster.ok(vm, {"name": "a", "node": ""})
        unwaited = cluster.ok(node, {"name": "node1", "state": "maintenance", "wait": False})
        result = cluster.run(node, {"name": "node1", "state": "maintenance", "wait_timeout": 0})
        shown = cluster.ok(node_info, {})["drains"]
    assert unwaited["node"]["vms"] == ["a"]
    assert "not empty within 0 s: no agent leads, so nothing is moved; vm a has yet to reach node2" in result["msg"]
    assert [(one["vm"], one["to"]) for one in result["drains"][0]["left"]] == [("a", "node2")]
    assert [{**one, "moved": []} for one in shown] == result["drains"]


def test_nothing_is_waited_for_that_will_not_happen(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
        cluster.ok(vm, {"name": "a", "node": ""})
        cluster.ok(settings, {"maintenance": True})
        result = cluster.run(node, {"name": "node1", "state": "drained", "wait_timeout": 60})
        assert "vm a: the cluster is in maintenance, and so nothing is moved" in result["msg"]


def test_a_vm_that_may_not_be_moved_blocks_a_drain_and_is_named(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1", "migration": {"method": "none"}})
        cluster.ok(vm, {"name": "a", "node": ""})
        result = cluster.run(node, {"name": "node1", "state": "drained", "wait_timeout": 60})
        assert "vm a: node1 is drained, but its migration.method is none, so that it is not moved" in result["msg"]


def test_what_was_moved_away_is_waited_for_when_its_home_takes_vms_again(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node2"})
        cluster.ok(vm, {"name": "a", "node": ""})
        home(cluster, "a", "node1")
        result = cluster.run(node, {"name": "node1", "state": "ready", "wait_timeout": 0})
        assert "not all VMs have returned within 0 s: no agent leads, so nothing is moved; vm a: it is" in result["msg"]
        cluster.ok(settings, {"maintenance": True})
        result = cluster.ok(node, {"name": "node1", "state": "ready", "wait_timeout": 60})
        assert "VM a has not returned: the cluster is in maintenance" in warnings(result)


def test_vms_that_are_not_to_return_forget_their_home(cluster: Cluster, agents: Agents) -> None:
    options = {"name": "node1", "state": "ready", "return_vms": False}
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node2"})
        home(cluster, "a", "node1")
        check = cluster.ok(node, options, check=True)
        real = cluster.ok(node, options)
        assert (check["changed"], check["diff"]) == (real["changed"], real["diff"])
        assert real["why"] == {"node1": "a does not return"}
        assert cluster.ok(vm_info, {})["vms"][0]["claim"]["home"] is None
        assert not cluster.ok(node, options)["changed"]


def home(cluster: Cluster, name: str, home: str) -> None:
    """A VM was moved away from its home."""
    znode = cluster.store.get(paths.claim(name))
    assert znode
    claim = replace(decode(Claim, znode.data), home=home)
    cluster.store.commit([Set(paths.claim(name), encode(claim), znode.version)])


def test_the_last_node_that_takes_vms_is_not_drained_while_vms_run_there(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
        cluster.ok(vm, {"name": "off", "memory": 64, "node": "node1", "state": "stopped"})
        cluster.ok(node, {"name": "node2", "state": "drained"})
        last = {"name": "node1", "state": "maintenance"}
        case = Case({}, "node node1", "state", "the last node that takes VMs (node2 is drained), and a runs there")
        refused(cluster, node, last, case)
        both = {"nodes": [{"name": "node1"}, {"name": "node2"}], "state": "drained"}
        refused(cluster, node, both, case)
        forced = cluster.run(node, {**last, "force": True, "wait_timeout": 60})
        assert forced["changed"]
        assert "not all can be moved: vm a: node1 is in maintenance, but" in forced["msg"]
        cluster.ok(node, {"name": "node1", "state": "ready"})
        cluster.ok(vm, {"name": "a", "state": "stopped"})
        assert cluster.ok(node, {**last, "wait": False})["changed"], "nothing runs that could be lost"


def test_a_node_that_does_not_exist_is_not_drained(cluster: Cluster) -> None:
    for state in ("ready", "drained", "maintenance"):
        case = Case({}, "node nod1", "name", "it does not exist")
        refused(cluster, node, {"name": "nod1", "state": state}, case)


def test_vms_return_only_to_nodes_that_take_them(cluster: Cluster) -> None:
    case = Case({}, "node node1", "return_vms", "no sense with state drained")
    refused(cluster, node, {"name": "node1", "state": "drained", "return_vms": False}, case)
    refused(cluster, node, {"name": "node1", "return_vms": True}, case._replace(words="no sense with state present"))


def test_states_of_a_node_that_is_down_or_fenced(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
    down = "Node node1 is down: its agent has no session"
    assert f"{down}: it takes no VM until that is over." in warnings(
        cluster.ok(node, {"name": "node1", "state": "ready"})
    )
    result = cluster.run(node, {"name": "node1", "state": "maintenance", "force": True, "wait_timeout": 0})
    assert f"{down}: nothing moves from it" in warnings(result)
    assert "vm a: node1 is down: its agent has no session" in result["msg"]
    fence = replace(FENCE, state="proven", proven_by="storage_cut", waiting={"a": "no node can take it"})
    cluster.store.commit([Create(paths.fence("node1"), encode(fence))])
    result = cluster.run(node, {"name": "node1", "state": "maintenance", "wait_timeout": 60})
    assert "not all can be moved: vm a: no node can take it" in result["msg"]


def test_a_drain_that_leaves_no_room_for_a_loss_warns(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node1"})
        cluster.ok(vm, {"name": "a", "node": ""})
        result = cluster.ok(node, {"name": "node2", "state": "drained"}, check=True)
    assert "While it takes no VMs: node1 is the only node left that takes VMs" in warnings(result)


def test_a_drained_node_takes_no_vm(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(node, {"name": "node1", "state": "drained"})
        assert cluster.ok(vm, {"name": "a", "memory": 64})["vm"]["claim"]["node"] == "node2"
        cluster.ok(node, {"name": "node1", "memory_reserve": 2048})
        assert cluster.ok(node_info, {"state": "drained"})["nodes"][0]["name"] == "node1", "present leaves it drained"
        assert cluster.ok(node, {"name": "node1", "state": "ready"})["changed"]


# --- what is shown of fenced nodes --------------------------------------------------------------------------------------


def test_a_fenced_node_and_its_vms_say_so(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "a", "memory": 64, "node": "node2"})
    held = replace(FENCE, state="held", why="its session has ended; two nodes went at once")
    cluster.store.commit([Create(paths.fence("node2"), encode(held))])
    text = "node2 is gone, but nothing is done about it: its session has ended; two nodes went at once"
    for module, key in ((node_info, "nodes"), (vm_info, "vms"), (cluster_info, "cluster")):
        result = cluster.ok(module, {})
        assert f"{text}. Its VMs are not recovered." in warnings(result), key
    assert cluster.ok(vm_info, {})["vms"][0]["waiting"] == text
    fenced = cluster.ok(node_info, {"names": ["node2"]})["nodes"][0]["fenced"]
    assert (fenced["state"], fenced["sentence"]) == ("held", f"{text}.")
    health = cluster.ok(cluster_info, {"nodes": ["node2"]})["cluster"]
    assert health["fenced"][0]["node"] == "node2"
    assert f"node2: {text.removeprefix('node2 ')}" in health["why"]


def test_who_leads(cluster: Cluster, agents: Agents) -> None:
    nobody = "agents: none of them leads, so that no node is fenced and no VM recovered or moved"
    with agents():
        assert cluster.ok(cluster_info, {})["cluster"]["leader"] is None
        assert nobody not in cluster.ok(cluster_info, {})["cluster"]["why"], (
            "a cluster without coordinators has no leader"
        )
        cluster.ok(node, {"name": "node1", "coordinator": True})
        assert nobody in cluster.ok(cluster_info, {"services": ["agents"]})["cluster"]["why"]
        later = threading.Timer(0.2, with_leader, [cluster, "node1"])
        later.start()
        shown: dict[str, Any] = cluster.ok(cluster_info, {"wait_timeout": 60})["cluster"]
        later.join()
    assert (shown["leader"], shown["healthy"], shown["maintenance"]) == ("node1", True, False)


def with_leader(cluster: Cluster, name: str) -> None:
    cluster.store.commit([Create(paths.LEADER, encode(Leader(name, "instance")), ephemeral=True)])
