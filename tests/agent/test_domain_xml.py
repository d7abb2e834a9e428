# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a record to libvirt's XML. That libvirt takes it, schema check included, is shown by the lab."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest

from pvc_node_agent.domain_devices import Ceph, disk_name
from pvc_node_agent.domain_mark import NAMESPACE, Mark, hardware, mark_xml, read_mark, remarked
from pvc_node_agent.domain_read import as_it_runs, screen
from pvc_node_agent.domain_xml import Machine, domain_xml
from pvc_state.hardware_changes import Changes, compare
from pvc_state.records import Boot, Cpu, Devices, Disk, DiskLimits, HostDevice, Nic, Vm

CEPH = Ceph((("10.0.2.1", ""), ("fd00::1", "6789")), "libvirt", "the-secret")
TCG = Machine("qemu", "q35", "qemu64", CEPH)
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
    assert read_mark(tostring(element, encoding="unicode")) == Mark(
        "web1", epoch=3, definition=7, built=hardware(RECORD), sizes=(("vms/web1-disk0", 1 << 30),)
    )


def test_a_mark_is_replaced_and_told_as_libvirt_wants_it() -> None:
    pending = ("firmware bios -> uefi", "xml changed")
    arriving = Mark("web1", 4, 7, arriving=True, built=hardware(RECORD), applied=9, pending=pending)
    moved = fromstring(remarked(domain_xml("web1", RECORD, 3, TCG), arriving))
    (element,) = moved.findall(f"metadata/{{{NAMESPACE}}}vm")
    assert read_mark(tostring(element, encoding="unicode")) == arriving
    assert mark_xml(Mark("web1", 4, 7)) == '<vm name="web1" epoch="4" definition="7" />'
    assert read_mark(mark_xml(arriving)) == arriving
    whole = Mark("web1", 4, 7, True, restart=2, reset=3, sizes=(("a/b.c=d", 5), ("e/f", 6)), held="frozen")
    assert read_mark(mark_xml(whole)) == whole


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "<vm",
        "<vm name='web1'/>",
        "<vm name='web1' epoch='x' definition='1'/>",
        "<other/>",
        "<vm name='web1' epoch='1' definition='1' pending='1'/>",
    ],
)
def test_a_damaged_mark_is_none(damaged: str) -> None:
    assert read_mark(damaged) is None


@pytest.mark.parametrize("built", ["{", "[]", '{"uuid": "u", "memory": 512, "from_tomorrow": 1}'])
def test_hardware_that_is_not_understood_hides_no_domain(built: str) -> None:
    text = f"<vm name='web1' epoch='4' definition='7' built='{built}' held='frozen'/>"
    assert read_mark(text) == Mark("web1", 4, 7, held="frozen")


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
    domain = build(machine=Machine("kvm", "q35", model, CEPH))
    assert attributes(domain, "cpu") == [expected]
    assert text(domain, "cpu/model") == (model if "match" in expected else None)


def test_names_of_many_disks() -> None:
    assert [disk_name(index) for index in (0, 1, 25, 26, 27, 51, 52, 701, 702)] == [
        *("vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa")
    ]


# --- hardware by option -----------------------------------------------------------------------------------------------

#: Everything that an option can say, at once.
FULL = replace(
    RECORD,
    memory_max=2048,
    vcpus_max=8,
    cpu=Cpu("Nehalem", 2, 2, 2, {"vmx": "disable", "sse4.2": "require"}),
    machine="pc-q35-9.2",
    firmware="uefi",
    secure_boot=True,
    devices=Devices("virtio", "vnc", watchdog="reset", tpm=True, host=("gpu", "key")),
    disks=(
        Disk("vms", "a", iothread=True, limits=DiskLimits(write_iops=100, read_bytes=1 << 20)),
        Disk("vms", "b", bus="scsi", cache="none", discard=False),
        Disk("vms", "c", bus="sata", cache="writethrough"),
        Disk("vms", "d", bus="sata"),
        Disk("vms", "e", iothread=True),
    ),
    nics=(Nic("br0", "52:54:00:00:00:01", link=False),),
)
GPU, KEY = HostDevice("gpu", "pci", "0000:65:00.1"), HostDevice("key", "usb", "046d:0825")


