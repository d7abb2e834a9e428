# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line answers what the modules answer, and a reader's credential is enough for all that only shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.modules import (
    access,
    apply,
    cluster_info,
    failover_info,
    fence_info,
    node_info,
    plan,
    rule,
    rule_info,
    settings_info,
    vm,
    vm_console_info,
    vm_info,
    vm_snapshot_info,
)
from click.testing import CliRunner, Result

from pvc_cli.app import cli
from pvc_cli.session import Session
from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options

READER = {"name": "pvc-reader", "password": "only looking"}

#: A command, and the module with the options that ask the same; what the module returns beside.
SAME: list[tuple[list[str], Any, Options]] = [
    (["status"], cluster_info, {}),
    (
        ["status", "--service", "zookeeper", "--node", "node1"],
        cluster_info,
        {"services": ["zookeeper"], "nodes": ["node1"]},
    ),
    (["nodes"], node_info, {}),
    (
        ["nodes", "node1", "--alive", "--state", "ready"],
        node_info,
        {"names": ["node1"], "alive": True, "state": "ready"},
    ),
    (["vms"], vm_info, {}),
    (["vms", "web1", "gone"], vm_info, {"names": ["web1", "gone"]}),
    (["vms", "--tag", "web", "--node", "node2"], vm_info, {"tags": ["web"], "node": "node2"}),
    (["show", "vm", "web1"], vm_info, {"names": ["web1"]}),
    (["show", "node", "node2"], node_info, {"names": ["node2"]}),
    (["show", "rules"], rule_info, {}),
    (["show", "rule", "apart"], rule_info, {"names": ["apart"]}),
    (["show", "settings"], settings_info, {}),
    (["show", "snapshots", "web1"], vm_snapshot_info, {"vms": ["web1"]}),
    (["why", "fence", "node1"], fence_info, {"node": "node1", "limit": 1}),
    (["failover-report"], failover_info, {}),
    (["failover-report", "node1", "--only-problems"], failover_info, {"nodes": ["node1"], "only_problems": True}),
    (["console", "web1", "-n", "5"], vm_console_info, {"name": "web1", "lines": 5}),
]
#: What no module answers.
ALONE = [["why", "vm", "web1"], ["why", "node", "node1"], ["top"], ["events"]]

DOCUMENT = "vms:\n- {name: web1, memory: 128}\n- {name: web9, memory: 64, state: stopped}\n"


#: The store in memory takes the modules' own operations only: they have the library under another name.
real = pytest.mark.parametrize("empty", ["zookeeper"], indirect=True)


def call(cluster: Cluster, *args: str, **more: str) -> Result:
    """The command line with the cluster's connection."""
    options = {**cluster.options, **more}
    env = {f"PVC_{name.upper()}": str(value) for name, value in options.items() if name != "hosts"}
    session = Session() if cluster.connect is None else Session(connect=cluster.connect)  # type: ignore[arg-type]
    return CliRunner(env={**env, "PVC_HOSTS": ",".join(options["hosts"])}).invoke(cli, list(args), obj=session)


def answer(result: Result) -> Any:
    """What it has printed for programs."""
    assert result.exit_code in (0, 1), result.output
    return json.loads(result.stdout)


def told(result: dict[str, Any]) -> dict[str, Any]:
    """A module's result without what Ansible adds to it."""
    return {key: value for key, value in result.items() if key not in ("invocation", "changed", "warnings", "diff")}


@pytest.fixture
def filled(cluster: Cluster, agents: Agents) -> Iterator[Cluster]:
    """Two VMs with disks, a rule, and a reader; the agents run, and have nothing left to do."""
    with agents():
        cluster.ok(
            vm, {"vms": [{"name": "web1", "tags": ["web"]}, {"name": "web2"}], "memory": 64, "disks": [{"size": "1G"}]}
        )
        cluster.ok(rule, {"name": "apart", "kind": "apart", "vms": ["web1", "web2"]})
        cluster.ok(access, {"readers": [READER]})
        yield cluster


def test_the_same_question_has_the_same_answer(filled: Cluster) -> None:
    for args, module, options in SAME:
        assert answer(call(filled, "-o", "json", *args)) == told(filled.ok(module, options)), args


def test_a_reader_sees_all_that_is_shown(filled: Cluster) -> None:
    reader = {"username": READER["name"], "password": READER["password"]}
    before = filled.dump()
    for args in [*(args for args, _module, _options in SAME), *ALONE]:
        mine, owners = (call(filled, "-o", "json", *args, **who) for who in (reader, {}))
        assert (mine.exit_code, mine.output) == (owners.exit_code, owners.output), args
        assert mine.exit_code in (0, 1), mine.output
    assert filled.dump() == before


@real
def test_a_reader_plans_and_applies_nothing(filled: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.yml").write_text(DOCUMENT, encoding="utf-8")
    reader = {"username": READER["name"], "password": READER["password"]}
    planned = call(filled, "-o", "json", "plan", "shop.yml", **reader)
    assert answer(planned) == told(filled.ok(plan, {"src": ["shop.yml"]}))
    before = filled.dump()
    refused = call(filled, "apply", "shop.yml", "--yes", **reader)
    assert refused.exit_code == 6
    assert "user pvc-reader may read the cluster and change nothing" in refused.stderr
    assert filled.dump() == before


@real
def test_apply_does_what_the_module_does(filled: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.yml").write_text(DOCUMENT, encoding="utf-8")
    expected = told(filled.ok(apply, {"src": ["shop.yml"]}, check=True))
    mine = answer(call(filled, "-o", "json", "apply", "shop.yml", "--yes", "--no-wait"))
    assert {**mine, "revision": None} == {**expected, "changed": True}
    assert not filled.ok(apply, {"src": ["shop.yml"], "wait": False})["changed"]
