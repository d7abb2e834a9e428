# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every job template of inventory-examples/awx runs: by ansible-runner, with what AWX would give it, on a real ZooKeeper.

Agents stand in for the nodes' own. The playbook of PVC deploy comes as far as its first look at the machines, which here are none of a
cluster; its dry run on bare machines is the lab's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.modules import history_info, node, vm, vm_info

from tests.awx.controller import Controller, answers, named, tasks
from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import STATUS
from tests.unit.plugins.modules.harness import Cluster
from tests.unit.plugins.modules.test_node import Mover

NODES = ("node1", "node2", "node3")
EVIL = "{{ lookup('ansible.builtin.pipe', 'id') }}"

pytestmark = pytest.mark.timeout(3600)


@pytest.fixture
def cluster(zookeeper: Cluster) -> Iterator[Cluster]:
    """Three nodes with living agents, and no VM."""
    zookeeper.ok(node, {"cluster_name": "example", "nodes": [{"name": name} for name in NODES]})
    with contextlib.ExitStack() as stack:
        for name in NODES:
            stack.enter_context(Agent(zookeeper.another(), name, replace(STATUS, boot_id="first")))
        yield zookeeper


def inputs(cluster: Cluster) -> dict[str, str]:
    """What an administrator puts into the credential."""
    options = cluster.options
    files = {name: Path(options[f"{name}_file"]).read_text() for name in ("ca", "cert", "key")}
    return {
        "hosts": ",".join(options["hosts"]),
        "root": options["root"],
        "username": "pvc",
        "password": options["password"],
        **files,
    }


@pytest.fixture
def awx(cluster: Cluster, tmp_path: Path) -> Controller:
    return Controller(tmp_path, inputs(cluster))


def vms(cluster: Cluster, *names: str) -> list[dict[str, Any]]:
    return list(cluster.ok(vm_info, {"names": list(names)} if names else {})["vms"])


def test_a_workflow_carries_out_the_plan_that_was_approved(cluster: Cluster, awx: Controller) -> None:
    survey = named("workflow_job_template", "PVC apply with approval")["survey_spec"]
    before = cluster.dump()
    planned = awx.launch("PVC plan", survey=survey)
    assert planned.status == "successful", planned.output
    assert cluster.dump() == before
    assert "web1" in planned.output
    assert set(planned.artifacts) == {"pvc_plan"}

    applied = awx.launch("PVC apply", survey=survey, artifacts=planned.artifacts)
    assert applied.status == "successful", applied.output
    assert [(one["name"], one["observed"]["state"]) for one in vms(cluster)] == [
        ("web1", "running"),
        ("web2", "running"),
    ]

    late = awx.launch("PVC apply", survey=survey, artifacts=planned.artifacts)
    assert late.status == "failed", "the cluster has changed since it was planned"
    assert late.of("runner_on_failed")

    again = awx.launch("PVC apply")
    assert again.status == "successful", again.output
    assert again.of("playbook_on_stats")[-1]["changed"] == {}


def test_apply_can_be_a_dry_run(cluster: Cluster, awx: Controller) -> None:
    before = cluster.dump()
    job = awx.launch("PVC apply", job_type="check")
    assert job.status == "successful", job.output
    assert "web1" in job.output
    assert cluster.dump() == before


def test_nodes_are_drained(cluster: Cluster, awx: Controller) -> None:
    cluster.ok(vm, {"name": "web1", "memory": 64, "node": "node2"})
    cluster.ok(vm, {"name": "web1", "node": ""})
    mover = Mover(cluster.another(), "node2", "node1")
    mover.daemon = True
    mover.start()
    job = awx.launch("PVC drain", {"pvc_nodes": "node2"})
    assert job.status == "successful", job.output
    assert "web1: node2 -> node1" in job.output
    (moved,) = vms(cluster, "web1")
    assert moved["claim"]["node"] == "node1"
    ready = awx.launch("PVC drain", {"pvc_nodes": "node2", "pvc_state": "ready", "pvc_drain_timeout": 60})
    assert ready.status == "successful", ready.output
    assert ready.result("They are told to")["changed"] is True


def test_what_a_loss_would_do_is_an_artifact(cluster: Cluster, awx: Controller) -> None:
    cluster.ok(vm, {"name": "web1", "memory": 64, "node": "node1"})
    fixed = awx.launch("PVC failover report", {"pvc_nodes": "node1, node2", "pvc_must_fit": "true"})
    assert fixed.status == "failed", "web1 is bound to node1"
    artifact = fixed.artifacts["pvc_failover"]
    assert (artifact["fits"], artifact["waiting"], sorted(artifact["nodes"])) == (False, ["web1"], ["node1", "node2"])
    assert "web1" in fixed.of("runner_on_failed")[-1]["res"]["msg"]
    cluster.ok(vm, {"name": "web1", "node": ""})
    free = awx.launch("PVC failover report")
    assert free.status == "successful", free.output
    assert free.artifacts["pvc_failover"]["fits"] is True
    assert len(free.artifacts["pvc_failover"]["nodes"]) == 3