def full(**changes: Any) -> Element:
    return build(replace(FULL, **changes), replace(TCG, host_devices=(GPU, KEY)))


def test_it_can_grow() -> None:
    domain = full()
    assert [text(domain, tag) for tag in ("memory", "currentMemory", "vcpu")] == ["2048", "512", "8"]
    assert attributes(domain, "vcpu") == [{"current": "2"}]


def test_its_processor() -> None:
    domain = full()
    assert text(domain, "cpu/model") == "Nehalem"
    assert attributes(domain, "cpu/topology") == [{"sockets": "2", "cores": "2", "threads": "2"}]
    assert attributes(domain, "cpu/feature") == [
        {"policy": "disable", "name": "vmx"},
        {"policy": "require", "name": "sse4.2"},
    ]


def test_processors_of_its_own_and_those_of_the_others() -> None:
    own = build(machine=replace(TCG, own=(3, 5), shared=(0, 1)))
    assert attributes(own, "cputune/vcpupin") == [{"vcpu": "0", "cpuset": "3"}, {"vcpu": "1", "cpuset": "5"}]
    assert attributes(own, "vcpu") == [{"cpuset": "0,1"}]


def test_its_firmware() -> None:
    domain = full()
    assert attributes(domain, "os") == [{"firmware": "efi"}]
    features = {feature["name"]: feature["enabled"] for feature in attributes(domain, "os/firmware/feature")}
    assert features == {"secure-boot": "yes", "enrolled-keys": "yes"}
    assert attributes(domain, "features/smm") == [{"state": "on"}]
    plain = full(secure_boot=False)
    assert {feature["enabled"] for feature in attributes(plain, "os/firmware/feature")} == {"no"}
    assert plain.find("features/smm") is None
    assert attributes(build(), "os") == [{}]


def test_its_machine_is_its_own_or_the_nodes() -> None:
    assert attributes(full(), "os/type")[0]["machine"] == "pc-q35-9.2"
    assert attributes(build(), "os/type")[0]["machine"] == "q35"


def test_its_disks_on_three_buses() -> None:
    domain = full()
    assert [(target["dev"], target["bus"]) for target in attributes(domain, "devices/disk/target")] == [
        ("vda", "virtio"),
        ("sdb", "scsi"),
        ("sdc", "sata"),
        ("sdd", "sata"),
        ("vde", "virtio"),
    ]
    drivers = attributes(domain, "devices/disk/driver")
    assert [driver["cache"] for driver in drivers] == ["writeback", "none", "writethrough", "writeback", "writeback"]
    assert [driver["discard"] for driver in drivers] == ["unmap", "ignore", "unmap", "unmap", "unmap"]
    assert [driver.get("iothread") for driver in drivers] == ["1", None, None, None, "2"]
    assert text(domain, "iothreads") == "2"
    assert attributes(domain, "devices/controller[@type='scsi']") == [
        {"type": "scsi", "index": "0", "model": "virtio-scsi"}
    ]
    (limits,) = domain.iterfind("devices/disk/iotune")
    assert {each.tag: each.text for each in limits} == {"write_iops_sec": "100", "read_bytes_sec": str(1 << 20)}
    sata = [disk for disk in domain.iterfind("devices/disk") if disk.find("target[@bus='sata']") is not None]
    assert [attributes(disk, "address")[0]["unit"] for disk in sata] == ["0", "1"]


def test_a_cable_that_is_not_plugged_in() -> None:
    assert attributes(full(), "devices/interface/link") == [{"state": "down"}]
    assert attributes(build(), "devices/interface/link") == []


def test_what_else_is_built_in() -> None:
    domain = full()
    assert attributes(domain, "devices/video/model") == [{"type": "virtio"}]
    assert attributes(domain, "devices/watchdog") == [{"model": "i6300esb", "action": "reset"}]
    assert attributes(domain, "devices/channel/target") == [{"type": "virtio", "name": "org.qemu.guest_agent.0"}]
    assert attributes(domain, "devices/tpm/backend") == [
        {"type": "emulator", "version": "2.0", "persistent_state": "yes"}
    ]
    bare = build(replace(RECORD, devices=Devices(rng=False, agent=False)))
    for device in ("rng", "channel", "watchdog", "tpm", "graphics", "hostdev"):
        assert bare.find(f"devices/{device}") is None
    assert attributes(bare, "devices/video/model") == [{"type": "none"}]


