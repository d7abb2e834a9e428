# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ceph would change of a cluster, and when it calls one healthy."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.scripts import script

RULE = {
    "rule_id": 0,
    "rule_name": "replicated_rule",
    "steps": [
        {"op": "take", "item": -1, "item_name": "default"},
        {"op": "chooseleaf_firstn", "num": 0, "type": "host"},
        {"op": "emit"},
    ],
}
VMS = {"pool_name": "vms", "size": 3, "min_size": 2, "crush_rule": 0, "application_metadata": {"rbd": {}}}
CAPS = {"mon": "profile rbd", "mgr": "profile rbd pool=vms", "osd": "profile rbd pool=vms"}


class Cluster:
    """Answers as the monitors of Ceph 18.2.7 gave them, cut to what is read."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "config dump": [{"section": "global", "name": "mon_lease", "value": "2.000000"}],
            "osd crush rule dump": [RULE],
            "osd dump": {"pools": [VMS], "osds": [{"osd": 0, "up": 1}, {"osd": 1, "up": 1}]},
            "auth get": [{"entity": "client.libvirt", "caps": CAPS}],
            "status": {
                "quorum_names": ["node1", "node2"],
                "mgrmap": {"available": True},
                "pgmap": {"num_pgs": 32, "pgs_by_state": [{"state_name": "active+clean", "count": 32}]},
            },
        } | {name.replace("_", " "): answer for name, answer in answers.items()}

    def ask(self, prefix: str, **_arguments: str) -> Any:
        return self.answers[prefix]


@pytest.fixture
def plan() -> ModuleType:
    return script("ceph", "plan")


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "config": {"global": {"mon_lease": 2}},
        "pools": [{"name": "vms"}],
        "size": 3,
        "min_size": 2,
        "pg_num": 32,
        "failure_domain": "host",
        "client": "libvirt",
        "fence_client": "pvc-fence",
        "monitors": ["node1", "node2"],
        "osds": ["0", "1"],
    } | changes


def commands(ops: Any) -> list[str]:
    return [" ".join(op["argv"]) for op in ops]


def everything(plan: ModuleType, cluster: Cluster, desired: dict[str, Any]) -> list[str]:
    return commands(
        [*plan.plan_config(cluster, desired), *plan.plan_pools(cluster, desired), *plan.plan_client(cluster, desired)]
    )


def test_nothing_is_done_to_a_cluster_that_is_as_wanted(plan: ModuleType) -> None:
    assert everything(plan, Cluster(), wanted()) == []


@pytest.mark.parametrize(
    ("found", "value", "same"),
    [
        ("2.000000", 2, True),
        ("true", True, True),
        ("4294967296", 4294967296, True),
        ("2.5", 2, False),
        ("false", True, False),
    ],
)
def test_values_are_compared_by_what_they_mean(plan: ModuleType, found: str, value: Any, same: bool) -> None:
    cluster = Cluster(config_dump=[{"section": "osd", "name": "x", "value": found}])
    assert (commands(plan.plan_config(cluster, wanted(config={"osd": {"x": value}}))) == []) is same


def test_a_missing_option_is_set_in_words_that_ceph_takes(plan: ModuleType) -> None:
    assert commands(plan.plan_config(Cluster(), wanted(config={"mon": {"x": False}}))) == [
        "ceph config set mon x false"
    ]


def test_a_pool_is_made_with_all_that_belongs_to_it(plan: ModuleType) -> None:
    cluster = Cluster(osd_dump={"pools": [], "osds": []})
    assert commands(plan.plan_pools(cluster, wanted())) == [
        "ceph osd pool create vms 32 32 replicated replicated_rule",
        "ceph osd pool set vms size 3",
        "ceph osd pool set vms min_size 2",
        "ceph osd pool application enable vms rbd",
    ]


def test_a_pool_may_differ_from_the_others(plan: ModuleType) -> None:
    cluster = Cluster(osd_dump={"pools": [VMS], "osds": []})
    ops = commands(plan.plan_pools(cluster, wanted(pools=[{"name": "vms"}, {"name": "fast", "pg_num": 64, "size": 2}])))
    assert ops[:2] == [
        "ceph osd pool create fast 64 64 replicated replicated_rule",
        "ceph osd pool set fast size 2",
    ]


def test_ceph_s_own_pool_follows(plan: ModuleType) -> None:
    own = VMS | {"pool_name": ".mgr", "size": 1, "min_size": 1, "application_metadata": {"mgr": {}}}
    cluster = Cluster(osd_dump={"pools": [VMS, own], "osds": []})
    assert commands(plan.plan_pools(cluster, wanted())) == [
        "ceph osd pool set .mgr size 3",
        "ceph osd pool set .mgr min_size 2",
    ]


def test_one_copy_is_made_sure_of(plan: ModuleType) -> None:
    ops = commands(plan.plan_pools(Cluster(), wanted(size=1, min_size=1)))
    assert ops[0] == "ceph osd pool set vms size 1 --yes-i-really-mean-it"


def test_a_cluster_that_grows_gets_one_rule_by_host_for_all_pools(plan: ModuleType) -> None:
    alone = RULE | {"steps": [RULE["steps"][0], {"op": "choose_firstn", "num": 0, "type": "osd"}, {"op": "emit"}]}
    cluster = Cluster(osd_crush_rule_dump=[alone], osd_dump={"pools": [VMS, VMS | {"pool_name": ".mgr"}], "osds": []})
    assert commands(plan.plan_pools(cluster, wanted())) == [
        "ceph osd crush rule create-replicated pvc-host default host",
        "ceph osd pool set vms crush_rule pvc-host",
        "ceph osd pool set .mgr crush_rule pvc-host",
    ]


def test_the_client_may_use_each_pool_and_no_other(plan: ModuleType) -> None:
    desired = wanted(pools=[{"name": "vms"}, {"name": "fast"}])
    pools = "profile rbd pool=vms, profile rbd pool=fast"
    assert commands(plan.plan_client(Cluster(), desired)) == [
        f"ceph auth caps client.libvirt mon profile rbd mgr {pools} osd {pools}"
    ]
    assert commands(plan.plan_client(Cluster(auth_get=None), wanted())) == [
        "ceph auth add client.libvirt mon profile rbd mgr profile rbd pool=vms osd profile rbd pool=vms"
    ]


def test_the_client_that_fences_may_say_what_the_agent_says_and_nothing_else(plan: ModuleType) -> None:
    (command,) = commands(plan.plan_fence_client(Cluster(auth_get=None), wanted()))
    assert command.startswith(
        'ceph auth add client.pvc-fence mon allow command "osd blocklist", allow command "osd down"'
    )
    allowed = re.findall('allow command "([^"]+)"', command)
    assert command.count("allow") == len(allowed)
    agent = Path(__file__).resolve().parents[3] / "pvc_node_agent" / "fence" / "blocklist.py"
    assert set(allowed) == set(re.findall(r'ask\("([^"]+)"', agent.read_text(encoding="utf-8")))


def test_each_command_has_a_reason(plan: ModuleType) -> None:
    ops = list(plan.plan_pools(Cluster(), wanted(size=2)))
    assert [op["why"] for op in ops] == ["pool vms has size 3, wanted 2"]


def test_a_healthy_cluster_has_no_problems(plan: ModuleType) -> None:
    assert plan.health(Cluster(), wanted()) == []


def test_what_is_not_there_yet_is_named(plan: ModuleType) -> None:
    status = {
        "quorum_names": ["node1"],
        "mgrmap": {"available": False},
        "pgmap": {
            "num_pgs": 32,
            "pgs_by_state": [
                {"state_name": "active+undersized+degraded", "count": 20},
                {"state_name": "undersized+peered", "count": 12},
            ],
        },
    }
    assert plan.health(Cluster(status=status), wanted(osds=["0", "5"])) == [
        "monitor node2 is not in quorum",
        "osd.5 is not up",
        "no manager is active",
        "12 placement groups are undersized+peered",
    ]