def test_a_vm_is_provisioned_once(cluster: Cluster, awx: Controller) -> None:
    asked = {
        "pvc_vm_name": "db1",
        "pvc_vm_memory": "256M",
        "pvc_vm_tags": "db, nightly",
        "pvc_vm_address": "192.0.2.9",
        "pvc_vm_profile": "small",
        "pvc_vm_description": EVIL,
    }
    dry = awx.launch("PVC provision", asked, job_type="check")
    assert dry.status == "successful", dry.output
    assert vms(cluster) == []

    job = awx.launch("PVC provision", asked)
    assert job.status == "successful", job.output
    (made,) = vms(cluster)
    assert (made["memory"], made["tags"], made["description"]) == (256, ["db", "nightly"], EVIL)
    (commit,) = cluster.ok(history_info, {"name": "db1"})["commits"]
    assert commit["who"] == "alice"
    assert "PVC provision" in commit["via"]
    assert job.artifacts["pvc_vm"] == {"name": "db1", "node": made["claim"]["node"]}

    again = awx.launch("PVC provision", asked)
    assert again.status == "successful", again.output
    assert again.of("playbook_on_stats")[-1]["changed"] == {}

    other = awx.launch("PVC provision", {**asked, "pvc_vm_memory": "512M"})
    assert other.status == "failed"
    assert "VM db1 exists already" in other.output
    assert vms(cluster)[0]["memory"] == 256

    listed = awx.synced("PVC VMs")
    assert listed["pvc_profile_small"] == {"hosts": ["db1"]}
    variables = listed["_meta"]["hostvars"]["db1"]
    assert variables["ansible_host"] == {"__ansible_unsafe": "192.0.2.9"}
    assert variables["pvc"]["description"] == {"__ansible_unsafe": EVIL}, (
        "AWX keeps that, and so it never becomes a template"
    )


def test_deploy_looks_at_the_machines_first(cluster: Cluster, awx: Controller) -> None:
    before = cluster.dump()
    here = {"ansible_connection": "local", "ansible_become": False}
    job = awx.launch("PVC deploy", {"pvc_hosts": "node1"}, job_type="check", changes={"node1": here})
    assert job.status == "failed"
    (refused,) = job.of("runner_on_failed")
    assert refused["play"] == "Refuse what cannot work before anything is changed"
    assert "node1" in refused["res"]["msg"]
    assert job.of("playbook_on_stats")[-1]["changed"] == {}
    assert cluster.dump() == before


def test_no_secret_is_shown(cluster: Cluster, awx: Controller, tmp_path: Path) -> None:
    job = awx.launch("PVC failover report")
    secrets = [inputs(cluster)["password"], inputs(cluster)["key"].splitlines()[1]]
    for secret in secrets:
        assert secret not in job.output
        assert not any(secret in str(event) for event in job.events)


def test_a_wrong_password_fails_the_job_and_the_update_of_the_inventory(cluster: Cluster, tmp_path: Path) -> None:
    awx = Controller(tmp_path, {**inputs(cluster), "password": "wrong"})
    job = awx.launch("PVC failover report")
    assert job.status == "failed"
    assert "password" in job.of("runner_on_failed")[-1]["res"]["msg"]
    with pytest.raises(AssertionError, match="password"):
        awx.synced("PVC VMs")


def test_wrong_answers_start_no_job() -> None:
    survey = named("job_template", "PVC drain")["survey_spec"]
    for given, problem in (
        ({}, "pvc_nodes: needed to start"),
        ({"pvc_nodes": "node1", "pvc_state": "off"}, "'off' is no choice"),
        ({"pvc_nodes": "node1", "pvc_drain_timeout": "60"}, "'60' is no integer"),
        ({"pvc_nodes": "node1", "pvc_connection": "x"}, "pvc_connection: not asked for"),
    ):
        with pytest.raises(ValueError, match=problem):
            answers(survey, given)


def test_every_job_template_is_run_here() -> None:
    here = Path(__file__).read_text()
    templates = [arguments["name"] for module, arguments in tasks() if module == "awx.awx.job_template"]
    assert [name for name in templates if f'launch("{name}"' not in here] == []
