# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is concluded of the cluster's health: tables of what nodes tell, and what holds for everything they may tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.health import LABELS, SERVICES, judge
from pvc_state.health_view import cluster_view
from pvc_state.records import Node, Schema, Service
from pvc_state.snapshot import empty
from pvc_state.wait import NotHealthy, wait_for_health
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped

LONG, SHORT = 30.0, 0.05

LEADS = Service("zookeeper", "zookeeper", "serving", role="leader")
FOLLOWS = Service("zookeeper", "zookeeper", "serving", role="follower")
ALONE = Service("zookeeper", "zookeeper", "serving", role="standalone")
SILENT = Service("zookeeper", "zookeeper", "no answer", healthy=False, why="nothing answers", since="03:00")

DATABASE = {"timeline": "3", "system": "77"}
PRIMARY = Service("patroni", "patroni", "running", role="leader", details={**DATABASE, "streaming": "node2 node3"})
REPLICA = Service("patroni", "patroni", "streaming", role="replica", details={**DATABASE, "lag": "0"})

MON_LEADS = Service("ceph", "mon.a", "in quorum", role="leader")
MON_PEON = Service("ceph", "mon.b", "in quorum", role="peon")
MGR_ACTIVE = Service("ceph", "mgr.a", "running", role="active")
MGR_STANDBY = Service("ceph", "mgr.b", "running", role="standby")
OSD = Service("ceph", "osd.0", "up")
COUNTED = Service("ceph", "cluster", "clean", details={"osds": "3", "osds_up": "3"})

UP = Service("frr", "10.0.0.9", "established")
DOWN = Service("frr", "10.0.0.9", "down", healthy=False, why="no BGP session", since="03:00")
LONELY = Service("frr", "frr", "running")


def change(service: Service, **details: str) -> Service:
    return replace(service, details={**service.details, **details})


def told(*nodes: tuple[Service, ...] | list[Service] | Service) -> Cluster:
    """A cluster whose nodes tell this, in their order."""
    cluster = Cluster(len(nodes))
    for agent, services in zip(cluster.agents.values(), nodes, strict=True):
        agent.tell(*([services] if isinstance(services, Service) else services))
    return cluster


