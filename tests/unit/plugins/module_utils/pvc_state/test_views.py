# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.fence_devices import DECLARATION, SERVICE, declaration
from pvc_state.records import Alive, FenceDevice, Node, Service
from pvc_state.requests import VmRequest
from pvc_state.store import Create
from pvc_state.views import node_view, settled, vm_view
from tests.unit.plugins.module_utils.pvc_state.builders import GIB, Cluster, request


def test_a_vm_shows_what_is_wanted_claimed_and_observed(cluster: Cluster) -> None:
    cluster.apply(request(tags=["a"], description="shop"))
    cluster.agents["node1"].observe("web1", "running", reason="started as wanted", console="/log")
    view = vm_view(cluster.snapshot, "web1")
    vm = cluster.vm("web1")
    assert view == {
        "name": "web1",
        "damaged": "",
        "uuid": vm.uuid,
        "generation": 1,
        "state": "started",
        "node": None,
        "memory": 512,
        "vcpus": 1,
        "disks": [
            {
                "pool": "vms",
                "volume": "web1-disk0",
                "size": GIB,
                "source": "",
                "bus": "virtio",
                "cache": "writeback",
                "discard": True,
                "iothread": False,
                "limits": {"read_iops": 0, "write_iops": 0, "read_bytes": 0, "write_bytes": 0},
            }
        ],
        "nics": [{"bridge": "br0", "mac": vm.nics[0].mac, "model": "virtio", "link": True}],
        "boot": {"kernel": "", "initrd": "", "cmdline": ""},
        "memory_max": 0,
        "vcpus_max": 0,
        "cpu": {"model": "", "sockets": 0, "cores": 0, "threads": 0, "features": {}, "dedicated": False},
        "devices": {
            "video": "none",
            "graphics": "none",
            "rng": True,
            "agent": True,
            "watchdog": "none",
            "tpm": False,
            "host": [],
        },
        "machine": "",
        "firmware": "bios",
        "secure_boot": False,
        "xml": "",
        "description": "shop",
        "tags": ["a"],
        "shutdown_timeout": 90,
        "migration": {"method": "live", "max_downtime": 300, "bandwidth": 0, "auto_converge": True, "post_copy": False},
        "ha": {"max_local_restarts": 3, "max_moves": 1, "priority": 0, "failback": True, "power_off": False},
        "placement": "",
        "delete_volumes": False,
        "protected_tags": [],
        "metadata": {},
        "autostart": False,
        "restart": 0,
        "reset": 0,
        "document": "",
        "kept_volumes": [],
        "claim": {"node": "node1", "epoch": 1, "to": None, "why": "", "home": None, "away": False},
        "waiting": None,
        "observed": {
            "node": "node1",
            "node_alive": True,
            "state": "running",
            "reason": "started as wanted",
            "generation": 1,
            "restarts": 0,
            "moved": "",
            "console": "/log",
            "screen": None,
        },
        "settled": True,
        "pending": [],
        "restart_required": False,
    }
    assert json.loads(json.dumps(view)) == view


def test_nothing_is_observed_before_the_agent_reports(cluster: Cluster) -> None:
    cluster.apply(request())
    view = vm_view(cluster.snapshot, "web1")
    assert view["observed"] is None
    assert not view["settled"]


def test_what_was_observed_under_another_claim_counts_for_nothing(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "running", epoch=7)
    assert vm_view(cluster.snapshot, "web1")["observed"] is None
    assert not settled(cluster.snapshot, "web1")


def test_changed_hardware_requires_a_restart_and_harmless_fields_do_not(cluster: Cluster) -> None:
    agent = cluster.agents["node1"]
    cluster.apply(request())
    agent.observe("web1", "running")
    cluster.apply(VmRequest("web1", description="x"))
    agent.observe("web1", "running", definition=1)
    assert not vm_view(cluster.snapshot, "web1")["restart_required"]
    cluster.apply(VmRequest("web1", memory=1024))
    agent.observe("web1", "running", definition=1, pending=("memory 512 -> 1024",))
    view = vm_view(cluster.snapshot, "web1")
    assert view["restart_required"]
    assert view["pending"] == ["memory 512 -> 1024"]
    assert view["settled"], "it is as it should be until it is restarted"
    agent.observe("web1", "running")
    assert not vm_view(cluster.snapshot, "web1")["restart_required"]


def test_a_stopped_vm_requires_no_restart(cluster: Cluster) -> None:
    cluster.apply(request(state="stopped"))
    cluster.agents["node1"].observe("web1", "stopped", definition=0)
    cluster.apply(VmRequest("web1", memory=1024))
    assert not vm_view(cluster.snapshot, "web1")["restart_required"]


