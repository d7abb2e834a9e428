# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab lays into a node makes it that node, and is not touched when it is right."""

from __future__ import annotations

from pathlib import Path

from pvc_lab.config import Lab, Node
from pvc_lab.disks import LoopDevice
from pvc_lab.network import hardware_address
from pvc_lab.seed import SeedFile, node_files, write_files


def files_of(lab: Lab, node: Node) -> dict[str, SeedFile]:
    loops = [LoopDevice(node.disks[0], Path("/dev/loop5"), 7, 5)]
    return node_files(
        lab,
        node,
        loops=loops,
        sources="deb http://deb.example/debian trixie main\n",
        apt_settings="",
        authorized_keys="ssh-ed25519 AAAA lab\n",
        host_key="secret\n",
        machine_id="0123456789abcdef0123456789abcdef",
    )


def test_a_disk_has_a_stable_name_over_the_loop_device_of_today(lab: Lab, node: Node) -> None:
    assert files_of(lab, node)["etc/tmpfiles.d/lab-disks.conf"].content == (
        "b+ /dev/loop5 0660 root disk - 7:5\nL+ /dev/disk/by-id/lab-node1-osd0 - - - - ../../loop5\n"
    )


def test_each_network_has_its_address_on_its_own_interface(lab: Lab, node: Node) -> None:
    unit = files_of(lab, node)["etc/systemd/network/10-storage.network"].content
    assert f"MACAddress={hardware_address('node1', 'storage')}\n" in unit
    assert "Address=10.77.2.11/24\n" in unit


def test_hardware_addresses_are_stable_distinct_and_locally_administered() -> None:
    assert hardware_address("node1", "storage") == hardware_address("node1", "storage")
    assert hardware_address("node1", "storage") != hardware_address("node2", "storage")
    assert int(hardware_address("node1", "storage").partition(":")[0], 16) & 3 == 2


def test_secrets_are_for_root_alone(lab: Lab, node: Node, tmp_path: Path) -> None:
    write_files(tmp_path, files_of(lab, node))
    assert (tmp_path / "etc/ssh/ssh_host_ed25519_key").stat().st_mode & 0o777 == 0o600


def test_unchanged_files_are_left_alone(lab: Lab, node: Node, tmp_path: Path) -> None:
    files = files_of(lab, node)
    write_files(tmp_path, files)
    before = {name: (tmp_path / name).stat().st_ino for name in files}
    write_files(tmp_path, files)
    assert {name: (tmp_path / name).stat().st_ino for name in files} == before


def test_files_that_belong_to_the_node_are_written_once(tmp_path: Path) -> None:
    write_files(tmp_path, {"etc/hosts": SeedFile("first\n", once=True), "etc/hostname": SeedFile("a\n")})
    (tmp_path / "etc/hosts").write_text("a role's\n")
    (tmp_path / "etc/hostname").write_text("changed\n")
    write_files(tmp_path, {"etc/hosts": SeedFile("first\n", once=True), "etc/hostname": SeedFile("a\n")})
    assert (tmp_path / "etc/hosts").read_text() == "a role's\n"
    assert (tmp_path / "etc/hostname").read_text() == "a\n"


def test_links_of_the_image_are_replaced_not_followed(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "outside").write_text("safe\n")
    (tmp_path / "etc/resolv.conf").symlink_to(tmp_path / "outside")
    write_files(tmp_path, {"etc/resolv.conf": SeedFile("", once=True)})
    assert (tmp_path / "outside").read_text() == "safe\n"
    assert not (tmp_path / "etc/resolv.conf").is_symlink()
