# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the options of a VM's virtual hardware may be, in libvirt's terms: each by itself, then all of them together."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from . import xml_overlay
from .records import Cpu, Devices, Disk, DiskLimits, Vm
from .requests import UNSET, CpuRequest, DevicesRequest, DiskRequest, VmRequest
from .vm_options import MEMORY, VCPUS, Checker

BUSES = ("virtio", "scsi", "sata")
CACHES = ("none", "writeback", "writethrough")
FIRMWARES = ("bios", "uefi")
VIDEOS = ("none", "virtio", "vga", "qxl")
GRAPHICS = ("none", "vnc", "spice")
WATCHDOGS = ("none", "reset", "poweroff", "pause")
FEATURES = ("require", "disable")

_LIMIT = range((1 << 50) + 1)
#: Ports of the controller that a machine has.
_SATA_PORTS = 6
_HOST_DEVICES = 8
_FEATURES = 64

_MACHINE = re.compile(r"(q35|pc|pc-q35-[0-9.]{1,8}|pc-i440fx-[0-9.]{1,8})?")
_MODEL = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,63})?")
_FEATURE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def of_disk(check: Checker, option: str, request: DiskRequest, disk: Disk) -> Disk:
    """The disk with how it is attached."""
    bus = check.choice(f"{option}.bus", request.bus, BUSES)
    iothread = check.truth(f"{option}.iothread", request.iothread)
    if iothread and bus != "virtio":
        check.refuse(f"{option}.iothread", f"a disk on bus {bus} has no thread of its own", "give bus virtio")
    limits = {
        field.name: check.number(f"{option}.limits.{field.name}", getattr(request.limits, field.name), _LIMIT)
        for field in dataclasses.fields(DiskLimits)
    }
    return dataclasses.replace(
        disk,
        bus=bus,
        cache=check.choice(f"{option}.cache", request.cache, CACHES),
        discard=check.truth(f"{option}.discard", request.discard),
        iothread=iothread,
        limits=DiskLimits(**limits),
    )


def of_vm(check: Checker, request: VmRequest, base: Vm) -> dict[str, Any]:
    """The fields of the record that are asked for, each checked by itself."""
    values: dict[str, Any] = {}
    for option, allowed, unit in (("memory", MEMORY, "MiB"), ("vcpus", VCPUS, "")):
        if getattr(request, option) is not UNSET:
            values[option] = check.number(option, getattr(request, option), allowed, unit)
        limit = f"{option}_max"
        if getattr(request, limit) is not UNSET:
            values[limit] = check.number(limit, getattr(request, limit), range(allowed.stop), unit)
    if request.cpu is not UNSET:
        values["cpu"] = _cpu(check, request.cpu, base.cpu)
    if request.devices is not UNSET:
        values["devices"] = _devices(check, request.devices, base.devices)
    if request.machine is not UNSET:
        rule = "give q35, pc, or one of their versions such as pc-q35-9.2"
        values["machine"] = check.pattern("machine", request.machine, _MACHINE, rule)
    if request.firmware is not UNSET:
        values["firmware"] = check.choice("firmware", request.firmware, FIRMWARES)
    if request.secure_boot is not UNSET:
        values["secure_boot"] = check.truth("secure_boot", request.secure_boot)
    if request.xml is not UNSET:
        problem, remedy = xml_overlay.problem(request.xml)
        if problem:
            check.refuse("xml", problem, remedy)
        values["xml"] = request.xml.strip()
    return values


def _cpu(check: Checker, request: CpuRequest, base: Cpu) -> Cpu:
    values: dict[str, Any] = {}
    if request.model is not UNSET:
        rule = "give host-model, host-passthrough, or the name of a model that libvirt knows"
        values["model"] = check.pattern("cpu.model", request.model, _MODEL, rule)
    for option in ("sockets", "cores", "threads"):
        if getattr(request, option) is not UNSET:
            values[option] = check.number(f"cpu.{option}", getattr(request, option), range(VCPUS.stop))
    if request.features is not UNSET:
        check.at_most("cpu.features", list(request.features), _FEATURES)
        for name, policy in request.features.items():
            check.pattern("cpu.features", name, _FEATURE, "give names of features as libvirt has them, such as vmx")
            check.choice(f"cpu.features.{name}", policy, FEATURES)
        values["features"] = dict(sorted(request.features.items()))
    if request.dedicated is not UNSET:
        values["dedicated"] = check.truth("cpu.dedicated", request.dedicated)
    return dataclasses.replace(base, **values)


def _devices(check: Checker, request: DevicesRequest, base: Devices) -> Devices:
    values: dict[str, Any] = {}
    for option, allowed in (("video", VIDEOS), ("graphics", GRAPHICS), ("watchdog", WATCHDOGS)):
        if getattr(request, option) is not UNSET:
            values[option] = check.choice(f"devices.{option}", getattr(request, option), allowed)
    for option in ("rng", "agent", "tpm"):
        if getattr(request, option) is not UNSET:
            values[option] = check.truth(f"devices.{option}", getattr(request, option))
    if request.host is not UNSET:
        check.at_most("devices.host", request.host, _HOST_DEVICES)
        names = [check.name(name, f"devices.host[{index}]") for index, name in enumerate(request.host)]
        if len(set(names)) < len(names):
            check.refuse("devices.host", "a device is in it twice", "name each device once")
        values["host"] = tuple(names)
    return dataclasses.replace(base, **values)


def together(check: Checker, vm: Vm) -> None:
    """What is right by itself fits together."""
    _sizes(check, vm)
    if vm.secure_boot and vm.firmware != "uefi":
        check.refuse("secure_boot", f"firmware {vm.firmware} knows no secure boot", "give firmware uefi, too")
    if vm.secure_boot and is_old(vm.machine):
        check.refuse("secure_boot", f"machine {vm.machine} has no protected mode for it", "give machine q35")
    if vm.devices.graphics != "none" and vm.devices.video == "none":
        check.refuse(
            "devices.graphics", "it has no graphics card whose screen could be shown", "give devices.video, too"
        )
    on_sata = [index for index, disk in enumerate(vm.disks) if disk.bus == "sata"]
    if len(on_sata) > _SATA_PORTS:
        option, problem = f"disks[{on_sata[_SATA_PORTS]}].bus", f"its controller has {_SATA_PORTS} ports"
        check.refuse(option, problem, "give bus virtio or scsi")


def is_old(machine: str) -> bool:
    """Whether it is libvirt's machine of the time before PCI Express."""
    return machine == "pc" or machine.startswith("pc-i440fx")


def _sizes(check: Checker, vm: Vm) -> None:
    for option, unit in (("memory", " MiB"), ("vcpus", "")):
        has, limit = getattr(vm, option), getattr(vm, f"{option}_max")
        if 0 < limit < has:
            problem = f"{has}{unit} are more than {option}_max, {limit}{unit}"
            check.refuse(option, problem, f"give at most {limit}, or a larger {option}_max, or 0 for none")
    parts = (vm.cpu.sockets, vm.cpu.cores, vm.cpu.threads)
    if not any(parts):
        return
    product = parts[0] * parts[1] * parts[2]
    if product != vm.vcpus_limit:
        limit = "vcpus_max" if vm.vcpus_max else "vcpus"
        if not all(parts):
            problem, remedy = "a topology has sockets, cores and threads", "give all three, or 0 for all three"
        else:
            problem = f"{parts[0]} sockets of {parts[1]} cores of {parts[2]} threads are {product} vCPUs"
            problem += f", but {limit} is {vm.vcpus_limit}"
            remedy = f"make their product {limit}, or give 0 for all three"
        check.refuse("cpu", problem, remedy)
