# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ladder that every module climbs, on both stores: check mode says what happens, and nothing happens twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.modules import (
    apply,
    balance,
    balance_info,
    cluster_info,
    export_info,
    failover_info,
    fence_info,
    history_info,
    node,
    node_info,
    plan,
    rule,
    rule_info,
    settings,
    settings_info,
    vm,
    vm_console_info,
    vm_export,
    vm_import,
    vm_info,
    vm_migrate,
    vm_snapshot,
    vm_snapshot_info,
)

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options, Result

MODULES = Path(__file__).resolve().parents[4] / "plugins" / "modules"


@dataclass(frozen=True)
class Ladder:
    """One module's way up and down again.

    Attributes:
        module: the module, and info its reading twin.
        objects: key of a result with the objects, both modules': each is a list or one.
        names: the objects that the ladder makes.
        same: options that name the objects and nothing more; the others come on top of them.
        create: what they are created with; values are checked on reading back.
        change: one field with another value; reset: the field with its default.
        first: options of VMs that must exist before.
    """

    module: ModuleType
    info: ModuleType
    objects: tuple[str, str]
    names: tuple[str, ...]
    same: Options
    create: Options
    change: Options
    reset: Options
    first: Options | None = None


BMC = {"name": "bmc", "kind": "ipmi", "address": "10.0.3.11", "username": "fence", "credential": "bmc"}
NAMED = [{"name": "web1"}, {"name": "web2"}]
LADDERS = {
    "one vm": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={
            "memory": "1G",
            "vcpus": 2,
            "disks": [{"size": "10G"}, {"pool": "vms", "volume": "shared"}],
            "nics": [{"bridge": "br0"}],
            "tags": ["web"],
            "state": "started",
        },
        change={"description": "the first one"},
        reset={"description": ""},
    ),
    "its way through failures": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"memory": 512, "migration": {"method": "shutdown"}, "ha": {"priority": 10, "max_local_restarts": -1}},
        change={"ha": {"failback": False}},
        reset={"ha": {"failback": True}},
    ),
    "its place": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"memory": 512, "state": "stopped", "boot": {"kernel": "/srv/vmlinuz", "cmdline": "quiet"}},
        change={"node": "node2"},
        reset={"node": ""},
    ),
    "its hardware": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={
            "memory": 512,
            "memory_max": "2G",
            "vcpus": 2,
            "vcpus_max": 4,
            "cpu": {"model": "", "sockets": 1, "cores": 2, "threads": 2, "features": {"vmx": "disable"}},
            "devices": {"video": "virtio", "graphics": "vnc", "watchdog": "reset", "tpm": True, "rng": False},
            "machine": "q35",
            "firmware": "uefi",
            "secure_boot": True,
            "xml": "<domain><clock offset='localtime'/></domain>",
            "disks": [{"size": "10G", "bus": "scsi", "cache": "none", "limits": {"write_iops": 100}}],
            "nics": [{"bridge": "br0", "link": False}],
        },
        change={"devices": {"graphics": "none", "video": "none"}},
        reset={"devices": {"graphics": "vnc", "video": "virtio"}},
    ),
    "a fragment of XML": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"memory": 512},
        change={"xml": "<domain><pm><suspend-to-mem enabled='no'/></pm></domain>"},
        reset={"xml": ""},
    ),
    "its score": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"memory": 512, "state": "stopped", "placement": "balanced"},
        change={"placement": "measured_load"},
        reset={"placement": ""},
    ),
    "many vms": Ladder(
        module=vm,
        info=vm_info,
        objects=("vms", "vms"),
        names=("web1", "web2"),
        same={"vms": NAMED},
        create={"memory": "256M", "nics": [{"bridge": "br0", "model": "e1000e"}]},
        change={"tags": ["new", "web"]},
        reset={"tags": []},
    ),
    "what belongs to it": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"memory": 512, "protected_tags": ["billed"], "tags": ["billed", "web"], "autostart": True},
        change={"metadata": {"owner": "shop"}},
        reset={"metadata": {}},
    ),
    "a copy": Ladder(
        module=vm,
        info=vm_info,
        objects=("vm", "vms"),
        names=("web1",),
        same={"name": "web1"},
        create={"clone_from": {"vm": "golden"}, "memory": 512, "tags": ["golden"]},
        change={"description": "a copy"},
        reset={"description": ""},
        first={"name": "golden", "memory": 256, "state": "stopped", "tags": ["golden"], "disks": [{"size": "1G"}]},
    ),
    "snapshots": Ladder(
        module=vm_snapshot,
        info=vm_snapshot_info,
        objects=("snapshots", "snapshots"),
        names=("daily-1",),
        same={"vms": ["web1"], "name": "daily-1"},
        create={"series": "daily", "keep": 2},
        change={"description": "before the upgrade"},
        reset={"description": ""},
        first={"name": "web1", "memory": 256, "disks": [{"size": "1G"}, {"size": "2G"}]},
    ),
    "one rule": Ladder(
        module=rule,
        info=rule_info,
        objects=("rule", "rules"),
        names=("licence",),
        same={"name": "licence"},
        create={
            "kind": "node_preference",
            "vms": ["web1"],
            "nodes": [{"name": "node2", "priority": 2}, {"name": "node1", "priority": 1}],
        },
        change={"strict": True},
        reset={"strict": False},
        first={"vms": NAMED, "memory": 64},
    ),
    "many rules": Ladder(
        module=rule,
        info=rule_info,
        objects=("rules", "rules"),
        names=("one", "two"),
        same={"rules": [{"name": "one"}, {"name": "two"}]},
        create={"kind": "apart", "vms": ["web1", "web2"]},
        change={"kind": "together"},
        reset={"kind": "apart"},
        first={"vms": [*NAMED, {"name": "web3"}], "memory": 64},
    ),
    "one node": Ladder(
        module=node,
        info=node_info,
        objects=("node", "nodes"),
        names=("node9",),
        same={"name": "node9"},
        create={"coordinator": True},
        change={"memory_reserve": "2G"},
        reset={"memory_reserve": 1024},
    ),
    "its devices": Ladder(
        module=node,
        info=node_info,
        objects=("node", "nodes"),
        names=("node9",),
        same={"name": "node9"},
        create={
            "state": "drained",
            "fence": [BMC, {**BMC, "name": "bmc2", "credential": "bmc2"}],
            "fence_together": True,
        },
        change={"fence": [BMC]},
        reset={"fence": []},
    ),
    "its devices for VMs": Ladder(
        module=node,
        info=node_info,
        objects=("node", "nodes"),
        names=("node9",),
        same={"name": "node9"},
        create={"memory_reserve": 512},
        change={
            "devices": [
                {"name": "gpu", "kind": "pci", "address": "0000:65:00.0"},
                {"name": "key", "kind": "usb", "address": "046d:0825"},
            ]
        },
        reset={"devices": []},
    ),
    "many nodes": Ladder(
        module=node,
        info=node_info,
        objects=("nodes", "nodes"),
        names=("node8", "node9"),
        same={"nodes": [{"name": "node8"}, {"name": "node9"}]},
        create={"memory_reserve": 512},
        change={"coordinator": True},
        reset={"coordinator": False},
    ),
}


