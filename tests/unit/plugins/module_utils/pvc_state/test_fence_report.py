# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of fences, word for word: why a node was fenced, and what became of its VMs."""

from __future__ import annotations

import dataclasses
from typing import Any

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.fence_report import fence_views, sentence, summary, waiting, warnings
from pvc_state.history import load_history
from pvc_state.records import Declaration, Evidence, Fence, Past, Settings
from pvc_state.store import Create, Set
from pvc_state.views import node_view, vm_view
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request

CUT = Evidence("storage_cut", "proven", "the monitors have committed it", at="03:00:13", epoch=812)
PROVEN = Fence(
    id="7-1",
    state="proven",
    why="its session has ended",
    evidence=(CUT, Evidence("powered_off", "failed", "bmc does not answer", device="bmc")),
    proven_by="storage_cut",
    epoch=812,
    cut=True,
    since="03:00:12",
    proven_at="03:00:13",
)


def fenced(**changes: Any) -> Fence:
    return dataclasses.replace(PROVEN, **changes)


def test_a_fence_without_vms() -> None:
    assert sentence("node2", PROVEN) == (
        "node2 was fenced at 03:00:12: its session has ended, and it was proven cut off from its storage by Ceph's "
        "osdmap 812 at 03:00:13. It had no VMs to recover."
    )


def test_what_became_of_its_vms() -> None:
    fence = fenced(moves={"web1": "to node1: the most free memory"}, waiting={"db1": "no node has 4096 MiB free."})
    assert sentence("node2", fence).endswith(
        "Its VM went elsewhere (web1 to node1: the most free memory), and one waits (db1: no node has 4096 MiB free)."
    )


def test_many_vms_are_counted() -> None:
    fence = fenced(moves={f"vm{index}": "to node1: room" for index in range(8)})
    assert sentence("node2", fence).endswith(
        "8 of its VMs went elsewhere (vm0 to node1: room; vm1 to node1: room; vm2 to node1: room; "
        "vm3 to node1: room; vm4 to node1: room; and 3 more)."
    )


def test_each_kind_of_proof_in_words() -> None:
    off = (Evidence("powered_off", "proven", "reads off", device="pdu", at="03:00:15"),)
    said = {
        "powered_off": sentence("node2", fenced(proven_by="powered_off", evidence=off, proven_at="")),
        "signed_off": sentence("node2", fenced(proven_by="signed_off", proven_at="")),
        "declared_dead": sentence("node2", fenced(proven_by="declared_dead"), Declaration("7-1", "alice", "unplugged")),
    }
    assert "and it was read powered off by pdu at 03:00:15." in said["powered_off"]
    assert "and it had signed off." in said["signed_off"]
    assert "and it was declared dead by alice (unplugged) at 03:00:13." in said["declared_dead"]


def test_a_fence_without_evidence_yet() -> None:
    fence = fenced(state="collecting", proven_by="", proven_at="", evidence=PROVEN.evidence[1:])
    assert sentence("node2", fence) == (
        "node2 is being fenced since 03:00:12: its session has ended; evidence is being collected; "
        "failed so far: powered_off by bmc: bmc does not answer."
    )


def test_a_fence_that_is_held() -> None:
    fence = Fence("7-1", "held", "the cluster is in maintenance", since="03:00:12")
    text = "node2 is gone since 03:00:12, but nothing is done about it: the cluster is in maintenance."
    assert sentence("node2", fence) == text


def test_a_fence_that_is_over() -> None:
    past = Past("node2", PROVEN, "03:05:00", "the node is back and clean", created=70, changed=72)
    assert sentence("node2", PROVEN, past=past).endswith("The fence ended at 03:05:00: the node is back and clean.")
    early = fenced(proven_by="", state="collecting")
    assert sentence("node2", early, past=dataclasses.replace(past, fence=early, how="it was back at once")) == (
        "node2 was missed at 03:00:12: its session has ended. The fence ended at 03:05:00: it was back at once."
    )


def test_what_stands_comes_first_then_the_newest(cluster: Cluster) -> None:
    cluster.store.commit([Create(paths.history("1-1"), encode(Past("node1", PROVEN, "then", "over", 5, 6)))])
    cluster.store.commit([Create(paths.history("0-9"), encode(Past("node2", PROVEN, "now", "over", 7, 8)))])
    cluster.store.commit([Create(paths.history("x"), b"?"), Create(paths.fence("node2"), encode(PROVEN))])
    cluster.store.commit([Create(paths.declared("node2"), encode(Declaration("7-1", "alice", "unplugged")))])
    fence = cluster.store.get(paths.fence("node2"))
    assert fence
    views = fence_views(cluster.snapshot, load_history(cluster.store))
    assert [(view["node"], view["active"], view["created_zxid"], view["changed_zxid"]) for view in views] == [
        ("node2", True, fence.czxid, fence.mzxid),
        ("", False, None, None),
        ("node2", False, 7, 8),
        ("node1", False, 5, 6),
    ]
    assert "no JSON" in views[1]["damaged"]
    assert views[0]["osdmap_epoch"] == 812
    assert views[0]["declared_dead"] == {"by": "alice", "why": "unplugged", "at": ""}
    assert views[0]["evidence"][1] == {
        "kind": "powered_off",
        "state": "failed",
        "why": "bmc does not answer",
        "device": "bmc",
        "at": "",
        "epoch": None,
    }
    assert len({frozenset(view) for view in views}) == 1


def test_a_damaged_fence_is_shown(cluster: Cluster) -> None:
    cluster.store.commit([Create(paths.fence("node2"), b"?")])
    (view,) = fence_views(cluster.snapshot, load_history(cluster.store))
    assert (view["node"], view["active"], "no JSON" in view["damaged"]) == ("node2", True, True)
    assert "its fence is damaged" in node_view(cluster.snapshot, "node2")["fenced"]["sentence"]
    assert "The fence of node2 is damaged" in warnings(cluster.snapshot)[0]


def test_why_a_vm_waits(cluster: Cluster) -> None:
    cluster.apply(request("web1", node="node2"))
    assert vm_view(cluster.snapshot, "web1")["waiting"] is None
    path = paths.fence("node2")
    cluster.store.commit([Create(path, encode(fenced(state="held", proven_by="", why="a storm")))])
    said = []
    for fence in (PROVEN, fenced(waiting={"web1": "no room"}), fenced(state="lifting")):
        said.append(vm_view(cluster.snapshot, "web1")["waiting"])
        znode = cluster.store.get(path)
        assert znode
        cluster.store.commit([Set(path, encode(fence), znode.version)])
    assert said == [
        "node2 is gone since 03:00:12, but nothing is done about it: a storm",
        "node2 is fenced, and it is about to be given another node",
        "no room",
    ]
    assert waiting(cluster.snapshot, "web1", "node2") == "node2 is back, and its fence is being lifted"
    assert waiting(cluster.snapshot, "web1", "node1") == ""
    assert summary(cluster.snapshot, "node1") is None


def test_what_everybody_must_know(cluster: Cluster) -> None:
    assert warnings(cluster.snapshot) == []
    held = Fence("7-1", "held", "two of three nodes are gone at once")
    cluster.store.commit(
        [
            Create(paths.SETTINGS, encode(Settings(maintenance=True))),
            Create(paths.fence("node1"), encode(PROVEN)),
            Create(paths.fence("node2"), encode(held)),
        ]
    )
    assert warnings(cluster.snapshot) == [
        "The cluster is in maintenance: no node is fenced, and no VM of a dead node is recovered.",
        "node2 is gone, but nothing is done about it: two of three nodes are gone at once. Its VMs are not recovered.",
    ]
