# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole document as one plan: order, marks, pruning, everything that is refused at once."""

from __future__ import annotations

from typing import Any

import pytest

from pvc_state.commit import Committed, commit_nodes
from pvc_state.document import read
from pvc_state.document_report import lines, report
from pvc_state.errors import InvalidRequest, PvcError
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan_document import Draft, Wishes, plan_document
from pvc_state.snapshot import load
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster


def vm(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "memory": "512M", "disks": [{"size": "1G"}], "nics": [{"bridge": "br0"}], **options}


def draft(cluster: Cluster, data: dict[str, Any], **wishes: Any) -> Draft:
    return plan_document(cluster.snapshot, read(data), Wishes(**wishes))


def apply(cluster: Cluster, data: dict[str, Any], **wishes: Any) -> Committed:
    document = read(data)
    return commit_nodes(cluster.store, lambda snapshot: plan_document(snapshot, document, Wishes(**wishes)).sound())


def test_one_transaction_for_all_kinds(cluster: Cluster) -> None:
    data = {
        "cluster": "lab",
        "settings": {"placement": "fewest_vms"},
        "nodes": [{"name": "node1", "memory_reserve": "2G"}, {"name": "node3"}],
        "rules": [{"name": "both", "kind": "apart", "vms": ["web1", "web2"]}],
        "vms": [vm("web1"), vm("web2")],
    }
    done = apply(cluster, data)
    assert [(change.kind, change.name) for change in done.plan.changes] == [
        ("node", "node1"), ("node", "node3"), ("settings", ""), ("rule", "both"), ("vm", "web1"), ("vm", "web2"),
    ]  # fmt: skip
    after = cluster.snapshot
    assert after.policy.placement == "fewest_vms"
    assert {after.owner("web1"), after.owner("web2")} == {"node1", "node2"}, "the new rule holds for the new VMs"
    assert not apply(cluster, data).plan.changed, "twice is once"


