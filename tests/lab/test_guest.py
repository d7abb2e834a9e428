# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's initial file system is an archive that other programs can read, with modules in an order that loads."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from pvc_lab.guest import Entry, kernel_of, libraries, load_order, newc_archive, with_folders
from pvc_lab.shell import LabError

DEPENDENCIES = """\
kernel/net/failover.ko.xz:
kernel/drivers/net/net_failover.ko.xz: kernel/net/failover.ko.xz
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/failover.ko.xz
kernel/drivers/block/virtio-blk.ko.xz:
"""


def test_modules_come_after_what_they_need() -> None:
    order = load_order(DEPENDENCIES, "kernel/drivers/virtio/virtio_pci.ko", ["virtio_pci", "virtio_net", "virtio_blk"])
    assert [Path(path).name for path in order] == [
        "failover.ko.xz",
        "net_failover.ko.xz",
        "virtio_net.ko.xz",
        "virtio-blk.ko.xz",
    ]


def test_a_module_that_the_kernel_lacks_is_named() -> None:
    with pytest.raises(LabError, match="no module 'evdev'"):
        load_order(DEPENDENCIES, "", ["evdev"])


def read_newc(archive: bytes) -> Iterator[Entry]:
    """Read an archive the way the kernel does: a header of 13 numbers, the name and the content, each padded to 4."""
    offset = 0
    while True:
        assert archive[offset : offset + 6] == b"070701"
        fields = [int(archive[at : at + 8], 16) for at in range(offset + 6, offset + 110, 8)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = archive[offset + 110 : offset + 110 + name_size - 1].decode()
        offset += (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            assert offset == len(archive)
            return
        yield Entry(name, mode, archive[offset : offset + size])
        offset += (size + 3) // 4 * 4


@pytest.mark.parametrize("length", range(5))
def test_the_archive_can_be_read_again(length: int) -> None:
    entries = [
        Entry("bin", stat.S_IFDIR | 0o755),
        Entry("bin/" + "t" * length, stat.S_IFREG | 0o755, b"x" * length),
        Entry("init", stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
    ]
    assert list(read_newc(newc_archive(entries))) == entries


def test_the_kernel_is_what_the_meta_package_depends_on() -> None:
    listing = "linux-image-cloud-amd64\n  Depends: linux-image-6.12.1-cloud-amd64\n"
    assert kernel_of(listing) == "linux-image-6.12.1-cloud-amd64"
    with pytest.raises(LabError, match="depends on no kernel"):
        kernel_of("linux-image-cloud-amd64\n")


def test_what_a_program_loads_is_read_from_ldd() -> None:
    listing = """\
\tlinux-vdso.so.1 (0x00007ffd)
\tlibglib-2.0.so.0 => /lib/x86_64-linux-gnu/libglib-2.0.so.0 (0x00007f01)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f02)
\t/lib64/ld-linux-x86-64.so.2 (0x00007f03)
"""
    assert libraries(listing) == [
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/lib/x86_64-linux-gnu/libglib-2.0.so.0",
        "/lib64/ld-linux-x86-64.so.2",
    ]


def test_folders_come_before_what_lies_in_them() -> None:
    entries = with_folders({"bin/tool": b"t", "lib/arch/one.so": b"1", "lib/two.so": b"2"})
    assert [entry.name for entry in entries] == ["lib", "lib/arch", "bin/tool", "lib/arch/one.so", "lib/two.so"]
