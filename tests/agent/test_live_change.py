# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hardware that changes while the guest runs: what is done, what waits, and that a crash in between costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest

from pvc_node_agent import domain_read
from pvc_node_agent.domain_devices import Ceph
from pvc_node_agent.domain_mark import Mark, hardware, read_mark
from pvc_node_agent.domain_xml import Machine, domain_xml
from pvc_node_agent.env import EffectFailed
from pvc_node_agent.live_change import Change, Refused
from pvc_state.records import Boot, Cpu, Devices, Disk, DiskLimits, Nic, Vm

CEPH = Ceph((("10.0.2.1", ""),), "libvirt", "the-secret")
A, B, C = (Disk("vms", name) for name in "abc")
ONE, TWO = Nic("br0", "02:00:00:00:00:01"), Nic("br0", "02:00:00:00:00:02")
RECORD = Vm(
    uuid="4f0a9c56-40c2-4a1e-9f5e-1f5b0a1f7c11",
    memory=512,
    vcpus=2,
    memory_max=1024,
    vcpus_max=4,
    disks=(A, B),
    nics=(ONE,),
    definition=4,
)


class Dies(BaseException):
    """The agent's process ends."""


class Domain:
    """A domain that does what libvirt does with these calls.

    Attributes:
        clinging: aliases that its guest does not let go of. deaf: whether its guest does not follow what it is asked for.
        refuses: elements that libvirt does not attach, with the reason.
        dies_at: the call in which the agent ends, having had its effect.
        calls: what has been done.
    """

    def __init__(self, record: Vm = RECORD) -> None:
        self.domain = fromstring(domain_xml("web1", record, 3, Machine("qemu", "q35", "qemu64", CEPH)))
        self.clinging: set[str] = set()
        self.deaf = False
        self.refuses: dict[str, str] = {}
        self.dies_at = -1
        self.calls: list[str] = []
        self.threads = sum(disk.iothread for disk in record.disks)
        self.marked = Mark("web1", 3, record.definition, built=hardware(record))
        for device in self._devices():
            self._name(device)

    def change(self, record: Vm) -> Mark:
        Change(self, self.marked, record, CEPH, _look).carry_out()
        return self.marked

    def xml(self) -> str:
        return tostring(self.domain, encoding="unicode")

    def attach(self, device: str) -> None:
        element = fromstring(device)
        if element.tag in self.refuses:
            raise Refused(self.refuses[element.tag])
        names = [target.get("dev") for target in self.domain.iterfind("devices/disk/target")]
        target = element.find("target")
        assert target is None or target.get("dev") not in names, "two disks have one name"
        assert element.tag != "interface" or domain_read.mac_of(element) not in {nic.mac for nic in self.now.nics}
        self._name(element)
        self._devices().append(element)
        self._called(f"attach {element.tag}")

    def detach(self, alias: str) -> None:
        if alias not in self.clinging:
            for device in list(self._devices()):
                if domain_read.alias_of(device) == alias:
                    self._devices().remove(device)
        self._called("detach")

    def update(self, device: str) -> None:
        element = fromstring(device)
        for old in list(domain_read.nics(self.domain)):
            if domain_read.mac_of(old) == domain_read.mac_of(element):
                self._devices().remove(old)
                self._devices().append(element)
        self._called("update")

    def limit(self, target: str, limits: Mapping[str, int]) -> None:
        for disk in domain_read.disks(self.domain):
            if disk.find(f"target[@dev='{target}']") is not None:
                for old in disk.findall("iotune"):
                    disk.remove(old)
                tune = SubElement(disk, "iotune")
                for name, value in limits.items():
                    SubElement(tune, name).text = str(value)
        self._called("limit")

    def set_memory(self, memory: int) -> None:
        if not self.deaf:
            for element in self.domain.iterfind("currentMemory"):
                element.text = str(memory)
        self._called("memory")

    def set_vcpus(self, vcpus: int) -> None:
        if not self.deaf:
            for element in self.domain.iterfind("vcpu"):
                element.set("current", str(vcpus))
        self._called("vcpus")

    def add_thread(self) -> int:
        self.threads += 1
        self._called("thread")
        return self.threads

    def mark(self, text: str) -> None:
        mark = read_mark(text)
        assert mark is not None
        self.marked = mark
        self._called("mark")

    @property
    def now(self) -> Vm:
        """Its hardware, its disks and interfaces by name."""
        vm = domain_read.as_it_runs(self.domain, hardware(RECORD)).vm
        disks = tuple(sorted(vm.disks, key=lambda disk: disk.volume))
        return replace(vm, disks=disks, nics=tuple(sorted(vm.nics, key=lambda nic: nic.mac)))

    def _devices(self) -> Element:
        devices = self.domain.find("devices")
        assert devices is not None
        return devices

    def _name(self, device: Element) -> None:
        target, mac = device.find("target"), device.find("mac")
        name = target.get("dev") if target is not None else mac.get("address") if mac is not None else ""
        if name:
            SubElement(device, "alias", name=name)

    def _called(self, what: str) -> None:
        self.calls.append(what)
        if len(self.calls) - 1 == self.dies_at:
            raise Dies