def reasons(cluster: Cluster, *filters: Any) -> list[str]:
    view = cluster_view(judge(cluster.snapshot, ""), *filters)
    assert view["healthy"] == (not view["why"])
    return list(view["why"])


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        # nothing, and one node
        ([[]], []),
        ([ALONE], []),
        ([LEADS], []),
        ([SILENT], ["ZooKeeper on node1: nothing answers (since 03:00)"]),
        # an ensemble
        ([LEADS, FOLLOWS, FOLLOWS], []),
        ([LEADS, FOLLOWS, SILENT], ["ZooKeeper on node3: nothing answers (since 03:00)"]),
        (
            [FOLLOWS, FOLLOWS, FOLLOWS],
            ["ZooKeeper: no server leads: they are electing, or an agent has yet to look again"],
        ),
        (
            [LEADS, LEADS, FOLLOWS],
            ["ZooKeeper: node1 and node2 are both said to lead: an agent has yet to look again after an election"],
        ),
        (
            [LEADS, SILENT, SILENT],
            [
                "ZooKeeper on node2: nothing answers (since 03:00)",
                "ZooKeeper on node3: nothing answers (since 03:00)",
                "ZooKeeper: only 1 of 3 servers are known to serve, which is no majority",
            ],
        ),
        (
            [LEADS, FOLLOWS, SILENT, replace(SILENT, since="")],
            [
                "ZooKeeper on node3: nothing answers (since 03:00)",
                "ZooKeeper on node4: nothing answers",
                "ZooKeeper: only 2 of 4 servers are known to serve, which is no majority",
            ],
        ),
        (
            [LEADS, FOLLOWS, ALONE],
            ["ZooKeeper on node3: it runs as a server of its own, not as a member of the ensemble"],
        ),
        # databases
        ([PRIMARY], []),
        ([PRIMARY, REPLICA, REPLICA], []),
        ([REPLICA, REPLICA], ["Patroni: no member leads: the database takes no writes"]),
        (
            [PRIMARY, PRIMARY],
            ["Patroni: node1 and node2 both say that they lead: only one of them holds the leader's lock"],
        ),
        (
            [PRIMARY, change(REPLICA, timeline="2")],
            ["Patroni on node2: it is on timeline 2, the leader, node1, on 3"],
        ),
        (
            [PRIMARY, change(REPLICA, timeline="")],
            ["Patroni on node2: it has no timeline yet, the leader, node1, on 3"],
        ),
        (
            [PRIMARY, change(REPLICA, system="78")],
            ["Patroni on node2: it is a copy of another database than that of the leader, node1"],
        ),
        (
            [PRIMARY, replace(change(REPLICA, timeline=""), healthy=False, why="it is starting")],
            ["Patroni on node2: it is starting"],
        ),
        ([PRIMARY, replace(REPLICA, state="running")], []),
        (
            [change(PRIMARY, streaming="node3"), replace(REPLICA, state="running")],
            ["Patroni on node2: it does not stream from the leader, node1"],
        ),
        ([PRIMARY, change(REPLICA, lag=str(32 << 20))], []),
        ([PRIMARY, change(REPLICA, lag="unknown")], []),
        (
            [PRIMARY, change(REPLICA, lag=str(64 << 20))],
            ["Patroni on node2: it is 64 MiB or more behind the leader, node1"],
        ),
        ([replace(PRIMARY, role="standby_leader"), REPLICA], []),
        # storage
        ([[MON_LEADS, MGR_ACTIVE, OSD, COUNTED], [MON_PEON, MGR_STANDBY]], []),
        ([OSD], []),
        (
            [[MON_PEON, MGR_STANDBY]],
            [
                "Ceph: no monitor leads: they are electing, or have no quorum",
                "Ceph: no manager is known to be active",
            ],
        ),
        (
            [[MON_LEADS, MGR_ACTIVE, COUNTED], [MON_LEADS, MGR_ACTIVE]],
            [
                "Ceph: the monitors on node1 and node2 are both said to lead: they have just elected",
                "Ceph: the managers on node1 and node2 are both said to be active: one has just taken over",
            ],
        ),
        (
            [[MON_LEADS, replace(COUNTED, healthy=False, why="1 of 3 OSDs are down", since="03:00")]],
            ["Ceph: 1 of 3 OSDs are down (since 03:00)"],
        ),
        ([replace(OSD, healthy=False)], ["Ceph on node1 (osd.0): it is not healthy (up)"]),
        ([replace(OSD, why="words without meaning")], []),
        (
            [[replace(OSD, healthy=False, why="nothing answers", since="03:00")]],
            ["Ceph on node1 (osd.0): nothing answers (since 03:00)"],
        ),
        # the network
        ([UP, UP], []),
        ([LONELY], []),
        (
            [LONELY, UP],
            ["FRR on node1: it has no neighbours, so this node is no part of the network between the nodes"],
        ),
        ([UP, DOWN], ["FRR on node2 (10.0.0.9): no BGP session (since 03:00)"]),
    ],
)
def test_what_is_concluded(nodes: list[Any], why: list[str]) -> None:
    assert reasons(told(*nodes)) == why


SILENT_AGENT = (
    "its agent has told nothing of its services since it started: that takes seconds, or it was not configured for it"
)
DEAD = "its agent has no session: the machine is down or cut off, or pvc-node-agent does not run on it"


@pytest.mark.parametrize(
    ("harm", "why"),
    [
        (lambda cluster: cluster.agents["node2"].die(), f"{DEAD}; nothing is known of its ZooKeeper"),
        (
            lambda cluster: cluster.agents["node2"].tell(FOLLOWS, instance="an earlier process"),
            f"{SILENT_AGENT}; nothing is known of its ZooKeeper",
        ),
        (
            lambda cluster: cluster.overwrite(paths.health("node2"), b"{}"),
            "what its agent tells of its services is damaged (record lacks field instance): restart pvc-node-agent on it",
        ),
    ],
    ids=["dead", "restarted", "damaged"],
)
def test_of_a_node_without_its_agent_nothing_is_known(harm: Callable[[Cluster], None], why: str) -> None:
    cluster = told(FOLLOWS, LEADS, FOLLOWS)
    harm(cluster)
    no_leader = "ZooKeeper: no server is known to lead: it may be on a node of which nothing is known"
    assert reasons(cluster) == [f"node2: {why}", no_leader]
    view = cluster_view(judge(cluster.snapshot, ""))
    assert view["zookeeper"]["quorum"]
    assert view["zookeeper"]["leader"] is None
    assert [node["healthy"] for node in view["nodes"]] == [True, False, True]
    agent = view["agents"][1]
    assert (agent["healthy"], agent["why"], agent["since"], agent["version"]) == (
        False,
        why.partition(";")[0],
        None,
        "0",
    )


