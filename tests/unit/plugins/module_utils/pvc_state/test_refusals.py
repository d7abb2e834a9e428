# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every request that is refused, with the whole text that its user reads."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from pvc_state import paths
from pvc_state.errors import DamagedRecord, InvalidRequest
from pvc_state.records import Boot
from pvc_state.requests import DiskRequest, NicRequest, VmRequest
from pvc_state.store import Delete
from tests.unit.plugins.module_utils.pvc_state.builders import GIB, Cluster, request

NAME_RULE = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends"
RBD_RULE = "use 1 to 128 of letters, digits, _ . and -, with a letter, digit or _ first"


def refused(cluster: Cluster, *requests: VmRequest, error: type[Exception] = InvalidRequest) -> str:
    before = cluster.snapshot
    with pytest.raises(error) as info:
        cluster.apply(*requests)
    assert cluster.snapshot == before
    return str(info.value)


@pytest.mark.parametrize("name", ["", "Web1", "web_1", "-web", "web-", "a" * 64, "a/b", "..", "web1\n", "wéb", 5, None])
def test_a_name_is_a_label(cluster: Cluster, name: Any) -> None:
    assert refused(cluster, request(name)) == f"vm {name}, name: {name!r} is no valid name; {NAME_RULE}"


@pytest.mark.parametrize("name", ["a", "0", "a-b", "a" * 63])
def test_names_that_are_fine(cluster: Cluster, name: str) -> None:
    assert cluster.plan(request(name)).changed


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"memory": 0}, "memory: 0 is not possible; give a whole number from 16 to 16777216 MiB"),
        ({"memory": -5}, "memory: -5 is not possible; give a whole number from 16 to 16777216 MiB"),
        ({"memory": 1.5}, "memory: 1.5 is not possible; give a whole number from 16 to 16777216 MiB"),
        ({"memory": True}, "memory: True is not possible; give a whole number from 16 to 16777216 MiB"),
        ({"vcpus": 0}, "vcpus: 0 is not possible; give a whole number from 1 to 512"),
        ({"shutdown_timeout": 0}, "shutdown_timeout: 0 is not possible; give a whole number from 1 to 86400 seconds"),
        (
            {"state": "running"},
            "state: 'running' is not possible; give one of started, stopped, disabled, ignored, absent",
        ),
        ({"node": "Node1"}, f"node: 'Node1' is no valid name; {NAME_RULE}"),
        (
            {"description": "a\x00b"},
            "description: it is no plain text; give at most 1024 characters, none of them a control character",
        ),
        (
            {"description": "a" * 1025},
            "description: it is no plain text; give at most 1024 characters, none of them a control character",
        ),
        (
            {"tags": ["ok", "not ok"]},
            "tags[1]: 'not ok' is not possible; "
            "use 1 to 63 of letters, digits, _ . : = and -, with a letter or digit first",
        ),
        ({"tags": ["a"] * 65}, "tags: 65 are too many; give at most 64"),
        ({"disks": [DiskRequest(GIB)] * 25}, "disks: 25 are too many; give at most 24"),
        ({"disks": [DiskRequest(GIB, "a b")]}, f"disks[0].pool: 'a b' is not possible; {RBD_RULE}"),
        ({"disks": [DiskRequest(GIB, "vms", "a/b")]}, f"disks[0].volume: 'a/b' is not possible; {RBD_RULE}"),
        (
            {"disks": [DiskRequest(0)]},
            "disks[0].size: 0 is not possible; give a whole number from 1048576 to 1152921504606846976 bytes",
        ),
        ({"nics": [NicRequest("br0")] * 17}, "nics: 17 are too many; give at most 16"),
        (
            {"nics": [NicRequest("a-bridge-of-16-ch")]},
            "nics[0].bridge: 'a-bridge-of-16-ch' is not possible; "
            "give the name of a bridge device, at most 15 characters",
        ),
        (
            {"nics": [NicRequest("br0", "01:00:00:00:00:01")]},
            "nics[0].mac: '01:00:00:00:00:01' is not possible; "
            "give a unicast address such as 02:12:34:56:78:9a, or leave it out",
        ),
        (
            {"nics": [NicRequest("br0", model="rtl")]},
            "nics[0].model: 'rtl' is not possible; give one of virtio, e1000e",
        ),
        (
            {"boot": Boot("vmlinuz")},
            "boot.kernel: 'vmlinuz' is no absolute path; give the path of a file on the node",
        ),
        (
            {"boot": Boot(cmdline="quiet")},
            "boot.kernel: it is missing; name the kernel that initrd and cmdline are for",
        ),
        ({"delete_volumes": True}, "delete_volumes: it is only for state absent; leave it out"),
    ],
    ids=str,
)
def test_options_that_are_wrong_by_themselves(cluster: Cluster, options: dict[str, Any], text: str) -> None:
    assert refused(cluster, request(**options)) == f"vm web1, {text}"
    cluster.apply(request())
    assert refused(cluster, VmRequest("web1", **options)) == f"vm web1, {text}"


