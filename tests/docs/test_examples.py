# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples of every module and plugin are run by Ansible itself, all of them, in their order."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.pvc.cluster.plugins.modules import apply, plan, vm, vm_snapshot
from ansible_rulebook.rules_parser import parse_rule_sets

from tests.docs.conftest import NODES
from tests.docs.reader import Reader
from tests.unit.plugins.modules.harness import Cluster
from tests.unit.repository.test_modules import MODULES
from tests.unit.repository.tree import ROOT

Options = dict[str, Any]


WEB1 = {"name": "web1", "memory": 512, "disks": [{"size": "1M"}], "nics": [{"bridge": "br0"}], "tags": ["web"]}
WEB2 = {**WEB1, "name": "web2"}
WORKERS = {"memory": 512, "vms": [{"name": f"worker{n}"} for n in (1, 2, 3)]}
SHOP = "document: shop\nvms:\n  - {name: web1, memory: 1G}\n"


def vms(*requests: Options) -> Callable[[Cluster, Reader], None]:
    """A cluster with these VMs."""

    def prepare(cluster: Cluster, reader: Reader) -> None:
        for request in requests:
            cluster.ok(vm, request)

    return prepare


def snapshots(cluster: Cluster, reader: Reader) -> None:
    cluster.ok(vm, {"vms": [WEB1, WEB2]})
    cluster.ok(vm_snapshot, {"vms": ["web1"], "name": "daily-2026-11-26", "series": "daily", "keep": 7})


def volumes(cluster: Cluster, reader: Reader) -> None:
    """Of a VM and its snapshot; both are files to the programs that stand in for Ceph's."""
    snapshots(cluster, reader)
    for name in ("web1-disk0", "web1-disk0@pvc.daily-2026-11-26"):
        (reader.directory / "ceph" / f"vms!{name}").write_bytes(b"boots " * 9)


def exported(cluster: Cluster, reader: Reader) -> None:
    """From another cluster: this one has no such VM any more."""
    volumes(cluster, reader)
    taken = {"name": "web1", "snapshot": "daily-2026-11-26", "dest": "exports/web1"}
    reader.runs(yaml.safe_dump([{"pvc.cluster.vm_export": taken}]))
    cluster.ok(vm, {"name": "web1", "state": "absent"})
    for file in (reader.directory / "ceph").iterdir():
        file.unlink()


def documents(cluster: Cluster, reader: Reader) -> None:
    """A directory of documents, a plan that was saved, and a commit to go back to."""
    (reader.directory / "cluster").mkdir()
    (reader.directory / "cluster" / "shop.yml").write_text(SHOP)
    other = {"document": {"settings": {"spare_nodes": 0}}, "dest": str(reader.directory / "plan.json")}
    cluster.ok(plan, other)
    cluster.ok(apply, {"document": {"vms": [{"name": "db1", "memory": 512}]}})


#: What is there before the examples of a module begin.
BEFORE: dict[str, Callable[[Cluster, Reader], None]] = {
    "apply": documents,
    "export_info": documents,
    "plan": documents,
    "rule": vms(WORKERS),
    "vm_console_info": vms(WEB1),
    "vm_export": volumes,
    "vm_import": exported,
    "vm_info": vms(WEB1),
    "vm_migrate": vms(WORKERS),
    "vm_snapshot": snapshots,
    "vm_snapshot_info": snapshots,
}


def examples(path: Path) -> str:
    """The text of EXAMPLES."""
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "EXAMPLES":
            return str(ast.literal_eval(statement.value))
    raise AssertionError(f"{path.name} has no examples")


def here(text: str, cluster: Cluster, reader: Reader) -> str:
    """The same with what is different here: where files are, and which commits there are."""
    revision = int(max(cluster.store.children("/commits") or ["0"]))
    replaced = {
        "/etc/pvc/tls/ca.pem": cluster.options["ca_file"],
        "/etc/pvc/tls/cert.pem": cluster.options["cert_file"],
        "/etc/pvc/tls/key.pem": cluster.options["key_file"],
        "/srv/exports": str(reader.directory / "exports"),
        "4711": str(revision),
    }
    for there, this in replaced.items():
        text = text.replace(there, this)
    return text


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_examples_of_a_module_run(path: Path, cluster: Cluster, reader: Reader) -> None:
    BEFORE.get(path.stem, lambda cluster, reader: None)(cluster, reader)
    said = reader.runs(here(examples(path), cluster, reader))
    assert "failed=0" in said


def test_the_examples_of_the_inventory_are_inventories(cluster: Cluster, reader: Reader) -> None:
    """Each is a file of the name that its comment says."""
    cluster.ok(vm, WEB1)
    read = {}
    for text in examples(ROOT / "plugins" / "inventory" / "pvc.py").split("---\n"):
        name = text.strip().partition(":")[0].removeprefix("# ")
        options = yaml.safe_load(text)
        options |= {key: value for key, value in cluster.options.items() if key in options or key == "root"}
        (reader.directory / name).write_text(yaml.safe_dump(options))
        read[name] = json.loads(reader.does("ansible-inventory", "--inventory", name, "--list"))
    assert list(read) == ["pvc.yml", "web.pvc.yml"]
    assert set(read["pvc.yml"]["pvc_coordinators"]["hosts"]) == set(NODES)
    assert read["web.pvc.yml"]["pvc_vms"]["hosts"] == ["web1"]


def test_the_examples_of_the_event_source_are_rulebooks(reader: Reader) -> None:
    """That rulebooks react to events, and how soon, is tested with the source itself."""
    source = ROOT / "extensions" / "eda" / "plugins" / "event_source" / "events.py"
    rules = parse_rule_sets(yaml.safe_load(examples(source)), {"pvc_password": "secret"})
    assert [[source.source_name for source in one.sources] for one in rules] == [["pvc.cluster.events"]] * 2
