# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the info modules let through, and what they show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.pvc.cluster.plugins.modules import node, node_info, vm, vm_info

from tests.unit.plugins.modules.conftest import STATUS, Agents
from tests.unit.plugins.modules.harness import Cluster, Options

ROOT = Path(__file__).resolve().parents[4]

#: What reading VMs takes of pvc_state: records and how they are read, how they are shown, and the store.
READING = {
    *("codec", "commit_records", "errors", "fence_devices", "fence_records", "paths", "records", "vm_records"),
    *("snapshot", "staging", "store"),
    *("info", "views", "fence_report", "ha_budget", "hardware_changes", "history", "node_limits"),
    *("connection", "kazoo_store"),
}

VMS = [
    {"name": "a", "node": "node1", "tags": ["web", "old"]},
    {"name": "b", "node": "node2", "tags": ["web"], "state": "stopped"},
    {"name": "c", "node": "node2", "state": "disabled"},
]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["a", "b", "c"]),
        ({"names": ["c", "a", "missing"]}, ["a", "c"]),
        ({"names": []}, []),
        ({"state": "started"}, ["a"]),
        ({"state": "disabled"}, ["c"]),
        ({"node": "node2"}, ["b", "c"]),
        ({"node": "node7"}, []),
        ({"tags": ["web"]}, ["a", "b"]),
        ({"tags": ["old", "web"]}, ["a"]),
        ({"tags": []}, ["a", "b", "c"]),
        ({"node": "node2", "tags": ["web"], "state": "started"}, []),
    ],
)
def test_filters_of_vm_info(cluster: Cluster, agents: Agents, filters: Options, names: list[str]) -> None:
    with agents():
        cluster.ok(vm, {"vms": VMS, "memory": 64})
    before = cluster.dump()
    shown = cluster.ok(vm_info, filters)
    assert [one["name"] for one in shown["vms"]] == names
    assert not shown["changed"]
    assert "diff" not in shown
    assert cluster.dump() == before


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["node1", "node2", "node3"]),
        ({"names": ["node3", "missing"]}, ["node3"]),
        ({"alive": True}, ["node1", "node2"]),
        ({"alive": False}, ["node3"]),
        ({"coordinator": True}, ["node3"]),
        ({"coordinator": False, "names": ["node1", "node3"]}, ["node1"]),
    ],
)
def test_filters_of_node_info(cluster: Cluster, agents: Agents, filters: Options, names: list[str]) -> None:
    cluster.ok(node, {"name": "node3", "coordinator": True})
    with agents():
        shown = cluster.ok(node_info, filters)
    assert [one["name"] for one in shown["nodes"]] == names
    assert shown["cluster_name"] == "lab"
    assert not shown["changed"]


def test_what_is_shown_of_a_vm(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": "1G", "disks": [{"size": "1G"}], "nics": [{"bridge": "br0"}]})
        (shown,) = cluster.ok(vm_info, {})["vms"]
    assert shown["damaged"] == ""
    assert shown["memory"] == 1024
    (disk,) = shown["disks"]
    assert (disk["pool"], disk["volume"], disk["size"], disk["bus"]) == ("vms", "web1-disk0", 1 << 30, "virtio")
    assert shown["claim"] == {"node": "node1", "epoch": 1, "to": None, "why": "", "home": None, "away": False}
    assert shown["waiting"] is None
    assert shown["observed"]["state"] == "running"
    assert shown["observed"]["reason"] == "started, as wanted"
    assert shown["settled"]


def test_what_is_shown_of_a_node(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {"name": "web1", "memory": "1G", "node": "node1"})
        first, second = cluster.ok(node_info, {})["nodes"]
    assert (first["vms"], second["vms"]) == (["web1"], [])
    assert first["alive"]
    assert first["observed"]["memory"] == STATUS.memory
    assert first["observed"]["memory_free"] == STATUS.memory - first["memory_reserve"] - 1024
    assert not cluster.ok(node_info, {"names": ["node1"]})["nodes"][0]["alive"]


def test_vm_info_imports_nothing_that_others_report_with() -> None:
    """Each call pays for what its module imports, on each host and each time."""
    package = "ansible_collections.pvc.cluster.plugins"
    code = f"import sys, {package}.modules.vm_info; print(*sys.modules)"
    env = {**os.environ, "PYTHONPATH": str(ROOT / "collections")}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True)
    library = f"{package}.module_utils.pvc_state."
    imported = {name.removeprefix(library) for name in done.stdout.split() if name.startswith(library)}
    assert "info" in imported
    assert imported - READING == set()
