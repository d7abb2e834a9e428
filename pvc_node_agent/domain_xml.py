# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a VM's record to libvirt's domain XML, and back from a domain's metadata. Pure.

Domains are transient: libvirt keeps no second truth about a VM, and starts nothing by itself after a reboot. What the
agent must know of a running domain after its own restart is in the domain's metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, register_namespace, tostring

from pvc_state.records import Disk, Nic, Vm

#: Namespace of the agent's element in a domain's metadata.
NAMESPACE = "urn:pvc:node-agent:1"
register_namespace("pvc", NAMESPACE)
_ELEMENT = f"{{{NAMESPACE}}}vm"

CONSOLE_DIRECTORY = "/var/log/libvirt/qemu"


@dataclass(frozen=True)
class Machine:
    """What a domain's XML needs to know of the node.

    Attributes:
        domain_type: kvm or qemu.
        cpu_model: host-passthrough, host-model, or a model's name.
        monitors: addresses of Ceph's monitors: host, and port or "" for the default ones.
    """

    domain_type: str
    machine: str
    cpu_model: str
    monitors: tuple[tuple[str, str], ...]
    ceph_user: str
    ceph_secret: str


@dataclass(frozen=True)
class Mark:
    """What the metadata of a domain says of its origin.

    Attributes:
        arriving: it was moved here while it ran, and has not run here yet. paused: and somebody had paused it before that.
        restart, reset, sizes: as in view.Domain.
        held: how its guest is held for a snapshot: ``frozen`` or ``paused``; empty while it is not.
    """

    vm: str
    epoch: int
    definition: int
    arriving: bool = False
    paused: bool = False
    restart: int = 0
    reset: int = 0
    sizes: tuple[tuple[str, int], ...] = ()
    held: str = ""


def console_log(vm: str) -> str:
    """File on the node that collects what the VM writes to its serial console."""
    return f"{CONSOLE_DIRECTORY}/{vm}-console.log"


def domain_xml(vm: str, record: Vm, epoch: int, machine: Machine) -> str:
    """The XML of the VM's domain."""
    domain = Element("domain", type=machine.domain_type)
    _text(domain, "name", vm)
    _text(domain, "uuid", record.uuid)
    if record.description:
        _text(domain, "description", record.description)
    metadata = SubElement(domain, "metadata")
    metadata.append(_mark_element(mark_of(vm, record, epoch)))
    _text(domain, "memory", str(record.memory), unit="MiB")
    _text(domain, "vcpu", str(record.vcpus))
    # what the guest may know: under which claim it was started
    sysinfo = SubElement(domain, "sysinfo", type="smbios")
    _text(SubElement(sysinfo, "oemStrings"), "entry", f"pvc.epoch={epoch}")
    os = SubElement(domain, "os")
    _text(os, "type", "hvm", arch="x86_64", machine=machine.machine)
    if record.boot.kernel:
        _text(os, "kernel", record.boot.kernel)
        if record.boot.initrd:
            _text(os, "initrd", record.boot.initrd)
        if record.boot.cmdline:
            _text(os, "cmdline", record.boot.cmdline)
    SubElement(os, "smbios", mode="sysinfo")
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    _cpu(domain, machine)
    SubElement(domain, "clock", offset="utc")
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")
    devices = SubElement(domain, "devices")
    for index, disk in enumerate(record.disks):
        _disk(devices, disk, index, machine, first_to_boot=index == 0 and not record.boot.kernel)
    for nic in record.nics:
        _nic(devices, nic)
    _console(devices, vm)
    rng = SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    # a guest whose kernel panics says so through this device, instead of hanging with its claim for ever
    SubElement(devices, "panic", model="isa")
    SubElement(devices, "memballoon", model="virtio")
    return tostring(domain, encoding="unicode")


def mark_of(vm: str, record: Vm, epoch: int) -> Mark:
    """The mark of a domain that is being started: whatever was asked for before is done by that."""
    sizes = tuple((f"{disk.pool}/{disk.volume}", disk.size) for disk in record.disks if disk.size is not None)
    return Mark(vm, epoch, record.definition, restart=record.restart, reset=record.reset, sizes=sizes)


