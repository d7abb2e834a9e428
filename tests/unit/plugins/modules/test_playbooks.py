# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks about nodes, run by ansible-playbook itself: dry runs on a cluster of which only ZooKeeper is real."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Leader
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Create
from ansible_collections.pvc.cluster.plugins.modules import node, vm

from tests.unit.plugins.modules.agent import Agent
from tests.unit.plugins.modules.conftest import STATUS
from tests.unit.plugins.modules.controller import Controller
from tests.unit.plugins.modules.harness import Cluster


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
