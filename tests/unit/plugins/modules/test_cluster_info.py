# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cluster_info shows and waits for, on either store."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Delete
from ansible_collections.pvc.cluster.plugins.modules import cluster_info, node

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options

DEAD = "its agent has no session: the machine is down or cut off, or pvc-node-agent does not run on it"


def test_a_healthy_cluster(cluster: Cluster, agents: Agents) -> None:
    with agents():
        before = cluster.dump()
        for check in (False, True):
            result = cluster.ok(cluster_info, {}, check=check)
            assert not result["changed"]
            assert result["cluster_name"] == "lab"
            shown = result["cluster"]
            assert (shown["healthy"], shown["why"]) == (True, [])
            leaders = [shown[kind]["leader"] for kind in ("zookeeper", "patroni", "ceph")]
            assert leaders == ["node1"] * 3
            assert [agent["version"] for agent in shown["agents"]] == ["0.1.0", "0.1.0"]
        assert cluster.dump() == before


def test_agents_that_do_not_run(cluster: Cluster, agents: Agents) -> None:
    assert cluster.ok(cluster_info, {})["cluster"]["why"] == [f"node1: {DEAD}", f"node2: {DEAD}"]
    with agents():
        pass
    shown = cluster.ok(cluster_info, {})["cluster"]
    assert shown["why"][0] == f"node1: {DEAD}; nothing is known of its ZooKeeper, Patroni, Ceph, FRR"
    assert all(member["stale"] for member in shown["zookeeper"]["members"])


@pytest.mark.parametrize(
    ("options", "healthy"),
    [
        ({"services": ["zookeeper"]}, False),
        ({"services": []}, True),
        ({"nodes": []}, True),
        ({"nodes": ["node2"]}, False),
        ({"only_unhealthy": True}, False),
    ],
)
def test_filters(cluster: Cluster, options: Options, healthy: bool) -> None:
    assert cluster.ok(cluster_info, options)["cluster"]["healthy"] == healthy


def test_it_waits_for_what_is_asked_for(cluster: Cluster, agents: Agents) -> None:
    done = threading.Event()

    def come_back() -> None:
        with agents():
            assert done.wait(60)

    later = threading.Timer(0.2, come_back)
    later.start()
    try:
        assert cluster.ok(cluster_info, {"wait_timeout": 60})["cluster"]["healthy"]
    finally:
        done.set()
        later.join()


def test_it_does_not_wait_for_ever(cluster: Cluster) -> None:
    result = cluster.run(cluster_info, {"nodes": ["node1"], "wait_timeout": 0})
    assert result["failed"]
    assert result["msg"] == (
        f"the cluster is not healthy after 0 s: node1: {DEAD}; repair what is named, or wait longer"
    )
    assert result["cluster"]["why"] == [f"node1: {DEAD}"]
    assert result["remedy"] == "repair what is named, or wait longer"


def test_a_service_that_does_not_exist_is_refused(cluster: Cluster) -> None:
    result = cluster.run(cluster_info, {"services": ["postgres"]})
    assert result["failed"]
    assert "services" in result["msg"]


def test_a_tree_from_before_there_was_health(cluster: Cluster) -> None:
    znode = cluster.store.get(paths.HEALTH)
    assert znode is not None
    cluster.store.commit([Delete(paths.HEALTH, znode.version)])
    assert cluster.ok(cluster_info, {})["cluster"]["why"] == [f"node1: {DEAD}", f"node2: {DEAD}"]
    assert cluster.ok(node, {"cluster_name": "lab", "name": "node1", "state": "absent"})["changed"]
