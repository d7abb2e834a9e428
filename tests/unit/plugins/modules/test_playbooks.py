# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks about nodes, run by ansible-playbook itself: dry runs on a cluster of which only ZooKeeper is real."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Leader
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create
from ansible_collections.pvc.cluster.plugins.modules import node, vm

from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import STATUS
from tests.unit.plugins.modules.harness import Cluster

ROOT = Path(__file__).resolve().parents[4]

#: Ceph as the playbook asks it: everything may stop, but OSDs while there is a file ``busy`` beside it.
CEPH = """#!/bin/sh
case "$*" in
    "node ls"*) echo '{"mon": {"node1": ["node1"]}, "osd": {"node1": [0], "node2": [1]}}' ;;
    "osd dump"*) echo '{"osds": [{"osd": 0, "state": ["exists", "up"]}, {"osd": 1, "state": ["exists", "up"]}]}' ;;
    "osd ok-to-stop"*) test ! -e "${0%/*}/busy" || { echo "Error EBUSY: 3 PGs would become unavailable" >&2; exit 16; } ;;
esac
"""


class Controller:
    """A machine with Ansible and a ``ceph`` of its own, and an inventory of the cluster: node2 is no coordinator."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        program = directory / "ceph"
        program.write_text(CEPH)
        program.chmod(0o755)
        local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
        inventory = {
            "all": {
                "vars": {**local, "pvc_connection": dict(cluster.options), "pvc_reboot_recent": 0},
                "children": {
                    "cluster": {"hosts": {"node2": {}}, "children": {"coordinators": {"hosts": {"node1": {}}}}}
                },
            }
        }
        (directory / "hosts.json").write_text(json.dumps(inventory))

    def run(self, playbook: str, *arguments: str) -> tuple[bool, str]:
        """Whether a dry run of it succeeds, and what it says."""
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "--check", "--inventory=hosts.json"]
        environment: dict[str, Any] = {
            **os.environ,
            "PATH": f"{self.directory}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_FORCE_COLOR": "0",
            "COLUMNS": "1000",
        }
        environment.pop("ANSIBLE_CONFIG", None)
        done = subprocess.run(
            [*command, f"pvc.cluster.{playbook}", *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode == 0, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def controller(zookeeper: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """Two nodes, of which node1 is the only coordinator, and a VM on node2."""
    nodes = [{"name": "node1", "coordinator": True}, {"name": "node2"}]
    zookeeper.ok(node, {"cluster_name": "lab", "nodes": nodes})
    with contextlib.ExitStack() as stack:
        for name in ("node1", "node2"):
            stack.enter_context(Agent(zookeeper.another(), name, replace(STATUS, boot_id="first")))
        zookeeper.store.commit([Create(paths.LEADER, encode(Leader("node1", "instance")), ephemeral=True)])
        zookeeper.ok(vm, {"name": "web1", "memory": 64, "node": "node2"})
        zookeeper.ok(vm, {"name": "web1", "node": ""})
        yield Controller(tmp_path, zookeeper)


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(controller: Controller, zookeeper: Cluster) -> None:
    before = zookeeper.dump()
    _fine, said = controller.run("reboot", "--limit=node2")
    assert "node2 is ready" in said
    assert "web1 -> node1" in said
    assert "would reboot the control node" in said, "so far it comes where all machines are this one"
    assert "TASK [Which of its OSDs Ceph waits for]" in said, "whatever fails, that is looked after"
    assert zookeeper.dump() == before


def test_a_coordinator_that_the_others_need_is_not_rebooted(controller: Controller) -> None:
    fine, said = controller.run("reboot", "--limit=node1")
    assert not fine
    assert "node1 cannot be spared: without it, 1 of 2 servers of ZooKeeper" in said
    assert "No other node is touched" in said


def test_a_node_whose_disks_ceph_needs_is_not_rebooted(controller: Controller) -> None:
    (controller.directory / "busy").touch()
    fine, said = controller.run("reboot", "--limit=node2")
    assert not fine
    assert "3 PGs would become unavailable" in said
    assert "TASK [It reboots]" not in said


def test_a_drain_says_where_vms_go(controller: Controller) -> None:
    fine, said = controller.run("drain", "-e", "pvc_nodes=node2")
    assert fine, said
    assert "web1: node2 -> node1: node2 is drained" in said


def test_a_drain_names_its_nodes(controller: Controller) -> None:
    fine, said = controller.run("drain")
    assert not fine
    assert "Name the nodes with --limit or -e pvc_nodes=NAME,NAME" in said
