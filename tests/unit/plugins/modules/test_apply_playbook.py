# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents as users apply them: files on the controller, read by the playbook, encrypted ones among them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.pvc.cluster.plugins.modules import history_info, node, vm_info

from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import NODES, STATUS
from tests.unit.plugins.modules.controller import Controller
from tests.unit.plugins.modules.harness import Cluster

WEB = "document: shop\nvms:\n- {name: web1, memory: 64, description: '{{ 7 * 7 }}'}\n"


@pytest.fixture
def controller(zookeeper: Cluster, tmp_path: Path) -> Iterator[Controller]:
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": [{"name": name} for name in NODES]})
    with contextlib.ExitStack() as stack:
        for name in NODES:
            stack.enter_context(Agent(zookeeper.another(), name, STATUS))
        (tmp_path / "cluster").mkdir()
        yield Controller(tmp_path, zookeeper)


def vms(cluster: Cluster) -> dict[str, str]:
    return {one["name"]: one["description"] for one in cluster.ok(vm_info, {})["vms"]}


def test_look_apply_and_go_back(controller: Controller, zookeeper: Cluster) -> None:
    folder = controller.directory / "cluster"
    # relative, it would be beside the playbook
    saved = controller.directory / "plan.json"
    (folder / "web.yml").write_text(WEB)
    secret = folder / "more.yml"
    secret.write_text("vms:\n- {name: hidden, memory: 64}\n")
    (controller.directory / "key").write_text("sesame")
    vault = [str(Path(sys.executable).parent / "ansible-vault"), "encrypt", "--vault-password-file=key", str(secret)]
    subprocess.run(vault, cwd=controller.directory, check=True, capture_output=True)
    arguments = ("-e", "pvc_src=cluster", "--vault-password-file=key")
    fine, said = controller.run("apply", *arguments)
    assert fine, said
    assert "+ vm web1: created on" in said
    assert "Plan: 2 to create." in said
    assert vms(zookeeper) == {}
    assert controller.run("apply", *arguments, check=False)[0]
    assert vms(zookeeper) == {"hidden": "", "web1": "{{ 7 * 7 }}"}, "what is in files is data"
    made = zookeeper.ok(history_info, {"limit": 1})["commits"][0]
    assert "apply" in made["via"]
    fine, said = controller.run("apply", *arguments, "-e", f"pvc_save={saved}", check=False)
    assert fine, said
    assert "Nothing to change." in said
    secret.write_text("")
    (folder / "web.yml").write_text(WEB.replace("web1", "web2"))
    pruning = ("-e", "pvc_src=cluster", "-e", "pvc_prune=true")
    fine, said = controller.run("apply", *pruning, "-e", f"pvc_save={saved}", check=False)
    assert fine, said
    assert "hidden" in vms(zookeeper)
    fine, said = controller.run("apply", "-e", f"pvc_plan={saved}", check=False)
    assert fine, said
    assert list(vms(zookeeper)) == ["web2"]
    fine, said = controller.run("apply", "-e", f"pvc_plan={saved}", check=False)
    assert not fine
    assert "the world has moved since it was made" in said
    fine, said = controller.run("apply", "-e", f"pvc_commit={made['revision']}", "-e", "pvc_mark=shop", check=False)
    assert fine, said
    assert set(vms(zookeeper)) == {"hidden", "web1", "web2"}


def test_what_is_wrong_is_told_with_file_and_line(controller: Controller, zookeeper: Cluster) -> None:
    (controller.directory / "cluster" / "a.yml").write_text(
        "vms:\n- name: web1\n  memory: 900G\n  nics: [{bridge: br9}]\n"
    )
    (controller.directory / "cluster" / "b.yml").write_text(
        "vms:\n- {name: web2, memory: 64, placement: ''}\n- {name: web3}\n"
    )
    before = zookeeper.dump()
    fine, said = controller.run("apply", "-e", "pvc_src=cluster", check=False)
    assert not fine
    assert "cluster/a.yml:4: vm web1, nics[0].bridge: no live node has a bridge br9" in said
    assert "cluster/b.yml:3: vm web3, memory: it is missing" in said
    (controller.directory / "cluster" / "b.yml").write_text("vms:\n- {name: web2, memry: 64}\nvmz: []\n")
    fine, said = controller.run("apply", "-e", "pvc_src=cluster", check=False)
    assert not fine
    assert "cluster/b.yml:3: document, vmz: a document has no vmz; did you mean vms?" in said
    assert zookeeper.dump() == before


def test_a_document_in_a_variable_has_templates(controller: Controller, zookeeper: Cluster) -> None:
    variables = {
        "pvc_document": {"vms": [{"name": "web1", "memory": "{{ 2 * 32 }}", "description": "{{ who }}"}]},
        "who": "me",
    }
    fine, said = controller.run("apply", "-e", json.dumps(variables), check=False)
    assert fine, said
    assert vms(zookeeper) == {"web1": "me"}


def test_the_connection_may_come_from_the_environment_alone(
    controller: Controller, zookeeper: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zookeeper.options.items():
        monkeypatch.setenv(f"PVC_{name.upper()}", ",".join(value) if isinstance(value, list) else value)
    (controller.directory / "hosts.json").write_text("{}")
    (controller.directory / "cluster" / "web.yml").write_text(WEB)
    fine, said = controller.run("apply", "-e", "pvc_src=cluster")
    assert fine, said
    assert "+ vm web1: created on" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "given: none of them"),
        (("-e", "pvc_src=a", "-e", "pvc_plan=b"), "given: pvc_src, pvc_plan"),
        (("-e", "pvc_src=nowhere"), "nowhere"),
        (("-e", "pvc_plan=hosts.json"), "it is no saved plan"),
    ],
)
def test_bad_input(controller: Controller, zookeeper: Cluster, arguments: tuple[str, ...], words: str) -> None:
    before = zookeeper.dump()
    fine, said = controller.run("apply", *arguments, check=False)
    assert not fine
    assert words in said
    assert zookeeper.dump() == before
