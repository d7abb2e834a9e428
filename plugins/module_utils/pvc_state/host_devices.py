# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Devices of nodes that VMs may ask for: how they are declared. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from .records import HostDevice, Node
from .snapshot import Snapshot
from .vm_options import Checker

KINDS = ("pci", "usb")
DEVICES = 64

#: By kind: what an address looks like, and how to say it.
_ADDRESSES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "pci": (
        re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]"),
        "give its address as lspci -D shows it, such as 0000:65:00.0",
    ),
    "usb": (
        re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}"),
        "give its vendor and product as lsusb shows them, such as 046d:0825",
    ),
}


def declared(check: Checker, wanted: Sequence[HostDevice]) -> tuple[HostDevice, ...]:
    """The devices of a node as its administrator declares them, each checked; addresses in lower case."""
    check.at_most("devices", wanted, DEVICES)
    found: list[HostDevice] = []
    for index, device in enumerate(wanted):
        option = f"devices[{index}]"
        check.name(device.name, f"{option}.name")
        kind = check.choice(f"{option}.kind", device.kind, KINDS)
        pattern, rule = _ADDRESSES[kind]
        address = device.address.lower() if isinstance(device.address, str) else device.address
        check.pattern(f"{option}.address", address, pattern, rule)
        for other in found:
            if device.name == other.name:
                problem = f"two devices have the name {device.name}"
                check.refuse(f"{option}.name", problem, "give each a name of its own")
            if (kind, address) == (other.kind, other.address):
                problem = f"{other.name} is at {address}, too"
                check.refuse(f"{option}.address", problem, "declare each device once")
        found.append(HostDevice(device.name, kind, address))
    return tuple(found)


def not_in_use(check: Checker, snapshot: Snapshot, node: str, after: Node) -> None:
    """What is taken from a node's declaration, or is another device now, is no VM's there."""
    stored = snapshot.nodes.get(node)
    before = stored.value.devices if stored and stored.value else ()
    gone = {device.name for device in before if device not in after.devices}
    if not gone:
        return
    for name, vm in sorted(snapshot.vms.items()):
        if vm.value is not None and node in snapshot.places(name, vm.value):
            for device in vm.value.devices.host:
                if device in gone:
                    check.refuse("devices", f"vm {name} has {device} of it", "take it from the VM, or move that, first")
