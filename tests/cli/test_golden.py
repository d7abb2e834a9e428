# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people see of each command, as files to look at: golden/NAME.txt has the command, its exit code and its output.

When the output is to be another one, write the files anew, and look at the difference:
PVC_GOLDEN=write pytest tests/cli/test_golden.py
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.records import Evidence, Fence, Past, Service
from pvc_state.store import Create
from tests.cli.conftest import Pvc

GOLDEN = Path(__file__).parent / "golden"

FENCE = Fence(
    id="node2-7-123456",
    state="proven",
    since="2026-01-31T03:00:12Z",
    why="its session has ended",
    evidence=(
        Evidence("storage_cut", state="proven", why="Ceph refuses it", at="2026-01-31T03:00:13Z", epoch=42),
        Evidence("powered_off", device="bmc", state="failed", why="no answer", at="2026-01-31T03:00:14Z"),
    ),
    proven_by="storage_cut",
    proven_at="2026-01-31T03:00:13Z",
    epoch=42,
    moves={"web2": "to node1: 2560 MiB free, the only node that fits"},
    waiting={"db1": "no node can take it"},
)


def healthy(pvc: Pvc) -> None:
    for name, role in (("node1", "leader"), ("node2", "follower")):
        pvc.cluster.agents[name].tell(
            Service("zookeeper", "zookeeper", "serving", role, True, "2026-01-31T02:12:44Z", ""),
        )


def fenced(pvc: Pvc) -> None:
    pvc.cluster.agents["node2"].die()
    pvc.cluster.store.commit([Create(paths.fence("node2"), encode(FENCE))])


def fenced_before(pvc: Pvc) -> None:
    over = replace(FENCE, id="node1-3-1", waiting={})
    past = Past("node1", over, "2026-01-31T04:00:00Z", "the node came back and says that it is clean")
    pvc.cluster.store.commit([Create(paths.history("node1-3-1"), encode(past))])


STORIES = {
    "status": (healthy, ["status"]),
    "status-fenced": (fenced, ["status"]),
    "status-one-service": (healthy, ["status", "--service", "zookeeper", "--only-unhealthy"]),
    "nodes": (None, ["nodes"]),
    "nodes-fenced": (fenced, ["nodes"]),
    "vms": (None, ["vms"]),
    "vms-filtered": (None, ["vms", "--tag", "web", "--node", "node1"]),
    "vms-fenced": (fenced, ["vms"]),
    "show-vm": (None, ["show", "vm", "web1"]),
    "show-node": (None, ["show", "node", "node1"]),
    "show-settings": (None, ["show", "settings"]),
    "show-settings-yaml": (None, ["show", "settings", "-o", "yaml"]),
    "why-vm": (None, ["why", "vm", "web1"]),
    "why-vm-late": (None, ["why", "vm", "web2"]),
    "why-vm-fenced": (fenced, ["why", "vm", "web2"]),
    "why-vm-json": (None, ["-o", "json", "why", "vm", "web2"]),
    "why-node": (None, ["why", "node", "node1"]),
    "why-node-fenced": (fenced, ["why", "node", "node2"]),
    "why-fence": (fenced, ["why", "fence", "node2"]),
    "why-fence-over": (fenced_before, ["why", "fence", "node1"]),
    "why-fence-none": (None, ["why", "fence", "node1"]),
    "failover-report": (None, ["failover-report"]),
    "failover-report-one": (None, ["failover-report", "node2", "-o", "yaml"]),
    "top": (None, ["top"]),
    "help": (None, ["--help"]),
    "help-vms": (None, ["vms", "--help"]),
}


@pytest.mark.parametrize("name", STORIES)
def test_what_people_see(pvc: Pvc, name: str) -> None:
    begin, args = STORIES[name]
    if begin is not None:
        begin(pvc)
    result = pvc(*args)
    errors = f"--- on stderr\n{result.stderr}" if result.stderr else ""
    found = f"$ pvc {' '.join(args)}\n{result.stdout}{errors}--- exit code {result.exit_code}\n"
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("PVC_GOLDEN") == "write":
        path.write_text(found, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == found
    assert all(store.session_id == 0 for store in pvc.opened), "it has left a session open"


def test_every_file_has_its_story() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(STORIES)
