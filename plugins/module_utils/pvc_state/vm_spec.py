# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that describe a VM, in tasks and in documents: which there are, and the request that they come to.

They are documented in ``doc_fragments/_vm.py``; keep the two in step. Tables have the form of Ansible's argument specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .option_values import given, mebibytes, size_in_bytes
from .plan_vm_actions import ACTIONS
from .records import MIGRATION_METHODS, PLACEMENTS, WANTED, Boot, DiskLimits
from .requests import (
    CloneRequest,
    CpuRequest,
    DevicesRequest,
    DiskRequest,
    HaRequest,
    MigrationRequest,
    NicRequest,
    VmRequest,
)
from .vm_hardware_options import BUSES, CACHES, FIRMWARES, GRAPHICS, VIDEOS, WATCHDOGS

Options = Mapping[str, Any]

_LIMITS = {name: {"type": "int"} for name in ("read_iops", "write_iops", "read_bytes", "write_bytes")}
_DISK = {
    "pool": {"type": "str", "default": "vms"},
    "volume": {"type": "str"},
    "size": {"type": "str"},
    "bus": {"type": "str", "choices": list(BUSES), "default": "virtio"},
    "cache": {"type": "str", "choices": list(CACHES), "default": "writeback"},
    "discard": {"type": "bool", "default": True},
    "iothread": {"type": "bool", "default": False},
    "limits": {"type": "dict", "options": _LIMITS},
}
_NIC = {
    "bridge": {"type": "str", "required": True},
    "mac": {"type": "str"},
    "model": {"type": "str", "default": "virtio"},
    "link": {"type": "bool", "default": True},
}
_BOOT = {
    "kernel": {"type": "path"},
    "initrd": {"type": "path"},
    "cmdline": {"type": "str"},
}
_HA = {
    "max_local_restarts": {"type": "int"},
    "max_moves": {"type": "int"},
    "priority": {"type": "int"},
    "failback": {"type": "bool"},
    "power_off": {"type": "bool"},
}
_MIGRATION = {
    "method": {"type": "str", "choices": list(MIGRATION_METHODS)},
    "max_downtime": {"type": "int"},
    "bandwidth": {"type": "int"},
    "auto_converge": {"type": "bool"},
    "post_copy": {"type": "bool"},
}
_CPU = {
    "model": {"type": "str"},
    "sockets": {"type": "int"},
    "cores": {"type": "int"},
    "threads": {"type": "int"},
    "features": {"type": "dict"},
    "dedicated": {"type": "bool"},
}
_DEVICES = {
    "video": {"type": "str", "choices": list(VIDEOS)},
    "graphics": {"type": "str", "choices": list(GRAPHICS)},
    "rng": {"type": "bool"},
    "agent": {"type": "bool"},
    "watchdog": {"type": "str", "choices": list(WATCHDOGS)},
    "tpm": {"type": "bool"},
    "host": {"type": "list", "elements": "str"},
}
_CLONE = {
    "vm": {"type": "str", "required": True},
    "snapshot": {"type": "str"},
}
#: The options of one VM beside its name.
OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": [*WANTED, *ACTIONS]},
    "node": {"type": "str"},
    "memory": {"type": "str"},
    "vcpus": {"type": "int"},
    "disks": {"type": "list", "elements": "dict", "options": _DISK},
    "nics": {"type": "list", "elements": "dict", "options": _NIC},
    "boot": {"type": "dict", "options": _BOOT},
    "description": {"type": "str"},
    "tags": {"type": "list", "elements": "str"},
    "shutdown_timeout": {"type": "int"},
    "migration": {"type": "dict", "options": _MIGRATION},
    "ha": {"type": "dict", "options": _HA},
    "memory_max": {"type": "str"},
    "vcpus_max": {"type": "int"},
    "cpu": {"type": "dict", "options": _CPU},
    "devices": {"type": "dict", "options": _DEVICES},
    "machine": {"type": "str"},
    "firmware": {"type": "str", "choices": list(FIRMWARES)},
    "secure_boot": {"type": "bool"},
    "xml": {"type": "str"},
    "delete_volumes": {"type": "bool"},
    "placement": {"type": "str", "choices": ["", *PLACEMENTS]},
    "force": {"type": "bool"},
    "protected_tags": {"type": "list", "elements": "str"},
    "remove_tags": {"type": "list", "elements": "str"},
    "metadata": {"type": "dict"},
    "autostart": {"type": "bool"},
    "clone_from": {"type": "dict", "options": _CLONE},
    "new_name": {"type": "str"},
}


def request(options: dict[str, Any]) -> VmRequest:
    """What is asked for; ``options`` is what was given, the VM's name with it."""
    if options.get("state") == "absent":
        # So that a VM in a list is deleted by changing its state, whatever else describes it there.
        options = {key: options[key] for key in ("name", "state", "delete_volumes") if key in options}
    vm = f"vm {options['name']}"
    if "node" in options:
        options["node"] = options["node"] or None
    for option in ("memory", "memory_max"):
        if option in options:
            options[option] = mebibytes(options[option], vm, option)
    if "cpu" in options:
        options["cpu"] = _cpu(given(options["cpu"]))
    if "devices" in options:
        options["devices"] = DevicesRequest(**given(options["devices"]))
    if "boot" in options:
        options["boot"] = Boot(**given(options["boot"]))
    if "ha" in options:
        options["ha"] = HaRequest(**given(options["ha"]))
    if "migration" in options:
        options["migration"] = MigrationRequest(**given(options["migration"]))
    if "clone_from" in options:
        options["clone_from"] = CloneRequest(**given(options["clone_from"]))
    if "metadata" in options:
        # Ansible hands numbers and booleans over as what they are
        options["metadata"] = {str(key): str(value) for key, value in options["metadata"].items()}
    if "nics" in options:
        options["nics"] = [NicRequest(**given(nic)) for nic in options["nics"]]
    if "disks" in options:
        options["disks"] = [_disk(disk, vm, f"disks[{index}].size") for index, disk in enumerate(options["disks"])]
    return VmRequest(**options)


def _disk(options: Options, vm: str, option: str) -> DiskRequest:
    disk = given(options)
    if "size" in disk:
        disk["size"] = size_in_bytes(disk["size"], vm, option)
    if "limits" in disk:
        disk["limits"] = DiskLimits(**given(disk["limits"]))
    return DiskRequest(**disk)


def _cpu(options: dict[str, Any]) -> CpuRequest:
    if "features" in options:
        options["features"] = {str(name): policy for name, policy in options["features"].items()}
    return CpuRequest(**options)
