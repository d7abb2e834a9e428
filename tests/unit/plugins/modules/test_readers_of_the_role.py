# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readers as the role node_agent declares them: its own task, run by ansible-playbook, with its defaults and its specification."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.modules import access, node

from tests.unit.plugins.modules.controller import ROOT, Controller
from tests.unit.plugins.modules.harness import Cluster

ROLE = ROOT / "roles" / "node_agent"


@pytest.fixture
def controller(zookeeper: Cluster, tmp_path: Path) -> Controller:
    """A playbook ``readers.yml`` with what the role says of readers, and a reader that a module has declared."""
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
    zookeeper.ok(access, {"readers": [{"name": "dashboard", "password": "only looking"}]})
    for name, option in (("ca.pem", "ca_file"), ("admin.pem", "cert_file"), ("admin.key", "key_file")):
        (tmp_path / name).symlink_to(zookeeper.options[option])
    option = "node_agent_zookeeper_readers"
    specs = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    tasks = [
        {"ansible.builtin.validate_argument_spec": {"argument_spec": {option: specs[option]}}},
        *(
            task
            for name in ("preflight", "service")
            for task in yaml.safe_load((ROLE / "tasks" / f"{name}.yml").read_text())
            if "eaders" in task["name"]
        ),
    ]
    assert len(tasks) == 3
    variables = {
        "node_agent_zookeeper_hosts": zookeeper.options["hosts"],
        "node_agent_zookeeper_root": zookeeper.options["root"],
        "node_agent_zookeeper_password": zookeeper.options["password"],
        "node_agent_controller_directory": str(tmp_path),
        "__node_agent_absent": False,
    }
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    files = [str(ROLE / "defaults" / "main.yml"), "variables.json"]
    play = {"hosts": "node1", "gather_facts": False, "vars_files": files, "tasks": tasks}
    (tmp_path / "readers.yml").write_text(yaml.safe_dump([play]))
    return Controller(tmp_path, zookeeper)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, ["dashboard"]),
        ({"pvc_readers": {}}, []),
        ({"pvc_readers": {"pvc-reader": "looks"}}, ["pvc-reader"]),
        ({"node_agent_zookeeper_readers": {}}, []),
    ],
    ids=["the inventory says nothing", "nobody", "somebody else", "nobody, by the role's variable"],
)
def test_they_are_who_the_inventory_declares_if_it_declares_any(
    controller: Controller, zookeeper: Cluster, declared: dict[str, object], expected: list[str]
) -> None:
    fine, said = controller.run("readers.yml", "-e", json.dumps(declared), check=False)
    assert fine, said
    wanted = [{"name": name, "password": "looks"} for name in expected]
    assert (
        zookeeper.ok(access, {"readers": wanted}, check=True)["diff"]["before"] == f"readers: [{', '.join(expected)}]\n"
    )


def test_one_that_is_not_right_is_refused(controller: Controller) -> None:
    fine, said = controller.run("readers.yml", "-e", json.dumps({"pvc_readers": {"pvc": "looks"}}), check=False)
    assert not fine
    assert "node_agent_zookeeper_readers has an entry 'pvc' that is not right" in said