@dataclass(frozen=True)
class Climber:
    cluster: Cluster
    ladder: Ladder

    def step(self, options: Options, *, changed: bool) -> Result:
        """Check mode and for real: they agree, and check mode changes nothing."""
        options = {**self.ladder.same, **options}
        before = self.cluster.dump()
        check = self.cluster.ok(self.ladder.module, options, check=True)
        assert self.cluster.dump() == before
        real = self.cluster.ok(self.ladder.module, options)
        assert check["changed"] == real["changed"] == changed
        assert check["diff"] == real["diff"]
        assert (self.cluster.dump() != before) == changed
        return real

    def twice(self, options: Options, *, changed: bool = True) -> Result:
        """A step, and again: the second time there is nothing to do."""
        first = self.step(options, changed=changed)
        self.step(options, changed=False)
        return first

    def read(self) -> list[dict[str, Any]]:
        """The objects as the info module shows them, the same in check mode."""
        options = {"names": list(self.ladder.names)}
        real = self.cluster.ok(self.ladder.info, options)
        check = self.cluster.ok(self.ladder.info, options, check=True)
        key = self.ladder.objects[1]
        assert not real["changed"]
        assert check[key] == real[key]
        objects: list[dict[str, Any]] = real[key]
        return objects

    def returned(self, result: Result) -> list[dict[str, Any]]:
        """The objects as the module itself shows them."""
        objects = result[self.ladder.objects[0]]
        return objects if isinstance(objects, list) else [objects]


def wanted(value: Any) -> Any:
    """An option's value as results show it."""
    return {"1G": 1024, "256M": 256, "2G": 2048, "": None}.get(value, value) if isinstance(value, str) else value


def shows(shown: Any, asked: Any) -> bool:
    """Whether a result shows what was asked for; what was not asked for may be anything."""
    if isinstance(asked, dict):
        return all(shows(shown[key], value) for key, value in asked.items())
    if isinstance(asked, list):
        return len(shown) == len(asked) and all(map(shows, shown, asked))
    return bool(shown == asked or shown == wanted(asked) or (asked == "10G" and shown == 10 << 30))


