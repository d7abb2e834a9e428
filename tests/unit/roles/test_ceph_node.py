# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role ceph makes of a machine's disks, before it touches any."""

from __future__ import annotations

import base64
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.scripts import script

FSID = "01711c06-4341-5613-ba07-8446c0719f09"
OSD = "5f3a2713-225f-56f8-ad12-2d698110deab"

#: The first bytes of a disk on which Ceph 18.2.7 made an OSD, up to where they are zero.
LABEL = base64.b64decode("""
Ymx1ZXN0b3JlIGJsb2NrIGRldmljZQo1ZjNhMjcxMy0yMjVmLTU2ZjgtYWQxMi0yZDY5ODExMGRlYWIKAgEGAgAAXzonEyJfVvitEi1pgRDeqwAA
AIACAAAAr70Da4iMYTMEAAAAbWFpbg4AAAAKAAAAYmZtX2Jsb2NrcwcAAAAyNjIxNDQwEgAAAGJmbV9ibG9ja3NfcGVyX2tleQMAAAAxMjgTAAAA
YmZtX2J5dGVzX3Blcl9ibG9jawQAAAA0MDk2CAAAAGJmbV9zaXplCwAAADEwNzM3NDE4MjQwBgAAAGJsdWVmcwEAAAAxCQAAAGNlcGhfZnNpZCQA
AAAwMTcxMWMwNi00MzQxLTU2MTMtYmEwNy04NDQ2YzA3MTlmMDkZAAAAY2VwaF92ZXJzaW9uX3doZW5fY3JlYXRlZEwAAABjZXBoIHZlcnNpb24g
MTguMi43ICg2YjBlOTg4MDUyZWM4NGNmMmQ0YTU0ZmY5YmJiYzVlNzIwYjYyMWFkKSByZWVmIChzdGFibGUpCgAAAGNyZWF0ZWRfYXQbAAAAMjAy
Ni0xMS0yM1QwNDoxNDo0MS41NjQzMzFaCgAAAGt2X2JhY2tlbmQHAAAAcm9ja3NkYgUAAABtYWdpYxQAAABjZXBoIG9zZCB2b2x1bWUgdjAyNgkA
AABta2ZzX2RvbmUDAAAAeWVzBQAAAHJlYWR5BQAAAHJlYWR5EwAAAHJlcXVpcmVfb3NkX3JlbGVhc2UCAAAAMTgGAAAAd2hvYW1pAQAAADK9mnXM
""")


@pytest.fixture
def node() -> ModuleType:
    return script("ceph", "node")


@pytest.fixture
def disk(tmp_path: Path, node: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that passes for a disk."""
    monkeypatch.setattr(node.stat, "S_ISBLK", lambda _mode: True)
    path = tmp_path / "disk"
    path.write_bytes(bytes(2 << 20))
    return path


def wanted(fsid: str = FSID) -> dict[str, Any]:
    return {"name": "node1", "fsid": fsid}


def test_a_label_is_read_whole(node: ModuleType) -> None:
    label = node.read_label(LABEL.ljust(4096, bytes(1)))
    assert label["osd_uuid"] == OSD
    assert (label["ceph_fsid"], label["whoami"], label["mkfs_done"]) == (FSID, "2", "yes")


@pytest.mark.parametrize("length", [30, 60, 80, 100, 110, 300, len(LABEL) - 10])
def test_a_damaged_label_is_no_label(node: ModuleType, length: int) -> None:
    assert node.read_label(LABEL[:length]) is None


def test_a_blank_disk_becomes_an_osd_of_the_same_identity_each_time(node: ModuleType, disk: Path) -> None:
    first, second = (node.look_at(str(disk), wanted(), {}) for _turn in range(2))
    assert first["state"] == "create"
    assert first["uuid"] == second["uuid"]


def test_an_osd_of_this_cluster_is_left_alone(node: ModuleType, disk: Path) -> None:
    disk.write_bytes(LABEL.ljust(8192, bytes(1)))
    directories = {OSD: {"id": "2", "block": str(disk), "keyring": True}}
    assert node.look_at(str(disk), wanted(), directories)["state"] == "own"


@pytest.mark.parametrize(
    "directories",
    [{}, {OSD: {"id": "2", "block": "/dev/sdb", "keyring": True}}, {OSD: {"id": "2", "block": "", "keyring": False}}],
)
def test_an_osd_of_this_cluster_is_taken_over_where_the_machine_does_not_know_it(
    node: ModuleType, disk: Path, directories: dict[str, Any]
) -> None:
    disk.write_bytes(LABEL.ljust(8192, bytes(1)))
    found = node.look_at(str(disk), wanted(), directories)
    assert (found["state"], found["id"], found["uuid"]) == ("adopt", "2", OSD)


def test_an_osd_that_was_not_finished_is_made_again(node: ModuleType, disk: Path) -> None:
    disk.write_bytes(LABEL.replace(b"mkfs_done", b"mkfs_dont").ljust(8192, bytes(1)))
    assert node.look_at(str(disk), wanted(), {})["state"] == "create"


def test_an_osd_of_another_cluster_is_refused_by_name(node: ModuleType, disk: Path) -> None:
    disk.write_bytes(LABEL.ljust(8192, bytes(1)))
    found = node.look_at(str(disk), wanted("11111111-2222-3333-4444-555555555555"), {})
    assert found["state"] == "refused"
    assert found["reason"].startswith(f"{disk} is OSD 2 of another Ceph cluster (fsid {FSID}). ")
    assert "wipefs --all" in found["reason"]


@pytest.mark.parametrize("at", [0, 511, 4096, (1 << 20) - 1])
def test_a_disk_with_anything_on_it_is_refused(node: ModuleType, disk: Path, at: int) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(b"x")
    found = node.look_at(str(disk), wanted(), {})
    assert found["state"] == "refused"
    assert "is not empty" in found["reason"]
    assert "wipefs --all" in found["reason"]


def test_what_is_no_disk_is_refused(node: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a block device" in node.look_at(str(tmp_path / "file"), wanted(), {})["reason"]
    assert "cannot be read (No such file" in node.look_at(str(tmp_path / "none"), wanted(), {})["reason"]


def test_a_name_that_means_another_disk_than_before_is_refused(
    node: ModuleType, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = node.look_at(str(disk), wanted(), {})["uuid"]
    monkeypatch.setattr(node, "unit_state", lambda unit: {"name": unit, "active": True, "ok": True})
    found = node.look_at(str(disk), wanted(), {identity: {"id": "7", "block": str(disk), "keyring": True}})
    assert found["state"] == "refused"
    assert "osd.7" in found["reason"]


@pytest.mark.parametrize(
    ("exported", "found"),
    [
        ("", []),
        # blkid 2.41 of a partition with nothing on it: its entry in the partition table, and success
        ("DEVNAME=/dev/vdc1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_NUMBER=1\nPART_ENTRY_DISK=254:32\n", []),
        ("DEVNAME=/dev/vdc1\nUUID=1\nTYPE=ext4\nPART_ENTRY_SCHEME=gpt\n", ["UUID=1", "TYPE=ext4"]),
        ("DEVNAME=/dev/vdb\nPTUUID=2\nPTTYPE=gpt\n", ["PTUUID=2", "PTTYPE=gpt"]),
    ],
)
def test_a_partition_without_content_is_empty(exported: str, found: list[str]) -> None:
    assert script("ceph", "node").signatures(exported) == found