def test_a_tree_that_is_not_made_yet() -> None:
    store = MemoryEnsemble().connect()
    data = {"cluster": "new", "nodes": [{"name": "node1"}], "settings": {"maintenance": True}}
    commit_nodes(store, lambda snapshot: plan_document(snapshot, read(data)).sound())
    snapshot = load(store)
    assert (snapshot.schema.cluster, list(snapshot.nodes), snapshot.policy.maintenance) == ("new", ["node1"], True)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"nodes": [{"name": "node1"}]}, "cluster: it is missing"),
        ({"cluster": "new", "settings": {"maintenance": True}}, "nodes: it is missing"),
    ],
)
def test_what_a_new_tree_needs(data: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        plan_document(None, read(data)).sound()


def test_another_cluster_is_left_alone(cluster: Cluster) -> None:
    with pytest.raises(InvalidRequest, match="it is for cluster other, and this is cluster lab"):
        draft(cluster, {"cluster": "other"})


def test_everything_that_is_refused_is_told_at_once_and_nothing_is_done(cluster: Cluster) -> None:
    data = {
        "nodes": [{"name": "node9", "state": "ready"}],
        "settings": {"storm_limit": 2},
        "rules": [{"name": "r", "kind": "apart", "vms": ["web1", "nobody"]}],
        "vms": [vm("web1"), vm("web2", memory="900G"), vm("web3", nics=[{"bridge": "br9"}]), vm("web4", memory="1X")],
    }
    found = draft(cluster, data)
    assert {error.obj for error in found.refused} == {
        "node node9",
        "settings",
        "rule r",
        "vm web2",
        "vm web3",
        "vm web4",
    }
    assert all(error.problem and error.remedy for error in found.refused)
    assert [change.name for change in found.plan.changes] == ["web1"], "the others are planned all the same"
    before = cluster.snapshot
    with pytest.raises(PvcError, match="things are refused"):
        apply(cluster, data)
    assert cluster.snapshot == before


def test_the_mark_and_pruning(cluster: Cluster) -> None:
    apply(cluster, {"vms": [vm("mine"), vm("free")]})
    rules = [{"name": "r", "kind": "node_preference", "vms": ["mine"], "nodes": [{"name": "node1"}]}]
    apply(cluster, {"document": "site", "rules": rules, "vms": [vm("mine"), vm("other")]})
    assert [cluster.vm(name).document for name in ("mine", "free", "other")] == ["site", "", "site"]
    apply(cluster, {"document": "site", "vms": [vm("mine")]})
    assert cluster.vm("other").state == "started", "nothing goes unless prune is asked for"
    done = apply(cluster, {"document": "site", "vms": [vm("mine")]}, prune=True)
    assert [(change.name, change.after) for change in done.plan.changes] == [("r", None), ("other", None)]
    assert (cluster.vm("other").state, cluster.vm("other").delete_volumes) == ("absent", False)
    assert cluster.vm("free").state == "started"
    apply(cluster, {"document": "site"}, prune=True, prune_volumes=True)
    assert (cluster.vm("mine").state, cluster.vm("mine").delete_volumes) == ("absent", True)


def test_pruning_needs_a_name(cluster: Cluster) -> None:
    with pytest.raises(InvalidRequest, match="nothing can be told to be its own"):
        draft(cluster, {"vms": []}, prune=True)


def test_what_belongs_to_another_document_is_left_alone(cluster: Cluster) -> None:
    apply(cluster, {"document": "site", "vms": [vm("web1")]})
    (error,) = draft(cluster, {"document": "lab", "vms": [vm("web1", memory="1G")]}).refused
    assert (error.obj, error.problem) == ("vm web1", "it belongs to the document site")
    apply(cluster, {"vms": [vm("web1", memory="1G")]})
    assert (cluster.vm("web1").memory, cluster.vm("web1").document) == (1024, "site"), (
        "one without a name may change it"
    )


def test_an_object_may_be_taken_over(cluster: Cluster) -> None:
    apply(cluster, {"document": "site", "vms": [vm("web1"), vm("web2")]})
    apply(cluster, {"document": "lab", "vms": [{"name": "web1", "document": "lab"}]})
    apply(cluster, {"vms": [{"name": "web2", "document": ""}]})
    assert [cluster.vm(name).document for name in ("web1", "web2")] == ["lab", ""]


def test_a_node_goes_after_what_was_on_it(cluster: Cluster) -> None:
    cluster.agents["node2"].die()
    data = {"nodes": [{"name": "node2", "state": "absent"}, {"name": "node1", "memory_reserve": "2G"}]}
    assert [change.name for change in draft(cluster, data).plan.changes] == ["node1", "node2"]


def test_the_report_says_what_happens_in_words(cluster: Cluster) -> None:
    apply(cluster, {"vms": [vm("web1"), vm("web2", state="stopped")]})
    cluster.agents[cluster.snapshot.owner("web1") or ""].observe("web1", "running")
    there = cluster.snapshot.owner("web1")
    data = {
        "nodes": [{"name": there, "state": "drained"}],
        "vms": [
            vm("web1", machine="q35", ha={"priority": 5}),
            vm("web2", state="absent"),
            vm("new"),
            vm("no", memory="9T"),
        ],
    }
    found = report(draft(cluster, data))
    assert (
        found["summary"] == "Plan: 1 to create, 2 to change, 1 to delete, 1 to move, 1 to restart by hand, 1 refused."
    )
    assert found["changes"][1]["fields"] == [
        {"field": "machine", "before": "", "after": "q35"},
        {"field": "ha.priority", "before": 0, "after": 5},
    ]
    text = "\n".join(lines(found))
    for words in ("+ vm new: created on", "~ vm web1\n    machine: none -> q35", "- vm web2: deleted", f"> vm web1: {there} ->",
                  "~ vm web1 needs a restart for: machine", "! vm no"):  # fmt: skip
        assert words in text
    assert report(draft(cluster, {}))["summary"] == "Nothing to change."