def _look(_seconds: float, holds: Callable[[], bool]) -> bool:
    return holds()


def wanted(**changes: Any) -> Vm:
    return replace(RECORD, definition=RECORD.definition + 1, **changes)


#: change: (fields of the record, what is done for it)
LIVE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a disk comes": ({"disks": (A, B, C)}, ["attach disk"]),
    "a disk with a thread": ({"disks": (A, B, replace(C, iothread=True))}, ["thread", "attach disk"]),
    "a disk on a bus that is not there yet": (
        {"disks": (A, B, replace(C, bus="scsi"))},
        ["attach controller", "attach disk"],
    ),
    "a disk goes": ({"disks": (A,)}, ["detach"]),
    "one goes, another one comes": ({"disks": (A, C)}, ["attach disk", "detach"]),
    "a disk gets limits": ({"disks": (replace(A, limits=DiskLimits(write_iops=9)), B)}, ["limit"]),
    "disks in another order": ({"disks": (B, A)}, []),
    "an interface comes": ({"nics": (ONE, TWO)}, ["attach interface"]),
    "an interface goes": ({"nics": ()}, ["detach"]),
    "a cable is pulled": ({"nics": (replace(ONE, link=False),)}, ["update"]),
    "another bridge": ({"nics": (replace(ONE, bridge="br1"),)}, ["update"]),
    "more memory": ({"memory": 1024}, ["memory"]),
    "less memory": ({"memory": 128}, ["memory"]),
    "more vcpus": ({"vcpus": 4}, ["vcpus"]),
    "everything": (
        {
            "disks": (replace(A, limits=DiskLimits(read_iops=5)), C, replace(Disk("vms", "d"), bus="scsi")),
            "nics": (replace(ONE, bridge="br1"), TWO),
            "memory": 700,
            "vcpus": 3,
        },
        [
            *("attach disk", "attach controller", "attach disk", "limit", "update", "attach interface"),
            *("memory", "vcpus", "detach"),
        ],
    ),
}


def same(domain: Domain, record: Vm) -> bool:
    """Whether the domain has what the record says, as far as that can change while it runs."""
    disks = tuple(sorted(record.disks, key=lambda disk: disk.volume))
    now = domain.now
    return (now.disks, set(now.nics), now.memory, now.vcpus) == (disks, set(record.nics), record.memory, record.vcpus)


@pytest.mark.parametrize("story", LIVE)
def test_what_changes_while_the_guest_runs(story: str) -> None:
    changes, calls = LIVE[story]
    domain, record = Domain(), wanted(**changes)
    mark = domain.change(record)
    assert sorted(domain.calls) == sorted([*calls, "mark"])
    assert same(domain, record)
    assert (mark.definition, mark.applied, mark.pending) == (5, 0, ())
    assert mark.built == hardware(record)


@pytest.mark.parametrize("story", LIVE)
def test_the_next_agent_goes_on_after_a_crash_in_any_place(story: str) -> None:
    changes, calls = LIVE[story]
    record = wanted(**changes)
    for place in range(len(calls) + 1):
        domain = Domain()
        domain.dies_at = place
        with pytest.raises(Dies):
            domain.change(record)
        domain.dies_at = -1
        mark = domain.change(record)
        assert same(domain, record)
        assert (mark.definition, mark.pending) == (5, ())


@pytest.mark.parametrize(
    ("changes", "pending"),
    [
        ({"firmware": "uefi", "secure_boot": True}, ("firmware bios -> uefi", "secure_boot no -> yes")),
        ({"machine": "pc"}, ("machine default -> pc",)),
        ({"memory": 2048, "memory_max": 2048}, ("memory 512 -> 2048", "memory_max 1024 -> 2048")),
        ({"vcpus": 1}, ("vcpus 2 -> 1",)),
        ({"vcpus": 8, "vcpus_max": 8}, ("vcpus 2 -> 8", "vcpus_max 4 -> 8")),
        ({"cpu": Cpu("host-model", features={"vmx": "disable"})}, ("cpu.model default -> host-model", "cpu.features none -> vmx=disable")),
        ({"devices": Devices(tpm=True, host=("gpu",))}, ("devices.tpm no -> yes", "devices.host none -> gpu")),
        ({"boot": Boot("/vmlinuz")}, ("boot changed",)),
        ({"xml": "<domain/>"}, ("xml changed",)),
        ({"disks": (replace(A, bus="scsi", cache="none"), B)}, ("disk vms/a bus virtio -> scsi", "disk vms/a cache writeback -> none")),
        ({"disks": (A, B, replace(C, bus="sata"))}, ("disk vms/c added",)),
        ({"nics": (replace(ONE, model="e1000e"),)}, ("nic 02:00:00:00:00:01 model virtio -> e1000e",)),
    ],
    ids=str,
)  # fmt: skip
def test_what_waits_for_the_next_start(changes: dict[str, Any], pending: tuple[str, ...]) -> None:
    domain = Domain()
    mark = domain.change(wanted(**changes))
    assert domain.calls == ["mark"]
    assert (mark.definition, mark.applied, mark.pending, mark.built) == (4, 5, pending, hardware(RECORD))
    assert domain.change(replace(RECORD, definition=6)) == Mark("web1", 3, 6, built=hardware(RECORD))


