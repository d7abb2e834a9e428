# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a VM or a node is as it is: told by those who decide."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.commit import commit
from pvc_state.health import judge
from pvc_state.load_report import load_view
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_rules import plan_rules
from pvc_state.records import Fence
from pvc_state.requests import NodeRequest, RuleRequest
from pvc_state.store import Create
from pvc_state.why_report import why_node, why_vm
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster(nodes=3)
    made.apply(request("web1", node="node1"), request("web2"))
    made.agents["node1"].observe("web1", "running")
    return made


def drain(cluster: Cluster, node: str) -> None:
    commit(cluster.store, lambda snapshot: plan_nodes(snapshot, [NodeRequest(node, state="drained")], "lab"))


def fence(cluster: Cluster) -> None:
    cluster.agents["node1"].die()
    record = Fence(id="node1-1-1", state="held", why="too many nodes are gone", since="2026-01-31T03:00:12Z")
    cluster.store.commit([Create(paths.fence("node1"), encode(record))])


@pytest.mark.parametrize(
    ("happens", "late"),
    [
        (lambda cluster: None, ""),
        (lambda cluster: cluster.agents["node1"].die(), "node1 is down: its agent has no session"),
        (fence, "node1 is gone since 2026-01-31T03:00:12Z, but nothing is done about it: too many nodes are gone"),
        (
            lambda cluster: cluster.overwrite(paths.vm("web1"), b"{}"),
            "it has a damaged record (record lacks field memory)",
        ),
        (lambda cluster: cluster.overwrite(paths.claim("web1"), b"{}"), "it has no claim that can be read"),
        (
            lambda cluster: cluster.agents["node1"].observe("web1", "backoff", reason="its volume is missing"),
            "it is backoff on node1 (its volume is missing)",
        ),
    ],
    ids=["as wanted", "node down", "fence held", "record damaged", "claim damaged", "not started"],
)
def test_what_a_vm_waits_for(cluster: Cluster, happens: Callable[[Cluster], None], late: str) -> None:
    happens(cluster)
    told = why_vm(cluster.snapshot, "web1")
    assert told["late"] == late
    assert told["settled"] == (not late)


def test_where_a_vm_would_go_and_what_speaks_against_each_node(cluster: Cluster) -> None:
    cluster.agents["node3"].die()
    apart = RuleRequest("apart", kind="apart", vms=("web1", "web2"))
    commit(cluster.store, lambda snapshot: plan_rules(snapshot, [apart]))
    told = why_vm(cluster.snapshot, "web2")
    assert told["rules"] == ["apart"]
    assert told["placement"]["node"] == "node2"
    assert told["placement"]["against"] == {
        "node1": "has web1, from which rule apart keeps it apart",
        "node3": "is down: its agent has no session",
    }
    bound = why_vm(cluster.snapshot, "web1")
    assert (bound["here"], bound["placement"]["node"]) == ("bound to it by its option node", "node1")


def test_what_the_leader_makes_of_it(cluster: Cluster) -> None:
    home = cluster.snapshot.owner("web2")
    assert home is not None
    cluster.agents[home].observe("web2", "running")
    assert why_vm(cluster.snapshot, "web2")["leader"] == {"to": None, "why": "", "blocked": ""}
    drain(cluster, "node1")
    told = why_vm(cluster.snapshot, "web1")["leader"]
    assert told["to"] is None
    assert told["blocked"] == "node1 is drained, but it is bound to node1 by its option node"
    drain(cluster, home)
    wish = why_vm(cluster.snapshot, "web2")["leader"]
    assert wish["to"] not in (None, home)
    assert wish["why"].startswith(f"{home} is drained")


def test_why_a_node_is_not_empty(cluster: Cluster) -> None:
    assert why_node(judge(cluster.snapshot, "node1"), "node1")["drain"] is None
    drain(cluster, "node1")
    told = why_node(judge(cluster.snapshot, "node1"), "node1")
    assert (told["state"], told["closed"], told["leading"]) == ("drained", "is drained", True)
    (left,) = told["drain"]["left"]
    assert (left["vm"], left["to"]) == ("web1", None)
    assert "bound to node1" in left["why"]


def test_the_load_of_a_node_that_is_gone_is_not_known(cluster: Cluster) -> None:
    cluster.agents["node1"].observe("web1", "running", load=0.5, load_memory=64)
    (web1,) = load_view(cluster.snapshot)["vms"]
    assert (web1["name"], web1["load"], web1["load_memory"]) == ("web1", 0.5, 64)
    cluster.agents["node1"].die()
    node1 = load_view(cluster.snapshot)["nodes"][0]
    assert (node1["alive"], node1["load"], node1["load_memory"], node1["closed"]) == (
        False,
        None,
        None,
        "is down: its agent has no session",
    )