def test_what_was_seen_last_is_shown_as_stale() -> None:
    cluster = told(LEADS, FOLLOWS)
    cluster.agents["node1"].die()
    member = cluster_view(judge(cluster.snapshot, ""))["zookeeper"]["members"][0]
    assert (member["stale"], member["healthy"], member["state"], member["role"]) == (True, False, "serving", "leader")
    assert member["why"] == f"not known: {DEAD}"


def test_an_agent_that_tells_nothing() -> None:
    cluster = Cluster(1)
    why = "node1: its agent does not tell of its services: deploy it anew with role node_agent"
    assert reasons(cluster) == [why]
    for kind in SERVICES:
        # fence devices are other nodes'
        assert reasons(cluster, [kind]) == ([why] if kind != "fence" else [])


def test_a_dead_node_in_maintenance_says_so() -> None:
    cluster = Cluster(1)
    cluster.agents["node1"].die()
    cluster.overwrite(paths.node("node1"), encode(Node(state="maintenance")))
    assert reasons(cluster)[0].startswith("node1: it is in maintenance, and its agent has no session")


def test_a_cluster_without_nodes_has_nothing_that_is_wrong() -> None:
    view = cluster_view(judge(empty(Schema(1, "lab", "id")), ""))
    assert (view["healthy"], view["why"], view["zookeeper"]["quorum"]) == (True, [], None)


def test_filters() -> None:
    cluster = told([LEADS, UP], [SILENT, UP], [FOLLOWS, DOWN])
    silent, down = (
        "ZooKeeper on node2: nothing answers (since 03:00)",
        "FRR on node3 (10.0.0.9): no BGP session (since 03:00)",
    )
    assert reasons(cluster) == [silent, down]
    assert reasons(cluster, ["frr"]) == [down]
    assert reasons(cluster, ["agents", "patroni"]) == []
    assert reasons(cluster, SERVICES, ["node1"]) == []
    assert reasons(cluster, SERVICES, ["node1", "node2"]) == [silent]
    assert reasons(cluster, ["frr"], ["node2"]) == []
    assert reasons(cluster, ["frr"], ["node9"]) == ["node9: it is not registered in the cluster"]


def test_what_concerns_the_cluster_concerns_every_node() -> None:
    cluster = told([REPLICA], [REPLICA])
    assert reasons(cluster, ["patroni"], ["node2"]) == ["Patroni: no member leads: the database takes no writes"]


def test_only_what_is_not_healthy_is_shown() -> None:
    cluster = told([LEADS, UP, OSD], [SILENT, UP, DOWN], [FOLLOWS, UP])
    view = cluster_view(judge(cluster.snapshot, ""), only_unhealthy=True)
    assert [member["node"] for member in view["zookeeper"]["members"]] == ["node2"]
    assert [node["name"] for node in view["nodes"]] == ["node2"]
    (node,) = view["frr"]["nodes"]
    assert [neighbour["state"] for neighbour in node["neighbours"]] == ["down"]
    assert view["ceph"]["daemons"] == view["agents"] == view["patroni"]["members"] == []


def test_what_was_not_asked_for_is_not_shown() -> None:
    view = cluster_view(judge(told([LEADS, UP]).snapshot, ""), ["frr"], ["node1"])
    assert [view[kind] for kind in ("agents", "zookeeper", "patroni", "ceph")] == [None] * 4
    assert view["frr"]["nodes"][0]["neighbours"][0]["address"] == "10.0.0.9"


def test_numbers_are_numbers() -> None:
    view = cluster_view(judge(told([PRIMARY, MON_LEADS, COUNTED], change(REPLICA, lag="1048576")).snapshot, ""))
    assert view["patroni"]["timeline"] == 3
    assert [member["lag"] for member in view["patroni"]["members"]] == [None, 1 << 20]
    assert view["ceph"]["summary"] == {"osds": 3, "osds_up": 3}


# --- whatever nodes tell ------------------------------------------------------------------------------------------------

services = st.builds(
    Service,
    st.sampled_from([*LABELS, "postgres"]),
    st.sampled_from([*LABELS, "cluster", "mon.a", "mgr.a", "osd.0", "10.0.0.9", ""]),
    st.sampled_from(["serving", "running", "streaming", "up", "down", "established"]),
    st.sampled_from(["", "leader", "follower", "standalone", "replica", "peon", "active"]),
    st.booleans(),
    st.sampled_from(["", "it fell over"]),
    st.sampled_from(["", "03:00"]),
    st.dictionaries(
        st.sampled_from(["timeline", "lag", "system", "streaming", "osds"]), st.sampled_from(["", "1", "x", "²"])
    ),
)
node_tellings = st.none() | st.lists(services, max_size=4)


