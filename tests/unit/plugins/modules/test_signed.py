# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commits name who runs which playbook: run by ansible-playbook itself, with a real ZooKeeper."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.action import apply as apply_action
from ansible_collections.pvc.cluster.plugins.modules import history_info, node
from ansible_collections.pvc.cluster.plugins.plugin_utils import signed

from tests.unit.plugins.modules.conftest import PASSWORD
from tests.unit.plugins.modules.harness import Cluster

ROOT = Path(__file__).resolve().parents[4]
ME = f"{os.environ.get('SUDO_USER') or getpass.getuser()} on {socket.gethostname()}"
PLAY = "playbook site.yml, play Changes"


def task(reserve: int, **more: Any) -> dict[str, Any]:
    """A task that sets a node's reserve, by which its commit is known."""
    options = {"name": "node1", "memory_reserve": str(reserve), **more.pop("options", {})}
    return {"name": f"Reserve {reserve}", "pvc.cluster.node": options, **more}


def play(cluster: Cluster, directory: Path, tasks: list[dict[str, Any]], *arguments: str, **keywords: Any) -> str:
    """Runs tasks as a play with the connection as defaults of the group; returns the output."""
    connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    defaults = [{"group/pvc.cluster.cluster": {**cluster.options, "hosts": cluster.options["hosts"]}}]
    head = {"name": "Changes", "hosts": "localhost", "gather_facts": False, "vars": connection}
    whole = {**head, "module_defaults": defaults[0], "tasks": tasks, **keywords}
    (directory / "site.yml").write_text(yaml.safe_dump([whole]))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PVC_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "ANSIBLE_FORCE_COLOR": "0"}
    environment.pop("ANSIBLE_CONFIG", None)
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run(
        [program, "site.yml", "-i", "localhost,", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def said(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Who and via by what a commit did, the first commit left out."""
    commits = cluster.ok(history_info, {"since": 1})["commits"]
    return {one["changes"][0]["why"].rpartition(" ")[2]: (one["who"], one["via"]) for one in commits}


def test_what_a_playbook_says_of_itself(zookeeper: Cluster, tmp_path: Path) -> None:
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
    tasks = [
        task(1001),
        task(1002, options={"author": "alice", "job": "by hand"}),
        task(1003, options={"author": "alice"}),
        task(1004, environment={"PVC_AUTHOR": "bob", "PVC_JOB": "night"}),
        task(1005, module_defaults={"group/pvc.cluster.cluster": {**zookeeper.options, "author": "carol"}}),
        task(1006, check_mode=True),
        {**task(0, options={"memory_reserve": "{{ item }}"}, loop=["1007", "1008"]), "name": "Reserve in a loop"},
        task(1009, **{"async": 60, "poll": 1}),
        {"name": "Settings", "pvc.cluster.settings": {"parallel_moves": 3}},
    ]
    output = play(zookeeper, tmp_path, tasks)
    assert "ok=9" in output
    assert PASSWORD not in json.dumps(zookeeper.ok(history_info, {})["commits"])
    assert said(zookeeper) == {
        "1001": (ME, PLAY),
        "1002": ("alice", "by hand"),
        "1003": ("alice", PLAY),
        "1004": ("bob", "night"),
        "1005": ("carol", PLAY),
        "1007": (ME, PLAY),
        "1008": (ME, PLAY),
        "1009": (ME, PLAY),
        "3": (ME, PLAY),
    }


def test_what_a_job_of_awx_says_of_itself(zookeeper: Cluster, tmp_path: Path) -> None:
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
    job = {"awx_job_id": 17, "awx_job_template_name": "Apply", "awx_user_name": "alice"}
    play(zookeeper, tmp_path, [task(1001)], "-e", json.dumps(job))
    assert said(zookeeper) == {"1001": ("alice", "AWX job 17 (Apply)")}


def test_what_is_said_is_text_and_never_a_template(zookeeper: Cluster, tmp_path: Path) -> None:
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
    play(
        zookeeper, tmp_path, [task(1001)], "-e", json.dumps({"tower_job_id": "1", "tower_user_name": "a\n" + "b" * 300})
    )
    ((who, via),) = said(zookeeper).values()
    assert (who, via) == ("a " + "b" * 198, "AWX job 1")


@pytest.mark.parametrize(
    ("variables", "who", "via"),
    [
        ({"awx_job_id": 1, "awx_user_name": "alice"}, "alice", "AWX job 1"),
        ({"tower_job_id": 1, "tower_user_name": "alice"}, "alice", "AWX job 1"),
        ({"awx_job_id": 1, "awx_schedule_name": "nightly"}, "AWX schedule nightly", "AWX job 1"),
        ({"awx_job_id": 1, "awx_parent_job_schedule_name": "nightly"}, "AWX schedule nightly", "AWX job 1"),
        ({"awx_job_id": 1, "awx_workflow_job_name": "All"}, "AWX", "AWX job 1 (workflow All)"),
        (
            {"awx_job_id": 1, "awx_job_template_name": "Apply", "awx_workflow_job_name": "All"},
            "AWX",
            "AWX job 1 (Apply, workflow All)",
        ),
        ({"ansible_play_name": "Web servers"}, ME, "play Web servers"),
        ({}, ME, "play without a name"),
    ],
)
def test_who_and_via(monkeypatch: pytest.MonkeyPatch, variables: dict[str, Any], who: str, via: str) -> None:
    monkeypatch.delenv("PVC_AUTHOR", raising=False)
    monkeypatch.delenv("PVC_JOB", raising=False)
    assert (signed.who(variables), signed.via(variables)) == (who, via)


def test_the_environment_of_the_controller_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVC_AUTHOR", "pipeline")
    monkeypatch.setenv("PVC_JOB", "build 7")
    assert (signed.who({"awx_job_id": 1}), signed.via({"awx_job_id": 1})) == ("pipeline", "build 7")


def test_every_module_that_commits_has_the_action_and_no_other() -> None:
    routing = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())["plugin_routing"]["modules"]
    led = {name for name, where in routing.items() if where == {"action_plugin": "pvc.cluster.vm"}} | {"apply"}
    modules = {path.stem: path.read_text() for path in (ROOT / "plugins" / "modules").glob("*.py")}
    assert issubclass(apply_action.ActionModule, signed.SignedAction)
    assert led | {"vm"} == {name for name, text in modules.items() if "_module.author(module)" in text}
    assert {
        name
        for name, text in modules.items()
        if any(call in text for call in (" commit(", "commit_nodes(", "carry_out("))
    } == led | {"vm"}
