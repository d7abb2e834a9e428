# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a VM's record to libvirt's domain XML. Pure.

Domains are transient: libvirt keeps no second truth about a VM, and starts nothing by itself after a reboot.
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from pvc_state import xml_overlay
from pvc_state.records import Cpu, HostDevice, Vm
from pvc_state.vm_hardware_options import is_old

from . import domain_devices as devices
from .domain_devices import Ceph, text
from .domain_mark import mark_element, mark_of
from .domain_overlay import lay

#: Ports for what every VM has beside its disks and interfaces, at most.
_PORTS = 6


@dataclass(frozen=True)
class Machine:
    """What a domain's XML needs to know of the node.

    Attributes:
        domain_type: kvm or qemu.
        machine, cpu_model: for VMs that do not say. cpu_model: host-passthrough, host-model, or a model's name.
        host_devices: of the node, those that the VM has.
        own: processors of the node that the VM's vCPUs have to themselves, one each; empty: none.
        shared: processors for everything else; empty: all.
    """

    domain_type: str
    machine: str
    cpu_model: str
    ceph: Ceph
    host_devices: tuple[HostDevice, ...] = ()
    own: tuple[int, ...] = ()
    shared: tuple[int, ...] = ()


def domain_xml(vm: str, record: Vm, epoch: int, machine: Machine) -> str:
    """The XML of the VM's domain."""
    domain = Element("domain", type=machine.domain_type)
    text(domain, "name", vm)
    text(domain, "uuid", record.uuid)
    if record.description:
        text(domain, "description", record.description)
    metadata = SubElement(domain, "metadata")
    metadata.append(mark_element(mark_of(vm, record, epoch)))
    text(domain, "memory", str(record.memory_limit), unit="MiB")
    text(domain, "currentMemory", str(record.memory), unit="MiB")
    _processors(domain, record, machine)
    # what the guest may know: under which claim it was started
    sysinfo = SubElement(domain, "sysinfo", type="smbios")
    text(SubElement(sysinfo, "oemStrings"), "entry", f"pvc.epoch={epoch}")
    kind = record.machine or machine.machine
    _os(domain, record, kind)
    features = SubElement(domain, "features")
    SubElement(features, "acpi")
    SubElement(features, "apic")
    if record.secure_boot:
        SubElement(features, "smm", state="on")
    _cpu(domain, record.cpu, machine)
    SubElement(domain, "clock", offset="utc")
    text(domain, "on_poweroff", "destroy")
    text(domain, "on_reboot", "restart")
    text(domain, "on_crash", "destroy")
    _devices(domain, vm, record, machine, kind)
    if record.xml:
        lay(xml_overlay.parse(record.xml), domain)
    return tostring(domain, encoding="unicode")


def _processors(domain: Element, record: Vm, machine: Machine) -> None:
    attributes = {"current": str(record.vcpus)} if record.vcpus < record.vcpus_limit else {}
    if machine.shared:
        attributes["cpuset"] = ",".join(map(str, machine.shared))
    text(domain, "vcpu", str(record.vcpus_limit), **attributes)
    threads = sum(disk.iothread for disk in record.disks)
    if threads:
        text(domain, "iothreads", str(threads))
    if machine.own:
        tune = SubElement(domain, "cputune")
        for vcpu, processor in enumerate(machine.own):
            SubElement(tune, "vcpupin", vcpu=str(vcpu), cpuset=str(processor))


def _os(domain: Element, record: Vm, kind: str) -> None:
    os = SubElement(domain, "os")
    text(os, "type", "hvm", arch="x86_64", machine=kind)
    if record.firmware == "uefi":
        # libvirt finds the files for it among those that the node's package describes
        os.set("firmware", "efi")
        firmware = SubElement(os, "firmware")
        state = "yes" if record.secure_boot else "no"
        SubElement(firmware, "feature", enabled=state, name="enrolled-keys")
        SubElement(firmware, "feature", enabled=state, name="secure-boot")
    if record.boot.kernel:
        text(os, "kernel", record.boot.kernel)
        if record.boot.initrd:
            text(os, "initrd", record.boot.initrd)
        if record.boot.cmdline:
            text(os, "cmdline", record.boot.cmdline)
    SubElement(os, "smbios", mode="sysinfo")


def _cpu(domain: Element, wanted: Cpu, machine: Machine) -> None:
    model = wanted.model or machine.cpu_model
    if model in ("host-passthrough", "host-model"):
        cpu = SubElement(domain, "cpu", mode=model)
    else:
        cpu = SubElement(domain, "cpu", mode="custom", match="exact")
        text(cpu, "model", model, fallback="forbid")
    if wanted.sockets:
        parts = {"sockets": wanted.sockets, "cores": wanted.cores, "threads": wanted.threads}
        SubElement(cpu, "topology", {name: str(count) for name, count in parts.items()})
    for name, policy in wanted.features.items():
        SubElement(cpu, "feature", policy=policy, name=name)


def _devices(domain: Element, vm: str, record: Vm, machine: Machine, kind: str) -> None:
    parent = SubElement(domain, "devices")
    if not is_old(kind):
        on_ports = sum(disk.bus == "virtio" for disk in record.disks) + len(record.nics) + len(machine.host_devices)
        ports = _PORTS + on_ports + devices.SPARE_PORTS
        SubElement(parent, "controller", type="pci", index="0", model="pcie-root")
        for _port in range(ports):
            SubElement(parent, "controller", type="pci", model="pcie-root-port")
    if any(disk.bus == "scsi" for disk in record.disks):
        parent.append(devices.scsi_controller())
    thread = port = 0
    for index, disk in enumerate(record.disks):
        thread += disk.iothread
        element = devices.disk_element(disk, index, machine.ceph, thread if disk.iothread else 0, port)
        port += disk.bus == "sata"
        if index == 0 and not record.boot.kernel:
            SubElement(element, "boot", order="1")
        parent.append(element)
    for nic in record.nics:
        parent.append(devices.nic_element(nic))
    devices.add_console(parent, vm)
    devices.add_more(parent, record.devices)
    for device in machine.host_devices:
        parent.append(devices.host_element(device))