@settings(max_examples=150, deadline=None)
@given(st.lists(node_tellings, min_size=1, max_size=4), st.sets(st.integers(0, 3)))
def test_every_report_agrees_with_itself(nodes: list[list[Service] | None], dead: set[int]) -> None:
    cluster = Cluster(len(nodes))
    for index, (agent, told_now) in enumerate(zip(cluster.agents.values(), nodes, strict=True)):
        if told_now is not None:
            agent.tell(*told_now)
        if index in dead:
            agent.die()
    report = judge(cluster.snapshot, "")
    view = cluster_view(report)
    sections = [view[kind] for kind in LABELS]
    assert view["healthy"] == (
        all(section["healthy"] for section in sections) and all(agent["healthy"] for agent in view["agents"])
    )
    assert view["healthy"] <= all(node["healthy"] for node in view["nodes"])
    for section in sections:
        entries = section.get("members", section.get("daemons", section.get("nodes", section.get("devices"))))
        assert section["healthy"] <= all(entry["healthy"] for entry in entries)
    # what is asked for in parts is what is asked for at once
    parts = [set(reasons(cluster, [kind])) for kind in SERVICES]
    assert set.union(*parts) == set(view["why"])
    by_node = [set(reasons(cluster, SERVICES, [node])) for node in cluster.agents]
    assert set.union(*by_node) == set(view["why"])
    for index, told_now in enumerate(nodes):
        ill = told_now is None or any(one.kind in LABELS and not one.healthy for one in told_now)
        assert not (view["healthy"] and (ill or index in dead))
    for index in dead & set(range(len(nodes))):
        assert not cluster_view(report, SERVICES, [f"node{index + 1}"])["healthy"]


# --- waiting ------------------------------------------------------------------------------------------------------------


class Acting(Wrapped):
    """After each look at the whole tree the next step happens."""

    def __init__(self, cluster: Cluster, *steps: Callable[[], None]) -> None:
        super().__init__(cluster.connect())
        self.steps = list(steps)
        self.reads = 0

    def get(self, path: str, watch: Any = None):  # type: ignore[no-untyped-def]
        result = super().get(path, watch)
        # a load begins and ends with this one
        self.reads += path == paths.JOURNAL
        if path == paths.JOURNAL and self.reads % 2 == 0 and self.steps:
            self.steps.pop(0)()
        return result


def test_it_waits_until_everything_is_well() -> None:
    cluster = told([LEADS], [SILENT])
    two = cluster.agents["node2"]

    def noise() -> None:
        cluster.agents["node1"].tell(LEADS, UP)

    store = Acting(cluster, noise, noise, lambda: two.tell(FOLLOWS, UP))
    assert wait_for_health(store, SERVICES, None, LONG).findings == ()


def test_it_does_not_wait_when_everything_is_well() -> None:
    wait_for_health(told([LEADS]).store, SERVICES, None, 0)


def test_it_does_not_wait_for_what_was_not_asked_for() -> None:
    report = wait_for_health(told([LEADS, DOWN]).store, ["zookeeper"], None, 0)
    assert len(report.findings) == 1


def test_it_sees_agents_come_and_go() -> None:
    cluster = told([LEADS])
    agent = cluster.agents["node1"]
    agent.die()
    wait_for_health(Acting(cluster, agent.come_back), SERVICES, None, LONG)


def test_a_timeout_tells_all_reasons_and_shows_the_last_report() -> None:
    cluster = told([SILENT, DOWN])
    with pytest.raises(NotHealthy) as raised:
        wait_for_health(cluster.store, SERVICES, None, SHORT)
    assert str(raised.value) == (
        "the cluster is not healthy after 0.05 s: ZooKeeper on node1: nothing answers (since 03:00); "
        "FRR on node1 (10.0.0.9): no BGP session (since 03:00); repair what is named, or wait longer"
    )
    assert len(raised.value.report.findings) == 2


def test_a_timeout_with_many_reasons_is_short() -> None:
    cluster = told(*([replace(DOWN, name=f"10.0.0.{index}") for index in range(9)] for _node in range(2)))
    with pytest.raises(NotHealthy, match=r"; and 13 more; repair what is named"):
        wait_for_health(cluster.store, SERVICES, None, SHORT)
