# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting is woken by what agents write, and by nothing else. The agent here acts whenever the waiter looks."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import pytest

from pvc_state import paths
from pvc_state.errors import StoreUnavailable, WaitTimeout
from pvc_state.requests import VmRequest
from pvc_state.store import Watch
from pvc_state.wait import wait_for_vms
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped

LONG, SHORT = 30.0, 0.05


class Acting(Wrapped):
    """After each look at who is alive, the last thing that a waiter reads, the next step happens."""

    def __init__(self, cluster: Cluster, *steps: Callable[[], None]) -> None:
        super().__init__(cluster.connect())
        self.steps = list(steps)
        self.looks = 0

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        result = super().children(path, watch)
        if path == paths.VMS and watch is not None:
            self.looks += 1
        return result

    def get(self, path: str, watch: Watch | None = None):  # type: ignore[no-untyped-def]
        result = super().get(path, watch)
        if path.startswith(paths.ALIVE) and self.steps:
            self.steps.pop(0)()
        return result


def test_it_ends_when_the_vm_runs(cluster: Cluster) -> None:
    cluster.apply(request())
    agent = cluster.agents["node1"]
    store = Acting(cluster, lambda: agent.observe("web1", "starting"), lambda: agent.observe("web1", "running"))
    snapshot = wait_for_vms(store, ["web1"], LONG)
    status = snapshot.report("node1")
    assert status is not None
    assert status.vms["web1"].state == "running"
    assert store.looks == 3


def test_it_ends_when_all_vms_are_as_wanted(cluster: Cluster) -> None:
    cluster.apply(request("a", node="node1"), request("b", node="node2", state="stopped"))
    store = Acting(
        cluster,
        lambda: cluster.agents["node1"].observe("a", "running"),
        lambda: cluster.agents["node2"].observe("b", "stopped"),
    )
    wait_for_vms(store, ["a", "b"], LONG)
    assert store.steps == []


def test_it_ends_at_once_when_all_is_as_wanted(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "running")
    wait_for_vms(cluster.store, ["web1"], 0)
    wait_for_vms(cluster.store, ["never-existed"], 0)


def test_it_ends_when_the_vm_is_gone(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", state="absent"))
    snapshot = wait_for_vms(Acting(cluster, lambda: cluster.agents["node1"].remove("web1")), ["web1"], LONG)
    assert "web1" not in snapshot.vms


def test_it_follows_a_vm_that_moves(cluster: Cluster) -> None:
    cluster.apply(request(state="stopped"))
    cluster.apply(VmRequest("web1", node="node2"))
    one, two = cluster.agents["node1"], cluster.agents["node2"]
    store = Acting(cluster, lambda: one.hand_over("web1", "node2"), lambda: two.observe("web1", "stopped"))
    assert wait_for_vms(store, ["web1"], LONG).owner("web1") == "node2"


def test_it_follows_a_vm_whose_node_dies(cluster: Cluster) -> None:
    """The leader gives it to another node; nobody has asked for that."""
    cluster.apply(request())
    first, second = cluster.agents["node1"], cluster.agents["node2"]
    first.observe("web1", "starting")
    store = Acting(
        cluster,
        first.die,
        lambda: first.hand_over("web1", "node2"),
        lambda: second.observe("web1", "running"),
    )
    assert wait_for_vms(store, ["web1"], LONG).owner("web1") == "node2"


def test_it_follows_a_vm_that_the_leader_moves(cluster: Cluster) -> None:
    cluster.apply(request())
    first, second = cluster.agents["node1"], cluster.agents["node2"]
    first.observe("web1", "starting")

    def move() -> None:
        first.hand_over("web1", "node2")
        first.report(lambda status: dataclasses.replace(status, vms={}))

    store = Acting(cluster, move, lambda: second.observe("web1", "running"))
    assert wait_for_vms(store, ["web1"], LONG).owner("web1") == "node2"


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (lambda cluster: None, "vm web1: the agent of node1 has not reported it yet"),
        (
            lambda cluster: cluster.agents["node1"].observe("web1", "backoff", reason="its volume is missing"),
            "vm web1: it is backoff on node1 (its volume is missing)",
        ),
        (
            lambda cluster: cluster.agents["node1"].report(lambda status: dataclasses.replace(status, boot_id="old")),
            "vm web1: node1 has not reported since it was last powered on",
        ),
        (
            lambda cluster: cluster.overwrite(paths.vm("web1"), b"{}"),
            "vm web1: it has a damaged record (record lacks field memory)",
        ),
        (lambda cluster: cluster.agents["node1"].die(), "vm web1: node1 is down: its agent has no session"),
    ],
    ids=["silent", "backoff", "rebooted", "damaged", "dead"],
)
def test_a_timeout_says_what_is_missing(cluster: Cluster, harm: Callable[[Cluster], None], text: str) -> None:
    cluster.apply(request())
    harm(cluster)
    with pytest.raises(WaitTimeout) as info:
        wait_for_vms(cluster.store, ["web1"], SHORT)
    assert str(info.value) == (
        f"not reached within {SHORT:g} s: {text}; "
        "the change is committed and the agents go on with it; see why it takes long, or wait longer"
    )


def test_a_timeout_of_many_is_short(cluster: Cluster) -> None:
    cluster.apply(*(request(f"vm{index}", memory=64) for index in range(9)))
    with pytest.raises(WaitTimeout, match=r"vm vm0: .*; vm vm1: .*; vm vm2: [^;]*, and 6 more; the change"):
        wait_for_vms(cluster.store, [f"vm{index}" for index in range(9)], SHORT)


def test_a_vm_that_its_agent_has_given_up_is_not_waited_for(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "failed", reason="no such kernel")
    with pytest.raises(WaitTimeout) as info:
        wait_for_vms(cluster.store, ["web1"], LONG)
    assert str(info.value) == ("vm web1: its agent has given up: no such kernel; remove the cause, then change the VM")


def test_it_survives_a_cut(cluster: Cluster) -> None:
    cluster.apply(request())
    session = cluster.connect()
    store = Acting(cluster)
    store.inner = session

    def cut() -> None:
        cluster.ensemble.cut(session)
        # the agent acts, unseen, and the connection comes back
        cluster.agents["node1"].observe("web1", "running")
        cluster.ensemble.heal(session)

    store.steps.append(cut)
    wait_for_vms(store, ["web1"], LONG)


def test_the_return_of_the_connection_wakes_it(cluster: Cluster) -> None:
    cluster.apply(request())
    session = cluster.connect()
    store = Acting(cluster)
    store.inner = session

    def back() -> None:
        cluster.agents["node1"].observe("web1", "running")
        cluster.ensemble.heal(session)

    # It finds the store away and has no watch left; only the session can tell it.
    timer = threading.Timer(0.2, back)
    store.steps.append(lambda: cluster.ensemble.cut(session))
    timer.start()
    wait_for_vms(store, ["web1"], LONG)
    timer.join()


def test_a_store_that_stays_away_is_the_error(cluster: Cluster) -> None:
    cluster.apply(request())
    store = Acting(cluster)
    store.steps.append(cluster.ensemble.down)
    with pytest.raises(StoreUnavailable):
        wait_for_vms(store, ["web1"], SHORT)
