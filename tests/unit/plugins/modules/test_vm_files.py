# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""vm_export, vm_import and vm_console_info: what they leave in files and in Ceph, for which two small programs stand in."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import decode, encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import NodeStatus
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Set
from ansible_collections.pvc.cluster.plugins.modules import (
    vm,
    vm_console_info,
    vm_export,
    vm_import,
    vm_info,
    vm_snapshot,
)

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options

PROGRAMS = Path(__file__).parent / "programs"
WEB1 = {"name": "web1", "memory": 64, "state": "stopped", "disks": [{"size": "1M"}, {"size": "2M"}], "tags": ["web"]}


class Ceph:
    """The volumes, each a file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, volume: str, data: bytes) -> None:
        (self.directory / f"vms!{volume}").write_bytes(data)

    def read(self, volume: str) -> bytes:
        return (self.directory / f"vms!{volume}").read_bytes()

    def names(self) -> set[str]:
        return {path.name.removeprefix("vms!") for path in self.directory.iterdir() if "#" not in path.name}


@pytest.fixture
def ceph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ceph:
    """Volumes of web1, and the programs for them."""
    directory = tmp_path / "ceph"
    directory.mkdir()
    (tmp_path / "ceph.conf").touch()
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN", str(directory))
    ceph = Ceph(directory)
    ceph.write("web1-disk0", b"boots " * 9)
    ceph.write("web1-disk1", b"data " * 9)
    return ceph


@pytest.fixture
def export(tmp_path: Path) -> Options:
    return {"name": "web1", "dest": str(tmp_path / "out"), "ceph_conf": str(tmp_path / "ceph.conf")}


@pytest.fixture
def take(tmp_path: Path) -> Options:
    return {"name": "web2", "src": str(tmp_path / "out"), "ceph_conf": str(tmp_path / "ceph.conf")}


def files(options: Options) -> dict[str, bytes]:
    directory = Path(options.get("dest") or options["src"])
    return {path.name: path.read_bytes() for path in directory.iterdir()} if directory.exists() else {}


# --- export -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_an_export_is_written_once(cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, kind: str) -> None:
    options = {**export, "format": kind}
    with agents():
        cluster.ok(vm, WEB1)
        assert cluster.ok(vm_export, options, check=True)["changed"]
        assert files(export) == {}
        first = cluster.ok(vm_export, options)
        assert first["changed"]
        written = files(export)
        assert set(written) == {"manifest.json", f"web1-disk0.{kind}", f"web1-disk1.{kind}"}
        assert [disk["size"] for disk in first["disks"]] == [54 << 20, 45 << 20]
        for check in (True, False):
            again = cluster.ok(vm_export, options, check=check)
            assert (again["changed"], again["disks"]) == (False, first["disks"])
        assert files(export) == written


def test_only_what_has_changed_is_written_again(cluster: Cluster, agents: Agents, ceph: Ceph, export: Options) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        before = files(export)
        ceph.write("web1-disk1", b"other " * 9)
        assert cluster.ok(vm_export, export, check=True)["changed"]
        assert cluster.ok(vm_export, export)["why"] == "1 of 2 disks written"
    assert [name for name, data in files(export).items() if before[name] == data] == ["web1-disk0.qcow2"]


def test_an_export_that_fails_leaves_what_was_there(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        before = files(export)
        ceph.write("web1-disk0", b"other")
        ceph.write("web1-disk1", b"other")
        monkeypatch.setenv("STAND_IN_FAILS", "disk1")
        result = cluster.run(vm_export, export)
    assert "No space left on device" in result["msg"]
    assert files(export) == before


def test_a_vm_that_runs_is_exported_from_a_snapshot(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options
) -> None:
    ceph.write("web1-disk0@pvc.a", b"then")
    ceph.write("web1-disk1@pvc.a", b"then, too")
    with agents():
        cluster.ok(vm, {**WEB1, "state": "started"})
        result = cluster.run(vm_export, export)
        assert (result["option"], files(export)) == ("snapshot", {})
        assert "name that, or stop the VM" in result["remedy"]
        cluster.ok(vm_snapshot, {"vms": ["web1"], "name": "a"})
        result = cluster.run(vm_export, {**export, "snapshot": "b"})
        assert result["remedy"] == "give one of a"
        cluster.ok(vm_export, {**export, "snapshot": "a", "format": "raw"})
    assert files(export)["web1-disk1.raw"] == b"then, too"


# --- import -----------------------------------------------------------------------------------------------------------


def test_a_vm_is_made_of_an_export_once(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, take: Options
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        before = cluster.dump()
        assert cluster.ok(vm_import, take, check=True)["changed"]
        assert cluster.dump() == before
        made = cluster.ok(vm_import, take)
        assert made["changed"]
        assert [ceph.read(f"web2-disk{index}") for index in (0, 1)] == [b"boots " * 9, b"data " * 9]
        assert (made["vm"]["memory"], made["vm"]["tags"], made["vm"]["state"]) == (64, ["web"], "stopped")
        old = cluster.ok(vm_info, {"names": ["web1"]})["vms"][0]
        assert made["vm"]["uuid"] != old["uuid"]
        # what has become of it since is its own
        ceph.write("web2-disk0", b"changed")
        assert not cluster.ok(vm_import, take)["changed"]
        assert not cluster.ok(vm_import, take, check=True)["changed"]


def test_an_import_that_was_interrupted_goes_on(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, take: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        monkeypatch.setenv("STAND_IN_FAILS", "web2-disk1")
        assert cluster.run(vm_import, take)["failed"]
        assert ceph.names() == {"web1-disk0", "web1-disk1", "web2-disk0"}
        assert cluster.store.get(paths.vm("web2")) is None
        monkeypatch.delenv("STAND_IN_FAILS")
        assert cluster.ok(vm_import, take)["why"] == "1 of 2 disks written, and the VM made"


def test_nothing_is_made_of_what_is_damaged(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, take: Options
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        before, names = cluster.dump(), ceph.names()
        file = Path(export["dest"], "web1-disk1.qcow2")
        whole = file.read_bytes()
        for damage, words in ((b"qcow2:x", "checksum"), (None, "is missing")):
            file.unlink() if damage is None else file.write_bytes(damage)
            result = cluster.run(vm_import, take)
            assert words in result["problem"]
            assert result["option"] == "src"
        file.write_bytes(whole)
        manifest = Path(export["dest"], "manifest.json")
        text = manifest.read_text()
        for wrong in ("{", text.replace('"web1-disk0.qcow2"', '"../x"'), text.replace("{", '{"version": 9,', 1)):
            manifest.write_text(wrong)
            assert cluster.run(vm_import, take)["option"] == "src"
        assert (cluster.dump(), ceph.names()) == (before, names)


def test_a_file_that_leads_to_another_is_refused(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, take: Options
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        file, manifest = Path(export["dest"], "web1-disk0.qcow2"), Path(export["dest"], "manifest.json")
        file.write_bytes(b"qcow2:backed")
        changed = json.loads(manifest.read_text())
        changed["disks"][0]["sha256"] = vm_export._images.sha256(str(file))
        manifest.write_text(json.dumps(changed))
        assert "rests on another file" in cluster.run(vm_import, take)["problem"]
    assert "web2-disk0" not in ceph.names()


def test_neither_a_vm_nor_a_volume_is_taken_over(
    cluster: Cluster, agents: Agents, ceph: Ceph, export: Options, take: Options
) -> None:
    with agents():
        cluster.ok(vm, WEB1)
        cluster.ok(vm_export, export)
        assert "was not imported from this" in cluster.run(vm_import, {**take, "name": "web1"})["problem"]
        ceph.write("web2-disk1", b"somebody's")
        result = cluster.run(vm_import, take)
        assert result["problem"] == "volume vms/web2-disk1 exists, and was not imported from this"
    assert "web2-disk0" not in ceph.names()


# --- console ----------------------------------------------------------------------------------------------------------


def test_the_console_is_read_where_it_is(
    cluster: Cluster, agents: Agents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"old\n" * 400_000 + b"one\r\ntwo \xff\nthree\n")
    with agents():
        cluster.ok(vm, {**WEB1, "node": "node1"})
    znode = cluster.store.get(paths.status("node1"))
    assert znode
    status = json.loads(encode(decode(NodeStatus, znode.data)))
    status["vms"]["web1"]["console"] = str(log)
    cluster.store.commit([Set(paths.status("node1"), json.dumps(status).encode(), znode.version)])
    options = {"name": "web1", "lines": 3}
    monkeypatch.setattr(socket, "gethostname", lambda: "node2")
    elsewhere = cluster.ok(vm_console_info, options)
    assert (elsewhere["lines"], elsewhere["node"], elsewhere["path"]) == (None, "node1", str(log))
    assert elsewhere["where"] == f"in {log} on node1, and can be read only there"
    monkeypatch.setattr(socket, "gethostname", lambda: "node1.example.org")
    assert cluster.ok(vm_console_info, options)["lines"] == ["one", "two \\xff", "three"]
    log.unlink()
    assert "as root" in cluster.run(vm_console_info, options)["remedy"]
    for wrong in ({"lines": 0}, {"name": "no"}):
        assert cluster.run(vm_console_info, {**options, **wrong})["option"] == next(iter(wrong))


def test_a_vm_that_never_ran_has_no_console(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(vm, {**WEB1, "node": "node1"})
        assert cluster.ok(vm_console_info, {"name": "web1"})["where"] == "it has not run on node1 yet"
