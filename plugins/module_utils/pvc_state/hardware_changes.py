# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the hardware that a running VM has to the one that is wanted: what can be changed at once, and what waits. Pure.

What is waited for is its next start: a guest that restarts itself keeps its QEMU, and so its hardware.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

from .records import Disk, Nic, Vm

#: Fields of a record that its virtual hardware consists of.
HARDWARE = (
    "memory",
    "vcpus",
    "disks",
    "nics",
    "boot",
    "memory_max",
    "vcpus_max",
    "cpu",
    "devices",
    "machine",
    "firmware",
    "secure_boot",
    "xml",
)
#: Of those, the ones that no running QEMU can change; the first ones have parts that are told one by one.
_PARTS = ("cpu", "devices")
_FIXED = ("memory_max", "vcpus_max", "machine", "firmware", "secure_boot")
_LONG = ("boot", "xml")
#: How a disk is attached; another way is another device.
_ATTACHED = ("bus", "cache", "discard", "iothread")
#: Buses whose disks come and go while the guest runs.
HOT_BUSES = ("virtio", "scsi")


@dataclass(frozen=True)
class AttachDisk:
    """A disk comes. index: its place in the record."""

    disk: Disk
    index: int

    def __str__(self) -> str:
        return f"disk {volume(self.disk)} added"


@dataclass(frozen=True)
class DetachDisk:
    """A disk goes."""

    disk: Disk

    def __str__(self) -> str:
        return f"disk {volume(self.disk)} taken away"


@dataclass(frozen=True)
class LimitDisk:
    """A disk gets other limits."""

    disk: Disk

    def __str__(self) -> str:
        return f"disk {volume(self.disk)} limits changed"


@dataclass(frozen=True)
class AttachNic:
    """A network interface comes."""

    nic: Nic

    def __str__(self) -> str:
        return f"nic {self.nic.mac} added"


@dataclass(frozen=True)
class DetachNic:
    """A network interface goes."""

    nic: Nic

    def __str__(self) -> str:
        return f"nic {self.nic.mac} taken away"


@dataclass(frozen=True)
class ChangeNic:
    """A network interface gets another bridge, or its cable is plugged in or out."""

    nic: Nic

    def __str__(self) -> str:
        return f"nic {self.nic.mac} bridge {self.nic.bridge}, link {_said(self.nic.link)}"


@dataclass(frozen=True)
class SetMemory:
    """The guest has more or less memory, in MiB."""

    before: int
    memory: int

    def __str__(self) -> str:
        return f"memory {self.before} -> {self.memory}"


@dataclass(frozen=True)
class SetVcpus:
    """The guest gets more vCPUs."""

    before: int
    vcpus: int

    def __str__(self) -> str:
        return f"vcpus {self.before} -> {self.vcpus}"


# not "|": a module may be imported by a Python that does not know it between classes
Step = Union[AttachDisk, DetachDisk, LimitDisk, AttachNic, DetachNic, ChangeNic, SetMemory, SetVcpus]


@dataclass(frozen=True)
class Changes:
    """The way from one hardware to another.

    Attributes:
        now: what can be done while the guest runs, in order: what a guest may refuse to let go of is last.
        later: what waits for the next start, one phrase each.
    """

    now: tuple[Step, ...]
    later: tuple[str, ...]


def differ(old: Vm, new: Vm) -> bool:
    """Whether the virtual hardware of two records differs; that of volumes, such as their size, does not matter."""

    def built(vm: Vm) -> list[Any]:
        disks = [dataclasses.replace(disk, size=None, source="") for disk in vm.disks]
        return [disks if field == "disks" else getattr(vm, field) for field in HARDWARE]

    return built(old) != built(new)


def volume(disk: Disk) -> str:
    """What a disk is known by."""
    return f"{disk.pool}/{disk.volume}"


def compare(has: Vm, wants: Vm, memory_limit: int | None = None, vcpus_limit: int | None = None) -> Changes:
    """What becomes of a running VM with the one hardware that is to have the other.

    Args:
        memory_limit, vcpus_limit: what it can grow to, where that is not what ``has`` says.
    """
    now: list[Step] = []
    later: list[str] = []
    _disks(has, wants, now, later)
    _nics(has, wants, now, later)
    if has.memory != wants.memory:
        memory = SetMemory(has.memory, wants.memory)
        fits = wants.memory <= (has.memory_limit if memory_limit is None else memory_limit)
        # what is given to a device of the node stays where it is
        _put(memory, fits and not has.devices.host, now, later)
    if has.vcpus != wants.vcpus:
        most = has.vcpus_limit if vcpus_limit is None else vcpus_limit
        # fewer never at once: guests answer late or not at all, and QEMU 7.2 was seen to crash after it
        grows = has.vcpus < wants.vcpus <= most
        _put(SetVcpus(has.vcpus, wants.vcpus), grows and not has.cpu.dedicated, now, later)
    later += _fixed(has, wants)
    now.sort(key=lambda step: isinstance(step, (DetachDisk, DetachNic)))
    return Changes(tuple(now), tuple(later))


def _put(step: Step, at_once: bool, now: list[Step], later: list[str]) -> None:
    if at_once:
        now.append(step)
    else:
        later.append(str(step))


def _disks(has: Vm, wants: Vm, now: list[Step], later: list[str]) -> None:
    there = {volume(disk): disk for disk in has.disks}
    for index, disk in enumerate(wants.disks):
        old = there.pop(volume(disk), None)
        if old is None:
            _put(AttachDisk(disk, index), disk.bus in HOT_BUSES, now, later)
            continue
        for field in _ATTACHED:
            before, after = getattr(old, field), getattr(disk, field)
            if before != after:
                later.append(f"disk {volume(disk)} {field} {_said(before)} -> {_said(after)}")
        if old.limits != disk.limits:
            now.append(LimitDisk(disk))
    # never later: as long as it is not let go of, the change is not made
    now += [DetachDisk(disk) for disk in there.values()]


def _nics(has: Vm, wants: Vm, now: list[Step], later: list[str]) -> None:
    there = {nic.mac: nic for nic in has.nics}
    for nic in wants.nics:
        old = there.pop(nic.mac, None)
        if old is None:
            now.append(AttachNic(nic))
            continue
        if old.model != nic.model:
            later.append(f"nic {nic.mac} model {old.model} -> {nic.model}")
        if (old.bridge, old.link) != (nic.bridge, nic.link):
            now.append(ChangeNic(dataclasses.replace(nic, model=old.model)))
    now += [DetachNic(nic) for nic in there.values()]


def _fixed(has: Vm, wants: Vm) -> Iterator[str]:
    for field in _FIXED:
        yield from _phrase(field, getattr(has, field), getattr(wants, field))
    for field in _PARTS:
        before, after = getattr(has, field), getattr(wants, field)
        for part in dataclasses.fields(before):
            yield from _phrase(f"{field}.{part.name}", getattr(before, part.name), getattr(after, part.name))
    for field in _LONG:
        if getattr(has, field) != getattr(wants, field):
            yield f"{field} changed"


def _phrase(name: str, before: Any, after: Any) -> Iterator[str]:
    if before != after:
        yield f"{name} {_said(before)} -> {_said(after)}"


def _said(value: Any) -> str:
    """A value in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "none"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value != "" else "default"