def test_what_can_be_done_is_done_although_something_waits() -> None:
    domain, record = Domain(), wanted(firmware="uefi", disks=(A, B, C), memory=1024)
    mark = domain.change(record)
    assert same(domain, record)
    assert mark.pending == ("firmware bios -> uefi",)


def test_what_was_attached_later_is_compared_as_it_was_attached() -> None:
    domain = Domain()
    domain.change(wanted(firmware="uefi", disks=(A, B, C)))
    mark = domain.change(replace(RECORD, definition=6, disks=(A, B, replace(C, cache="none"))))
    assert mark.pending == ("disk vms/c cache writeback -> none",)


def test_a_guest_that_does_not_let_go_is_no_success() -> None:
    domain = Domain()
    domain.clinging = {"vdb"}
    record = wanted(disks=(A,), memory=1024)
    with pytest.raises(
        EffectFailed, match=r"its guest does not let go of vms/b \(asked\): stop the VM to take it away"
    ):
        domain.change(record)
    assert domain.now.memory == 1024
    assert (domain.marked.definition, domain.marked.applied) == (4, 0)
    domain.clinging = set()
    assert domain.change(record).definition == 5
    assert same(domain, record)


def test_a_guest_is_asked_for_everything_at_once() -> None:
    domain = Domain()
    domain.clinging = {"vda", "vdb"}
    with pytest.raises(EffectFailed, match=r"does not let go of vms/a \(asked\), vms/b \(asked\): stop"):
        domain.change(wanted(disks=(), nics=()))
    assert domain.calls == ["detach"] * 3
    assert domain.now.nics == ()


def test_a_guest_that_does_not_follow_gets_it_at_its_next_start() -> None:
    domain = Domain()
    domain.deaf = True
    assert domain.change(wanted(memory=256)).pending == ("memory 512 -> 256: its guest does not follow",)


def test_what_libvirt_refuses_waits_with_its_reason() -> None:
    domain = Domain()
    domain.refuses = {"disk": "no more PCI slots"}
    mark = domain.change(wanted(disks=(A, B, C), nics=(ONE, TWO)))
    assert mark.pending == ("disk vms/c added: no more PCI slots",)
    assert len(domain.now.nics) == 2


def test_a_domain_of_an_agent_that_kept_less_gets_what_it_can() -> None:
    domain, record = Domain(), wanted(disks=(A, B, C))
    domain.marked = replace(domain.marked, built=None)
    mark = domain.change(record)
    assert same(domain, record)
    assert (mark.definition, mark.applied, len(mark.pending)) == (4, 5, 1)


def test_memory_of_a_vm_with_devices_of_its_node_does_not_move() -> None:
    record = replace(RECORD, devices=Devices(host=("gpu",)))
    assert Domain(record).change(replace(record, definition=5, memory=1024)).pending == ("memory 512 -> 1024",)


def sized(disk: Disk, size: int) -> Disk:
    return replace(disk, size=size)


def test_the_sizes_of_disks_that_come_and_go_are_kept() -> None:
    domain = Domain()
    domain.marked = replace(domain.marked, sizes=(("vms/a", 5), ("vms/b", 6)))
    mark = domain.change(wanted(disks=(sized(A, 9), sized(C, 7))))
    assert mark.sizes == (("vms/a", 5), ("vms/c", 7)), "a grows later; the guest has what was attached"


def test_the_size_of_a_disk_that_comes_back_is_new() -> None:
    domain = Domain(replace(RECORD, disks=(A,)))
    domain.marked = replace(domain.marked, sizes=(("vms/b", 6),))
    assert domain.change(wanted(disks=(A, sized(B, 3)))).sizes == (("vms/b", 3),)


def test_a_disk_that_libvirt_refuses_has_no_size() -> None:
    domain = Domain()
    domain.refuses = {"disk": "no more PCI slots"}
    assert domain.change(wanted(disks=(A, B, sized(C, 7)))).sizes == ()


def test_the_size_of_what_was_attached_is_kept_although_the_guest_clings_to_something() -> None:
    domain = Domain()
    domain.clinging = {"vdb"}
    with pytest.raises(EffectFailed):
        domain.change(wanted(disks=(A, sized(C, 7))))
    assert (domain.marked.sizes, domain.marked.definition) == ((("vms/c", 7),), 4)
    with pytest.raises(EffectFailed):
        domain.change(replace(wanted(disks=(A, sized(C, 8))), definition=6))
    assert domain.marked.sizes == (("vms/c", 7),)
