# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what is decided of an object back to the options that decide it: a task or document with them changes nothing.

Views are those of views.py and rule_report.py, with all fields. With ``full`` every option is given; otherwise those
that a new object would have anyway are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .records import Node, Vm
from .views import desired_node, desired_vm

View = Mapping[str, Any]

_UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"))

#: Of these a new object has what stands here.
_NEW_VM = desired_vm(Vm("", 0))
_NEW_NODE = desired_node(Node())

#: What a document says of itself, or counts requests, or only matters for what is being deleted.
_NO_OPTIONS = ("document", "restart", "reset", "delete_volumes")


def vm_options(view: View, full: bool) -> dict[str, Any]:
    """The options of a VM."""
    found = {key: value for key, value in view.items() if key not in _NO_OPTIONS}
    if not full:
        needed = ("memory", "vcpus")
        found = {key: value for key, value in found.items() if key in needed or value != _NEW_VM.get(key)}
        for group in ("boot", "cpu", "devices", "migration", "ha"):
            if group in found:
                found[group] = _without(found[group], _NEW_VM[group])
    if full:
        found["node"] = found["node"] or ""
    for option in ("memory", "memory_max"):
        if option in found:
            found[option] = size(found[option] << 20) if found[option] else 0
    if "disks" in found:
        found["disks"] = [_disk(disk, full) for disk in found["disks"]]
    if "nics" in found:
        found["nics"] = [dict(nic) if full else _without(nic, _NIC) for nic in found["nics"]]
    return found


def node_options(view: View, full: bool) -> dict[str, Any]:
    """The options of a node."""
    found = {key: value for key, value in view.items() if key != "document"}
    if not full:
        found = _without(found, {key: value for key, value in _NEW_NODE.items() if key != "state"})
    if "memory_reserve" in found:
        found["memory_reserve"] = size(found["memory_reserve"] << 20)
    return found


def rule_options(view: View, full: bool) -> dict[str, Any]:
    """The options of a rule."""
    preference = view["kind"] == "node_preference"
    found = {key: view[key] for key in ("kind", "vms")}
    if preference:
        found |= {"nodes": view["nodes"]}
    if preference and (full or view["strict"]):
        found["strict"] = view["strict"]
    return found


def settings_options(view: View, _full: bool) -> dict[str, Any]:
    """The settings; all of them, since each has its reason."""
    return dict(view)


def size(count: int) -> str:
    """Bytes with the largest unit that they are a whole number of."""
    for unit, letter in _UNITS:
        if count and count % unit == 0:
            return f"{count // unit}{letter}"
    return str(count)


_DISK = {"bus": "virtio", "cache": "writeback", "discard": True, "iothread": False, "limits": {}}
_NIC = {"model": "virtio", "link": True}


def _disk(disk: View, full: bool) -> dict[str, Any]:
    found = {key: value for key, value in disk.items() if key != "source"}
    if found["size"] is None:
        del found["size"]
    else:
        found["size"] = size(found["size"])
    if not full:
        found["limits"] = {key: value for key, value in found["limits"].items() if value}
        found = _without(found, _DISK)
    return found


def _without(options: View, defaults: View) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}