def mark_xml(mark: Mark) -> str:
    """The element that libvirt keeps in a domain's metadata, as it wants to be told: it adds the namespace itself."""
    element = _mark_element(mark)
    element.tag = "vm"
    return tostring(element, encoding="unicode")


def remarked(domain: str, mark: Mark) -> str:
    """A domain's XML with another mark."""
    element = fromstring(domain)  # noqa: S314 - libvirt's own words
    metadata = element.find("metadata")
    if metadata is None:
        metadata = SubElement(element, "metadata")
    for old in metadata.findall(_ELEMENT):
        metadata.remove(old)
    metadata.append(_mark_element(mark))
    return tostring(element, encoding="unicode")


def _mark_element(mark: Mark) -> Element:
    element = Element(_ELEMENT, name=mark.vm, epoch=str(mark.epoch), definition=str(mark.definition))
    for name in ("arriving", "paused"):
        if getattr(mark, name):
            element.set(name, "yes")
    for name, value in (("restart", mark.restart), ("reset", mark.reset), ("held", mark.held)):
        if value:
            element.set(name, str(value))
    if mark.sizes:
        # neither a pool nor a volume has a space in its name
        element.set("sizes", " ".join(f"{volume}={size}" for volume, size in mark.sizes))
    return element


def read_mark(metadata: str) -> Mark | None:
    """The mark in a domain's metadata element, None if it is none of ours or damaged."""
    try:
        element = fromstring(metadata)  # noqa: S314 - written by this agent, handed over by libvirt
        return Mark(
            vm=element.attrib["name"],
            epoch=int(element.attrib["epoch"]),
            definition=int(element.attrib["definition"]),
            arriving=element.get("arriving") == "yes",
            paused=element.get("paused") == "yes",
            restart=int(element.get("restart", "0")),
            reset=int(element.get("reset", "0")),
            sizes=_sizes(element.get("sizes", "")),
            held=element.get("held", ""),
        )
    except (ParseError, KeyError, ValueError):
        return None


def _sizes(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (item.rpartition("=") for item in text.split())
    return tuple((volume, int(size)) for volume, _equals, size in pairs)


def _text(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = text
    return element


def _cpu(domain: Element, machine: Machine) -> None:
    if machine.cpu_model in ("host-passthrough", "host-model"):
        SubElement(domain, "cpu", mode=machine.cpu_model)
        return
    cpu = SubElement(domain, "cpu", mode="custom", match="exact")
    _text(cpu, "model", machine.cpu_model, fallback="forbid")


def _disk(devices: Element, disk: Disk, index: int, machine: Machine, first_to_boot: bool) -> None:
    element = SubElement(devices, "disk", type="network", device="disk")
    # stop: a guest whose storage is cut off pauses within the same write, instead of seeing I/O errors
    SubElement(
        element,
        "driver",
        name="qemu",
        type="raw",
        cache="writeback",
        error_policy="stop",
        rerror_policy="stop",
        discard="unmap",
    )
    auth = SubElement(element, "auth", username=machine.ceph_user)
    SubElement(auth, "secret", type="ceph", uuid=machine.ceph_secret)
    source = SubElement(element, "source", protocol="rbd", name=f"{disk.pool}/{disk.volume}")
    for host, port in machine.monitors:
        SubElement(source, "host", {"name": host, "port": port} if port else {"name": host})
    SubElement(element, "target", dev=disk_name(index), bus="virtio")
    if first_to_boot:
        SubElement(element, "boot", order="1")


def disk_name(index: int) -> str:
    """vda, vdb, …, vdz, vdaa, …"""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return f"vd{letters}"


def _nic(devices: Element, nic: Nic) -> None:
    element = SubElement(devices, "interface", type="bridge")
    SubElement(element, "mac", address=nic.mac)
    SubElement(element, "source", bridge=nic.bridge)
    SubElement(element, "model", type=nic.model)


def _console(devices: Element, vm: str) -> None:
    serial = SubElement(devices, "serial", type="pty")
    SubElement(serial, "log", file=console_log(vm), append="on")
    SubElement(serial, "target", type="isa-serial", port="0")
    console = SubElement(devices, "console", type="pty")
    SubElement(console, "log", file=console_log(vm), append="on")
    SubElement(console, "target", type="serial", port="0")
