# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hardware a running domain has, from its own XML: as a record that can be compared with the one wanted. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from pvc_state.records import Disk, DiskLimits, Nic, Vm

from .domain_devices import LIMITS, LOOPBACK

_MIB = {"b": 1 / (1 << 20), "bytes": 1 / (1 << 20), "KiB": 1 / 1024, "k": 1 / 1024, "MiB": 1, "M": 1, "GiB": 1024}


@dataclass(frozen=True)
class Running:
    """A domain as it runs.

    Attributes:
        vm: its hardware; sizes and sources of volumes are not known from it.
        memory_limit, vcpus_limit: to which it can grow.
    """

    vm: Vm
    memory_limit: int
    vcpus_limit: int


def as_it_runs(domain: Element, built: Vm) -> Running:
    """The hardware of a running domain: what can change while it runs from its XML, all else from what it was built as."""
    limit = _mebibytes(domain, "memory")
    most = int(domain.findtext("vcpu", "1"))
    vcpu = domain.find("vcpu")
    vm = replace(
        built,
        memory=_mebibytes(domain, "currentMemory") or limit,
        vcpus=int(vcpu.get("current", most)) if vcpu is not None else most,
        disks=tuple(_disk(element) for element in disks(domain)),
        nics=tuple(_nic(element) for element in nics(domain)),
    )
    return Running(vm, limit, most)


def disks(domain: Element) -> Iterator[Element]:
    """Its disks that are volumes."""
    for element in domain.iterfind("devices/disk"):
        if element.find("source[@protocol='rbd']") is not None:
            yield element


def nics(domain: Element) -> Iterator[Element]:
    """Its network interfaces on bridges."""
    yield from domain.iterfind("devices/interface[@type='bridge']")


def volume_of(element: Element) -> str:
    """``POOL/VOLUME`` of a disk."""
    return _attribute(element, "source", "name")


def mac_of(element: Element) -> str:
    """Address of a network interface."""
    return _attribute(element, "mac", "address").lower()


def alias_of(element: Element) -> str:
    """libvirt's name of a device, by which it is told apart from all others."""
    return _attribute(element, "alias", "name")


def screen(domain: Element) -> str:
    """Where its screen is reached on the node, empty for nowhere."""
    element = domain.find("devices/graphics")
    if element is None or element.get("port", "-1") in ("-1", "0"):
        return ""
    return f"{element.get('type')}://{LOOPBACK}:{element.get('port')}"


def _disk(element: Element) -> Disk:
    pool, _slash, image = volume_of(element).partition("/")
    limits = {field: int(element.findtext(f"iotune/{name}", "0")) for field, name in LIMITS.items()}
    return Disk(
        pool,
        image,
        bus=_attribute(element, "target", "bus"),
        cache=_attribute(element, "driver", "cache"),
        discard=_attribute(element, "driver", "discard") == "unmap",
        iothread=bool(_attribute(element, "driver", "iothread")),
        limits=DiskLimits(**limits),
    )


def _nic(element: Element) -> Nic:
    return Nic(
        _attribute(element, "source", "bridge"),
        mac_of(element),
        _attribute(element, "model", "type"),
        _attribute(element, "link", "state") != "down",
    )


def _attribute(element: Element, tag: str, name: str) -> str:
    child = element.find(tag)
    return child.get(name, "") if child is not None else ""


def _mebibytes(domain: Element, tag: str) -> int:
    element = domain.find(tag)
    if element is None or not element.text:
        return 0
    return round(int(element.text) * _MIB[element.get("unit", "KiB")])