@pytest.mark.parametrize("name", LADDERS)
def test_ladder(cluster: Cluster, agents: Agents, name: str) -> None:
    ladder = LADDERS[name]
    climber = Climber(cluster, ladder)
    field = next(iter(ladder.change))
    with agents():
        if ladder.first is not None:
            cluster.ok(vm, ladder.first)
        climber.step({"state": "absent"}, changed=False)

        created = climber.twice(ladder.create)
        assert climber.read() == climber.returned(created)
        assert all(shows(shown, created_with(ladder)) for shown in climber.read())
        assert [shown["name"] for shown in climber.read()] == list(ladder.names)

        changed = climber.twice(ladder.change)
        assert fields(changed["diff"]) == {field}
        assert all(shows(shown, ladder.change) for shown in climber.read())

        climber.step({}, changed=False)
        climber.step({key: value for key, value in ladder.create.items() if key != field}, changed=False)
        assert all(shows(shown, {**created_with(ladder), **ladder.change}) for shown in climber.read())

        reset = climber.twice(ladder.reset)
        assert fields(reset["diff"]) == {field}
        assert climber.read() == climber.returned(reset)

        climber.twice({"state": "absent"})
        assert climber.read() == []
        climber.twice(ladder.create)
        assert all(shows(shown, created_with(ladder)) for shown in climber.read())


def created_with(ladder: Ladder) -> Options:
    """What can be read back of it: where a copy came from can not."""
    return {key: value for key, value in ladder.create.items() if key != "clone_from"}


def fields(diff: Any) -> set[str]:
    """Names of the fields that a diff shows, of all objects in it."""
    texts = [part[side] for part in (diff if isinstance(diff, list) else [diff]) for side in ("before", "after")]
    return {name for text in texts for shown in yaml.safe_load(text).values() for name in shown}


def test_every_module_has_a_ladder() -> None:
    climbed = {
        module.__name__.rpartition(".")[2] for ladder in LADDERS.values() for module in (ladder.module, ladder.info)
    }
    # what is no object that users make and remove; settings have a ladder of their own in test_settings, documents in
    # test_apply, moves in test_vm_migrate, and readers in test_access
    others = {
        "access",
        "apply",
        "balance",
        "balance_info",
        "cluster_info",
        "export_info",
        "failover_info",
        "fence_info",
        "history_info",
        "plan",
        "settings",
        "settings_info",
        "vm_console_info",
        "vm_export",
        "vm_import",
        "vm_migrate",
    }
    assert climbed | others == {path.stem for path in MODULES.glob("*.py")}


def test_whole_play_in_check_mode_on_an_empty_system(empty: Cluster) -> None:
    before = empty.dump()
    play = [
        (node, {"cluster_name": "lab", "nodes": [{"name": "node1"}, {"name": "node2"}]}, True),
        (node_info, {}, False),
        (settings, {}, False),
        (settings, {"ha_budget": 9}, True),
        (settings_info, {}, False),
        (fence_info, {"limit": 1}, False),
        (history_info, {"limit": 1, "commit": 3}, False),
        (failover_info, {"only_problems": True}, False),
        (balance_info, {}, False),
        (balance, {"max_moves": 2}, False),
        (cluster_info, {"wait_timeout": 60}, False),
        (apply, {"document": {"cluster": "lab", "nodes": [{"name": "node1"}], "vms": NAMED}}, True),
        (plan, {"document": {"cluster": "lab", "nodes": [{"name": "node1"}]}}, False),
        (export_info, {}, False),
        (vm, {"name": "web1", "memory": "1G", "disks": [{"size": "10G"}]}, True),
        (vm_migrate, {"name": "web1", "to": "node2"}, True),
        (vm, {"vms": NAMED, "state": "absent"}, False),
        (vm_info, {}, False),
        (rule, {"name": "r", "kind": "apart", "vms": ["web1", "web2"]}, True),
        (rule, {"name": "r", "state": "absent"}, False),
        (rule_info, {}, False),
        (vm_snapshot, {"vms": ["web1"], "name": "daily"}, True),
        (vm_snapshot, {"vms": ["web1"], "name": "daily", "state": "absent"}, False),
        (vm_snapshot_info, {}, False),
        (vm_console_info, {"name": "web1"}, False),
        (vm_export, {"name": "web1", "dest": "/nowhere"}, True),
        (vm_import, {"src": "/nowhere"}, True),
    ]
    for module, options, changed in play:
        assert empty.ok(module, options, check=True)["changed"] == changed
    assert empty.dump() == before