@pytest.mark.parametrize("graphics", ["vnc", "spice"])
def test_a_screen_is_shown_to_the_node_itself_only(graphics: str) -> None:
    domain = full(devices=Devices("vga", graphics))
    (shown,) = attributes(domain, "devices/graphics")
    assert (shown["type"], shown["listen"]) == (graphics, "127.0.0.1")
    assert attributes(domain, "devices/graphics/listen") == [{"type": "address", "address": "127.0.0.1"}]
    assert screen(domain) == ""
    for element in domain.iterfind("devices/graphics"):
        element.set("port", "5903")
    assert screen(domain) == f"{graphics}://127.0.0.1:5903"


def test_devices_of_the_node() -> None:
    pci, usb = full().iterfind("devices/hostdev")
    assert attributes(pci, "source/address") == [
        {"domain": "0x0000", "bus": "0x65", "slot": "0x00", "function": "0x1"},
    ]
    assert (pci.attrib["type"], usb.attrib["type"]) == ("pci", "usb")
    assert [attributes(usb, f"source/{part}") for part in ("vendor", "product")] == [
        [{"id": "0x046d"}],
        [{"id": "0x0825"}],
    ]


def test_a_machine_with_pci_express_has_ports_for_what_comes() -> None:
    express, old = (build(replace(RECORD, machine=machine)) for machine in ("q35", "pc"))
    devices = len(RECORD.nics) + len(RECORD.disks) + 6
    assert len(express.findall("devices/controller[@model='pcie-root-port']")) == devices + 8
    assert old.find("devices/controller") is None


# --- a fragment laid over it ------------------------------------------------------------------------------------------

OVERLAY = """
<domain>
  <memoryBacking><hugepages/></memoryBacking>
  <cpu mode="host-model"><feature policy="require" name="vmx"/></cpu>
  <clock offset="localtime"/>
  <devices><memballoon autodeflate="on"/><input type="keyboard" bus="virtio"/><sound model="ich9"/></devices>
</domain>
"""


def test_a_fragment_is_laid_over_it() -> None:
    plain, domain = build(), build(replace(RECORD, xml=OVERLAY))
    assert domain.find("memoryBacking/hugepages") is not None
    assert attributes(domain, "cpu") == [{"mode": "host-model", "match": "exact"}]
    assert attributes(domain, "cpu/feature") == [{"policy": "require", "name": "vmx"}]
    assert text(domain, "cpu/model") == "qemu64"
    assert attributes(domain, "clock") == [{"offset": "localtime"}]
    assert attributes(domain, "devices/memballoon") == [{"model": "virtio", "autodeflate": "on"}]
    assert attributes(domain, "devices/sound") == [{"model": "ich9"}]
    count = {tag: len(domain.findall(tag)) - len(plain.findall(tag)) for tag in ("cpu", "clock", "devices", "memory")}
    assert set(count.values()) == {0}


# --- and back ---------------------------------------------------------------------------------------------------------


def test_what_runs_is_read_from_its_xml() -> None:
    """Only sizes and sources of volumes are not there."""
    built = hardware(FULL)
    running = as_it_runs(full(), built)
    assert running.vm == built
    assert (running.memory_limit, running.vcpus_limit) == (2048, 8)
    assert compare(running.vm, FULL, running.memory_limit, running.vcpus_limit) == Changes((), ())


def test_units_of_memory_are_libvirts() -> None:
    domain = build()
    for tag in ("memory", "currentMemory"):
        for element in domain.iterfind(tag):
            element.attrib, element.text = {"unit": "KiB"}, "524288"
    assert as_it_runs(domain, RECORD).vm.memory == 512


def test_a_guest_that_was_paused_before_it_was_moved_is_marked_so() -> None:
    marked = Mark("web1", 3, 1, arriving=True, paused=True)
    assert read_mark(mark_xml(marked).replace("<vm", '<vm xmlns="urn:pvc:node-agent:1"')) == marked
    assert read_mark(mark_xml(Mark("web1", 3, 1))) == Mark("web1", 3, 1)