def test_a_new_vm_needs_memory(cluster: Cluster) -> None:
    text = refused(cluster, VmRequest("web1"))
    assert text == "vm web1, memory: it is missing; a new VM needs its memory in MiB"


def test_a_list_names_each_vm_once(cluster: Cluster) -> None:
    text = refused(cluster, request("a"), request("b"), request("a"))
    assert text == "vm a, name: it is in the list twice; name each VM once"


# --- placement ------------------------------------------------------------------------------------------------------


def test_no_room_says_so_for_every_node(cluster: Cluster) -> None:
    cluster.agents["node2"].die()
    assert refused(cluster, request(memory=4096)) == (
        "vm web1: no node can take it: node1 has 3072 MiB free, 4096 are needed, "
        "node2 is down: its agent has no session; free memory, add a node, or ask for less"
    )


def test_the_requests_of_one_plan_share_the_room(cluster: Cluster) -> None:
    text = refused(cluster, *(request(f"vm{index}", memory=2048) for index in range(3)))
    assert text.startswith("vm vm2: no node can take it: node1 has 1024 MiB free, 2048 are needed, node2 has 1024")


def test_a_cluster_without_nodes_takes_nothing() -> None:
    cluster = Cluster(nodes=1)
    cluster.store.commit([Delete("/nodes/node1", 0)])
    text = refused(cluster, request())
    assert text == "vm web1: no node can take it: the cluster has no nodes; free memory, add a node, or ask for less"


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (lambda cluster: None, "node node9 is not part of the cluster"),
        (lambda cluster: cluster.agents["node2"].die(), "node node2 is down: its agent has no session"),
        (
            lambda cluster: cluster.store.commit([Delete("/status/node2", 0)]),
            "node node2 has not reported yet: is its agent running?",
        ),
        (
            lambda cluster: cluster.overwrite("/status/node2", b"?"),
            "node node2 has a damaged status (no JSON: Expecting value: line 1 column 1 (char 0))",
        ),
        (
            lambda cluster: cluster.overwrite("/nodes/node2", b"[]"),
            "node node2 has a damaged record (record is no object)",
        ),
        (
            lambda cluster: cluster.agents["node2"].report(lambda status: dataclasses.replace(status, memory=1500)),
            "node node2 has 476 MiB free, 512 are needed",
        ),
        (
            lambda cluster: cluster.agents["node2"].report(lambda status: dataclasses.replace(status, pools=())),
            "node node2 does not reach pool vms",
        ),
        (
            lambda cluster: cluster.agents["node2"].report(lambda status: dataclasses.replace(status, bridges=())),
            "node node2 has no bridge br0",
        ),
    ],
    ids=["unknown", "dead", "silent", "damaged-status", "damaged-record", "full", "no-pool", "no-bridge"],
)
def test_a_node_that_is_asked_for_must_be_fit(cluster: Cluster, harm: Any, text: str) -> None:
    harm(cluster)
    node = "node9" if "node9" in text else "node2"
    expected = f"vm web1, node: {text}; name another node, or none to have one chosen"
    assert refused(cluster, request(node=node)) == expected
    cluster.apply(request(state="stopped", node="node1"))
    expected = f"vm web1, node: {text}; name another node"
    assert refused(cluster, VmRequest("web1", node=node)) == expected