@pytest.mark.parametrize(
    ("wanted", "observed", "is_settled"),
    [
        ("started", "running", True),
        ("started", "starting", False),
        ("started", "stopped", False),
        ("started", "backoff", False),
        ("stopped", "stopped", True),
        ("stopped", "stopping", False),
        ("disabled", "stopped", True),
        ("disabled", "running", False),
    ],
)
def test_settled_is_what_was_wanted(cluster: Cluster, wanted: str, observed: str, is_settled: bool) -> None:
    cluster.apply(request(state=wanted))
    cluster.agents["node1"].observe("web1", observed)
    assert settled(cluster.snapshot, "web1") is is_settled


def test_what_ran_before_a_power_cut_is_not_settled(cluster: Cluster) -> None:
    cluster.apply(request())
    agent = cluster.agents["node1"]
    agent.observe("web1", "running")
    agent.die()
    assert not settled(cluster.snapshot, "web1")
    cluster.store.commit([Create(paths.alive("node1"), encode(Alive("next boot", "agent")), ephemeral=True)])
    assert not settled(cluster.snapshot, "web1")
    agent.report(lambda status: dataclasses.replace(status, boot_id="next boot"))
    assert settled(cluster.snapshot, "web1")


def test_an_older_generation_is_not_settled(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.agents["node1"].observe("web1", "running", generation=0)
    assert not settled(cluster.snapshot, "web1")


def test_a_vm_is_settled_only_where_it_is_bound_to(cluster: Cluster) -> None:
    cluster.apply(request(state="stopped"))
    cluster.apply(VmRequest("web1", node="node2"))
    cluster.agents["node1"].observe("web1", "stopped")
    assert not settled(cluster.snapshot, "web1")
    cluster.agents["node1"].hand_over("web1", "node2")
    cluster.agents["node2"].observe("web1", "stopped")
    assert settled(cluster.snapshot, "web1")


def test_a_deleted_vm_is_settled_once_it_is_gone_and_shows_what_it_leaves(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", state="absent"))
    cluster.agents["node1"].observe("web1", "stopped")
    assert not settled(cluster.snapshot, "web1")
    assert vm_view(cluster.snapshot, "web1")["kept_volumes"] == ["vms/web1-disk0"]
    cluster.agents["node1"].remove("web1")
    assert settled(cluster.snapshot, "web1")


def test_a_damaged_vm_shows_its_damage(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.overwrite(paths.vm("web1"), b"{}")
    view = vm_view(cluster.snapshot, "web1")
    assert view["damaged"] == "record lacks field memory"
    assert view["claim"]["node"] == "node1"
    assert "memory" not in view
    assert not view["settled"]


def test_a_node_shows_what_it_has_and_what_is_left(cluster: Cluster) -> None:
    cluster.apply(request("b", node="node1"), request("a", node="node1"), request("c", node="node2"))
    assert node_view(cluster.snapshot, "node1") == {
        "name": "node1",
        "damaged": "",
        "state": "ready",
        "coordinator": False,
        "memory_reserve": 1024,
        "fence": [],
        "fence_together": False,
        "devices": [],
        "document": "",
        "generation": 1,
        "alive": True,
        "fenced": None,
        "vms": ["a", "b"],
        "observed": {
            "agent": "0",
            "boot_id": "boot",
            "memory": 4096,
            "memory_reserved": 1024,
            "memory_free": 2048,
            "cpus": 2,
            "pools": ["vms"],
            "bridges": ["br0"],
            "addresses": {"cluster": "10.0.0.1"},
            "storage_address": "",
            "leaving": None,
            "signed_off": None,
        },
    }


def test_a_fence_device_shows_what_was_read_of_it_as_it_is_declared_now(cluster: Cluster) -> None:
    old, new = (FenceDevice("bmc", "ipmi", address, credential="bmc") for address in ("10.0.0.1", "10.0.0.2"))
    cluster.overwrite(paths.node("node1"), encode(Node(fence=(new,))))
    shown = []
    for reader, device, why in (
        ("node1", old, "wrong password"),
        ("node1", new, ""),
        ("node2", new, "no answer"),
        ("node2", new, ""),
    ):
        read = Service(SERVICE, "node1/bmc", "x", healthy=not why, why=why, details={DECLARATION: declaration(device)})
        cluster.agents[reader].tell(read)
        (view,) = node_view(cluster.snapshot, "node1")["fence"]
        shown.append((view["healthy"], view["why"]))
    assert shown == [(None, ""), (True, ""), (False, "node2: no answer"), (True, "")]
    cluster.agents["node1"].die()
    cluster.agents["node2"].tell(read, instance="the one before")
    assert node_view(cluster.snapshot, "node1")["fence"][0]["healthy"] is None, "nobody who lives has said so"


def test_a_node_that_never_reported_and_a_dead_one(cluster: Cluster) -> None:
    cluster.agents["node1"].die()
    cluster.overwrite(paths.status("node1"), b"?")
    view = node_view(cluster.snapshot, "node1")
    assert (view["alive"], view["observed"]) == (False, None)
    assert "no JSON" in view["damaged"]
