# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Devices of a VM as elements of libvirt's domain XML. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from xml.etree.ElementTree import Element, SubElement

from pvc_state.hardware_changes import volume
from pvc_state.records import Devices, Disk, DiskLimits, HostDevice, Nic

CONSOLE_DIRECTORY = "/var/log/libvirt/qemu"
#: The only address that a VM's screen is shown at: whoever wants to see it comes through a login on the node.
LOOPBACK = "127.0.0.1"
#: Ports that a machine with PCI Express has free for devices that come while it runs.
SPARE_PORTS = 8
#: How libvirt calls the limits of a disk.
LIMITS = {field.name: f"{field.name}_sec" for field in fields(DiskLimits)}


@dataclass(frozen=True)
class Ceph:
    """How QEMU reaches a volume.

    Attributes:
        monitors: addresses of Ceph's monitors: host, and port or "" for the default ones.
    """

    monitors: tuple[tuple[str, str], ...]
    user: str
    secret: str


def console_log(vm: str) -> str:
    """File on the node that collects what the VM writes to its serial console."""
    return f"{CONSOLE_DIRECTORY}/{vm}-console.log"


def text(parent: Element, tag: str, content: str, **attributes: str) -> Element:
    """Add an element with a text."""
    element = SubElement(parent, tag, attributes)
    element.text = content
    return element


def letters(index: int) -> str:
    """a, b, …, z, aa, …"""
    found = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        found = chr(ord("a") + rest) + found
    return found


def disk_name(index: int, bus: str = "virtio") -> str:
    """vda, vdb, …; sda, sdb, … on other buses."""
    return f"{'vd' if bus == 'virtio' else 'sd'}{letters(index)}"


def disk_element(disk: Disk, index: int, ceph: Ceph, thread: int = 0, port: int = 0) -> Element:
    """A disk.

    Args:
        index: from which its name follows, which no other disk of the domain may have.
        thread: number of its own thread, 0 for none.
        port: of the SATA controller.
    """
    element = Element("disk", type="network", device="disk")
    # stop: a guest whose storage is cut off pauses within the same write, instead of seeing I/O errors
    driver = {"name": "qemu", "type": "raw", "cache": disk.cache, "error_policy": "stop", "rerror_policy": "stop"}
    driver["discard"] = "unmap" if disk.discard else "ignore"
    if thread:
        driver["iothread"] = str(thread)
    SubElement(element, "driver", driver)
    auth = SubElement(element, "auth", username=ceph.user)
    SubElement(auth, "secret", type="ceph", uuid=ceph.secret)
    source = SubElement(element, "source", protocol="rbd", name=volume(disk))
    for host, number in ceph.monitors:
        SubElement(source, "host", {"name": host, "port": number} if number else {"name": host})
    SubElement(element, "target", dev=disk_name(index, disk.bus), bus=disk.bus)
    if disk.limits != DiskLimits():
        tune = SubElement(element, "iotune")
        for field, name in LIMITS.items():
            if getattr(disk.limits, field):
                text(tune, name, str(getattr(disk.limits, field)))
    if disk.bus == "scsi":
        SubElement(element, "address", type="drive", controller="0", bus="0", target=str(index), unit="0")
    elif disk.bus == "sata":
        SubElement(element, "address", type="drive", controller="0", bus="0", target="0", unit=str(port))
    return element


def scsi_controller() -> Element:
    """What disks on bus scsi are connected to."""
    return Element("controller", type="scsi", index="0", model="virtio-scsi")


def nic_element(nic: Nic) -> Element:
    """A network interface."""
    element = Element("interface", type="bridge")
    SubElement(element, "mac", address=nic.mac)
    SubElement(element, "source", bridge=nic.bridge)
    SubElement(element, "model", type=nic.model)
    if not nic.link:
        SubElement(element, "link", state="down")
    return element


def host_element(device: HostDevice) -> Element:
    """A device of the node that the VM has for itself."""
    element = Element("hostdev", mode="subsystem", type=device.kind, managed="yes")
    source = SubElement(element, "source")
    if device.kind == "pci":
        domain, bus, rest = device.address.split(":")
        slot, function = rest.split(".")
        parts = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        SubElement(source, "address", {name: f"0x{value}" for name, value in parts.items()})
    else:
        vendor, product = device.address.split(":")
        SubElement(source, "vendor", id=f"0x{vendor}")
        SubElement(source, "product", id=f"0x{product}")
    return element


def add_console(devices: Element, vm: str) -> None:
    """A serial console, whose output is kept."""
    serial = SubElement(devices, "serial", type="pty")
    SubElement(serial, "log", file=console_log(vm), append="on")
    SubElement(serial, "target", type="isa-serial", port="0")
    console = SubElement(devices, "console", type="pty")
    SubElement(console, "log", file=console_log(vm), append="on")
    SubElement(console, "target", type="serial", port="0")


def add_more(devices: Element, more: Devices) -> None:
    """What else is built in, but for devices of the node."""
    if more.rng:
        rng = SubElement(devices, "rng", model="virtio")
        text(rng, "backend", "/dev/urandom", model="random")
    if more.agent:
        channel = SubElement(devices, "channel", type="unix")
        SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    SubElement(SubElement(devices, "video"), "model", type=more.video)
    if more.graphics != "none":
        graphics = SubElement(devices, "graphics", type=more.graphics, autoport="yes", listen=LOOPBACK)
        SubElement(graphics, "listen", type="address", address=LOOPBACK)
        # without it, the pointers of viewer and guest are apart
        SubElement(devices, "input", type="tablet", bus="usb")
    if more.watchdog != "none":
        SubElement(devices, "watchdog", model="i6300esb", action=more.watchdog)
    if more.tpm:
        tpm = SubElement(devices, "tpm", model="tpm-crb")
        # a transient domain would lose its TPM's content each time that it ends
        SubElement(tpm, "backend", type="emulator", version="2.0", persistent_state="yes")
    # a guest whose kernel panics says so through this device, instead of hanging with its claim for ever
    SubElement(devices, "panic", model="isa")
    SubElement(devices, "memballoon", model="virtio")
