# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real ansible-rulebook runs the collection's own rulebooks against a real ZooKeeper, and posts to a local web server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.records import Fence, Past, Service
from pvc_state.store import Create, Delete
from tests.eda.conftest import Site
from tests.eda.listener import Listener
from tests.eda.rulebook import EDA, Rulebook

pytestmark = pytest.mark.timeout(300)


def die(site: Site, node: str, number: int, why: str = "its session has ended") -> None:
    fence = Fence(f"{node}-1-{number}", "collecting", why, since="2026-01-01T00:00:00Z")
    site.cluster.store.commit([Create(paths.fence(node), encode(fence))])


def come_back(site: Site, node: str, number: int) -> None:
    znode = site.cluster.store.get(paths.fence(node))
    assert znode is not None
    fence = Fence(f"{node}-1-{number}", "lifting", "its session has ended", proven_by="powered_off")
    past = Past(node, fence, "2026-01-01T00:01:00Z", "it is back", znode.czxid, znode.mzxid)
    site.cluster.store.commit([Delete(paths.fence(node), znode.version), Create(paths.history(fence.id), encode(past))])


def test_a_job_is_launched_for_each_event_once_whenever_the_rulebook_runs(
    site: Site, listener: Listener, state: Path, tmp_path: Path
) -> None:
    variables = {"PVC_JOB_TEMPLATE": "Node report", "PVC_ORGANIZATION": "Default", "PVC_STATE": str(state)}
    rulebook = Rulebook("pvc.cluster.awx", tmp_path / "log", site.environment, variables)
    controller = ("--controller-url", listener.url, "--controller-token", "secret")
    with rulebook.start(*controller):
        rulebook.await_file(state / "awx.json")
        die(site, "node1", 1, "its session {{ has }} ended")
        (first,) = listener.await_posts(1)
    event = first["extra_vars"]["ansible_eda"]["event"]
    assert (event["type"], event["node"], event["cluster"]) == ("node_dead", "node1", "lab")
    # what others have written is no template for Ansible
    assert event["sentence"] == "node1 is gone: its session { { has }} ended."
    assert (state / "awx.json").stat().st_mode & 0o777 == 0o600

    # nobody looks: the same node comes back and dies again
    come_back(site, "node1", 1)
    die(site, "node1", 2)
    with rulebook.start(*controller):
        listener.await_posts(3)
        die(site, "node2", 3)
        posted = listener.await_posts(4)
    ids = [one["extra_vars"]["ansible_eda"]["event"]["id"] for one in posted]
    # jobs are launched side by side, so one may overtake another
    assert ids[0] == "node_dead:node1-1-1"
    assert sorted(ids[1:]) == ["node_dead:node1-1-2", "node_dead:node2-1-3", "recovered:node1-1-1"]


def test_a_web_hook_is_told(site: Site, listener: Listener, state: Path, tmp_path: Path) -> None:
    variables = {"PVC_WEBHOOK": listener.url, "PVC_STATE": str(state)}
    rulebook = Rulebook("pvc.cluster.nodes", tmp_path / "log", site.environment, variables)
    with rulebook.start("--inventory", str(EDA / "inventory.yml")):
        rulebook.await_file(state / "nodes.json")
        die(site, "node1", 1)
        (posted,) = listener.await_posts(1)
    assert posted == {
        "id": "node_dead:node1-1-1",
        "type": "node_dead",
        "cluster": "lab",
        "node": "node1",
        "text": "node1 is gone: its session has ended.",
    }


def test_a_wrong_password_is_said_and_nothing_is_changed(site: Site, state: Path, tmp_path: Path) -> None:
    before = site.cluster.store.get("/")
    environment = {**site.environment, "PVC_PASSWORD": "wrong"}
    rulebook = Rulebook("pvc.cluster.drift", tmp_path / "log", environment, {"PVC_STATE": str(state)})
    with rulebook.start():
        assert rulebook.wait() == 1
    assert f"password: the store refuses user pvc access to {site.root}" in rulebook.text
    assert "check username and password" in rulebook.text
    assert "wrong" not in rulebook.text
    assert list(state.iterdir()) == []
    assert site.cluster.store.get("/") == before


def test_the_report_of_drift_is_on_standard_output(site: Site, state: Path, tmp_path: Path) -> None:
    site.cluster.agents["node1"].tell(Service("ceph", "osd.0", "down", healthy=False, why="it is down", since="t1"))
    rulebook = Rulebook("pvc.cluster.drift", tmp_path / "log", site.environment, {"PVC_STATE": str(state)})
    with rulebook.start():
        rulebook.await_text("Ceph on node1 (osd.0) is not healthy: it is down.")
    assert json.loads((state / "drift.json").read_text())["unhealthy"] == {"node1": {"ceph/osd.0": "down since t1"}}
