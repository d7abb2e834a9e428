# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a record to libvirt's XML. That libvirt takes it, schema check included, is shown by the lab."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from pvc_node_agent.domain_xml import NAMESPACE, Machine, Mark, disk_name, domain_xml, mark_xml, read_mark, remarked
from pvc_state.records import Boot, Disk, Nic, Vm

TCG = Machine("qemu", "q35", "qemu64", (("10.0.2.1", ""), ("fd00::1", "6789")), "libvirt", "the-secret")
RECORD = Vm(
    uuid="4f0a9c56-40c2-4a1e-9f5e-1f5b0a1f7c11",
    memory=512,
    vcpus=2,
    disks=(Disk("vms", "web1-disk0", 1 << 30), Disk("fast", "data")),
    nics=(Nic("br0", "52:54:00:00:00:01"), Nic("br1", "52:54:00:00:00:02", "e1000e")),
    description="a <b> & c",
    definition=7,
)


def build(record: Vm = RECORD, machine: Machine = TCG) -> Element:
    return fromstring(domain_xml("web1", record, 3, machine))


def text(domain: Element, path: str) -> str | None:
    return domain.findtext(path)


def attributes(domain: Element, path: str) -> list[dict[str, str]]:
    return [element.attrib for element in domain.iterfind(path)]


def test_identity_and_size() -> None:
    domain = build()
    assert domain.attrib == {"type": "qemu"}
    assert [text(domain, tag) for tag in ("name", "uuid", "memory", "vcpu")] == ["web1", RECORD.uuid, "512", "2"]
    assert attributes(domain, "memory") == [{"unit": "MiB"}]
    assert text(domain, "description") == "a <b> & c"
    assert [text(domain, f"on_{what}") for what in ("poweroff", "reboot", "crash")] == ["destroy", "restart", "destroy"]


def test_the_guest_can_read_the_epoch_of_its_claim() -> None:
    domain = build()
    assert text(domain, "sysinfo/oemStrings/entry") == "pvc.epoch=3"
    assert attributes(domain, "os/smbios") == [{"mode": "sysinfo"}]


def test_the_mark_survives_the_way_through_libvirt() -> None:
    element = build().find(f"metadata/{{{NAMESPACE}}}vm")
    assert element is not None
    mark = read_mark(tostring(element, encoding="unicode"))
    assert mark == Mark("web1", epoch=3, definition=7, sizes=(("vms/web1-disk0", 1 << 30),))


def test_a_mark_is_replaced_and_told_as_libvirt_wants_it() -> None:
    arriving = Mark("web1", 4, 7, arriving=True)
    moved = fromstring(remarked(domain_xml("web1", RECORD, 3, TCG), arriving))
    (element,) = moved.findall(f"metadata/{{{NAMESPACE}}}vm")
    assert read_mark(tostring(element, encoding="unicode")) == arriving
    assert mark_xml(Mark("web1", 4, 7)) == '<vm name="web1" epoch="4" definition="7" />'
    assert read_mark(mark_xml(arriving)) == arriving
    whole = Mark("web1", 4, 7, True, restart=2, reset=3, sizes=(("a/b.c=d", 5), ("e/f", 6)), held="frozen")
    assert read_mark(mark_xml(whole)) == whole


@pytest.mark.parametrize(
    "damaged", ["", "<vm", "<vm name='web1'/>", "<vm name='web1' epoch='x' definition='1'/>", "<other/>"]
)
def test_a_damaged_mark_is_none(damaged: str) -> None:
    assert read_mark(damaged) is None


def test_disks_are_volumes_that_stop_the_guest_on_errors() -> None:
    domain = build()
    assert attributes(domain, "devices/disk/target") == [
        {"dev": "vda", "bus": "virtio"},
        {"dev": "vdb", "bus": "virtio"},
    ]
    assert [source["name"] for source in attributes(domain, "devices/disk/source")] == ["vms/web1-disk0", "fast/data"]
    first = domain.find("devices/disk")
    assert first is not None
    assert attributes(first, "source/host") == [{"name": "10.0.2.1"}, {"name": "fd00::1", "port": "6789"}]
    assert attributes(first, "auth") == [{"username": "libvirt"}]
    assert attributes(first, "auth/secret") == [{"type": "ceph", "uuid": "the-secret"}]
    (driver,) = attributes(first, "driver")
    assert (driver["error_policy"], driver["rerror_policy"], driver["discard"]) == ("stop", "stop", "unmap")


def test_it_boots_from_its_first_disk() -> None:
    domain = build()
    assert [disk.find("boot") is not None for disk in domain.iterfind("devices/disk")] == [True, False]
    assert domain.find("os/kernel") is None


def test_it_boots_a_kernel() -> None:
    domain = build(Vm(uuid=RECORD.uuid, memory=64, boot=Boot("/boot/k", "/boot/i", "console=ttyS0 x=<&>")))
    assert [text(domain, f"os/{tag}") for tag in ("kernel", "initrd", "cmdline")] == [
        "/boot/k",
        "/boot/i",
        "console=ttyS0 x=<&>",
    ]
    assert domain.find("devices/disk") is None


def test_interfaces_are_on_bridges() -> None:
    domain = build()
    assert [nic["bridge"] for nic in attributes(domain, "devices/interface/source")] == ["br0", "br1"]
    assert [nic["address"] for nic in attributes(domain, "devices/interface/mac")] == [nic.mac for nic in RECORD.nics]
    assert [nic["type"] for nic in attributes(domain, "devices/interface/model")] == ["virtio", "e1000e"]


def test_the_console_is_logged() -> None:
    domain = build()
    assert attributes(domain, "devices/serial/log") == [
        {"file": "/var/log/libvirt/qemu/web1-console.log", "append": "on"}
    ]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("host-model", {"mode": "host-model"}),
        ("host-passthrough", {"mode": "host-passthrough"}),
        ("qemu64", {"mode": "custom", "match": "exact"}),
    ],
)
def test_the_processor(model: str, expected: dict[str, str]) -> None:
    domain = build(machine=Machine("kvm", "q35", model, (), "libvirt", "x"))
    assert attributes(domain, "cpu") == [expected]
    assert text(domain, "cpu/model") == (model if "match" in expected else None)


def test_names_of_many_disks() -> None:
    assert [disk_name(index) for index in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        *("vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa")
    ]