def test_a_pool_that_nobody_has_is_an_error_of_the_option(cluster: Cluster) -> None:
    text = refused(cluster, request(disks=[DiskRequest(GIB), DiskRequest(GIB, "ssd")]))
    assert text == "vm web1, disks[1].pool: no live node reaches a pool ssd; give one of vms"
    cluster.apply(request())
    text = refused(cluster, VmRequest("web1", disks=[DiskRequest(), DiskRequest(GIB, "ssd")]))
    assert text == "vm web1, disks[1].pool: no live node reaches a pool ssd; give one of vms"


def test_a_bridge_that_nobody_has_is_an_error_of_the_option(cluster: Cluster) -> None:
    text = refused(cluster, request(nics=[NicRequest("br7")]))
    assert text == "vm web1, nics[0].bridge: no live node has a bridge br7; give one of br0"


def test_new_hardware_must_be_had_where_the_vm_is(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node2"].report(lambda status: dataclasses.replace(status, bridges=("br0", "br1")))
    text = refused(cluster, VmRequest("web1", nics=[NicRequest("br1")]))
    assert text == "vm web1, nics: node node1 has no bridge br1; name what the VM's node has"


def test_a_vm_cannot_outgrow_its_node(cluster: Cluster) -> None:
    cluster.apply(request(), request("other", memory=2048, node="node1"))
    text = refused(cluster, VmRequest("web1", memory=2048))
    assert text == (
        "vm web1, memory: node node1 has 512 MiB free, 1536 more are needed; give at most 1024, or free memory on node1"
    )
    assert cluster.plan(VmRequest("web1", memory=1024)).changed


def test_a_vm_of_a_dead_node_cannot_grow(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].die()
    assert refused(cluster, VmRequest("web1", memory=1024)) == (
        "vm web1, node: node node1 is down: its agent has no session; "
        "change memory, disks and nics once the node is back"
    )


def test_a_vm_that_is_left_alone_does_not_move(cluster: Cluster) -> None:
    cluster.apply(request())
    text = refused(cluster, VmRequest("web1", state="ignored", node="node2"))
    assert text == (
        "vm web1, node: it belongs to node1, and its state is ignored, so that it is left where it is; "
        "give it another state first"
    )


# --- uniqueness -----------------------------------------------------------------------------------------------------


def test_a_volume_has_one_user(cluster: Cluster) -> None:
    cluster.apply(request("a"))
    text = refused(cluster, request("b", disks=[DiskRequest(volume="a-disk0")]))
    assert text == "vm b, disks[0].volume: volume vms/a-disk0 is used by vm a; name another volume"
    shared = [DiskRequest(GIB, volume="shared")]
    assert "used by vm c" in refused(cluster, request("c", disks=shared), request("d", disks=shared))
    twice = [DiskRequest(GIB, volume="x"), DiskRequest(GIB, volume="x")]
    assert "used by another disk of this VM" in refused(cluster, request("e", disks=twice))


def test_a_volume_given_up_is_free_only_in_the_next_plan(cluster: Cluster) -> None:
    cluster.apply(request("a", state="stopped"))
    cluster.agents["node1"].observe("a", "stopped")
    drop = VmRequest("a", disks=[DiskRequest(GIB, volume="other")])
    take = request("b", disks=[DiskRequest(volume="a-disk0")])
    assert "used by vm a" in refused(cluster, drop, take)
    cluster.apply(drop)
    assert cluster.apply(take).plan.changed


def test_a_deleted_vm_uses_its_volumes_until_it_is_gone(cluster: Cluster) -> None:
    cluster.apply(request("a"))
    cluster.apply(VmRequest("a", state="absent"))
    take = request("b", disks=[DiskRequest(volume="a-disk0")])
    assert "used by vm a" in refused(cluster, take)
    cluster.agents["node1"].remove("a")
    assert cluster.apply(take).plan.changed


def test_an_address_has_one_user(cluster: Cluster) -> None:
    nic = NicRequest("br0", "02:00:00:00:00:01")
    cluster.apply(request("a", nics=[nic]))
    text = refused(cluster, request("b", nics=[nic]))
    assert text == "vm b, nics[0].mac: 02:00:00:00:00:01 is used by vm a; give another address, or none"
    other = NicRequest("br0", "02:00:00:00:00:02")
    assert "used by another interface of this VM" in refused(cluster, request("b", nics=[other, other]))


# --- disks ----------------------------------------------------------------------------------------------------------


def test_a_disk_does_not_shrink(cluster: Cluster) -> None:
    cluster.apply(request())
    assert refused(cluster, VmRequest("web1", disks=[DiskRequest(GIB // 2)])) == (
        f"vm web1, disks[0].size: volume vms/web1-disk0 has {GIB} bytes and cannot shrink; "
        f"give at least {GIB}, or leave the size out"
    )


def test_a_disk_attached_as_it_was_gets_no_size(cluster: Cluster) -> None:
    cluster.apply(request(disks=[DiskRequest(volume="golden")]))
    text = refused(cluster, VmRequest("web1", disks=[DiskRequest(GIB, volume="golden")]))
    assert text.endswith("volume vms/golden was attached as it was, without a size; leave the size out")


# --- deletion and damage --------------------------------------------------------------------------------------------


def test_a_deletion_takes_no_other_options(cluster: Cluster) -> None:
    cluster.apply(request())
    text = refused(cluster, VmRequest("web1", state="absent", memory=512))
    assert text == "vm web1, memory: it makes no sense with state absent; leave it out"


def test_a_vm_that_is_being_deleted_takes_no_requests(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", state="absent"))
    for again in (request(), VmRequest("web1", vcpus=2)):
        text = refused(cluster, again)
        assert text == "vm web1, state: it is being deleted; wait until it is gone, then create it again"


def test_a_claim_of_a_node_that_is_gone_stops_everything(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.store.commit([Delete("/nodes/node1", 0)])
    for change in (VmRequest("web1", state="absent"), VmRequest("web1", description="x")):
        assert refused(cluster, change) == (
            "vm web1: its claim is held by node1, which is no longer part of the cluster; declare node node1 again"
        )


@pytest.mark.parametrize("state", ["started", "absent"])
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (paths.vm("web1"), "no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (paths.claim("web1"), "no JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    ],
)
def test_a_damaged_record_is_named_with_its_remedy(cluster: Cluster, path: str, reason: str, state: str) -> None:
    cluster.apply(request(), request("fine"))
    cluster.overwrite(path, b"{damaged")
    assert refused(cluster, VmRequest("web1", state=state), error=DamagedRecord) == (
        f"vm web1: {path} holds no valid record: {reason}; restore it, "
        "or delete /vms/web1, /claims/web1 and /assigned/NODE/web1 once no node runs the VM"
    )
    assert cluster.plan(VmRequest("fine", vcpus=2), request("new")).changed


def test_a_lost_claim_is_damage_too(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.store.commit([Delete(paths.claim("web1"), 0)])
    text = refused(cluster, VmRequest("web1", vcpus=2), error=DamagedRecord)
    assert text.startswith("vm web1: /claims/web1 holds no valid record: the znode does not exist; restore it")
