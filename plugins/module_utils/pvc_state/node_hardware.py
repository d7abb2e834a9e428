# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a node one VM has for itself: declared devices, and processors that no other VM runs on. Pure.

Like memory it is held by every VM that has its place there, whether it runs or not.
"""

from __future__ import annotations

from collections.abc import Mapping

from .records import Vm
from .snapshot import Snapshot

#: Processors of a node that are left to VMs without any of their own, and to the node itself.
LEFT = 1


def wants(vm: Vm) -> bool:
    """Whether a VM has anything of its node for itself."""
    return bool(vm.devices.host) or vm.cpu.dedicated


class NodeHardware:
    """Who has what, by node."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._devices: dict[str, dict[str, str]] = {}
        self._processors: dict[str, dict[str, int]] = {}

    def take(self, node: str, name: str, vm: Vm) -> None:
        """A VM has its place on a node."""
        for device in vm.devices.host:
            self._devices.setdefault(node, {}).setdefault(device, name)
        if vm.cpu.dedicated:
            self._processors.setdefault(node, {})[name] = vm.vcpus_limit

    def why_not(self, node: str, unit: Mapping[str, Vm]) -> str:
        """What speaks against a node for VMs that are placed as one, as the end of a sentence; empty: nothing."""
        taken: dict[str, str] = {}
        for name, vm in unit.items():
            for device in vm.devices.host:
                if not self._has(node, device):
                    return f"has no device {device}"
                user = self._devices.get(node, {}).get(device, name)
                user = taken.setdefault(device, name) if user == name else user
                if user != name:
                    return f"has device {device}, but vm {user} uses it"
        return self._why_no_processors(node, unit)

    def _has(self, node: str, device: str) -> bool:
        stored = self._snapshot.nodes.get(node)
        return bool(stored and stored.value and any(device == has.name for has in stored.value.devices))

    def _why_no_processors(self, node: str, unit: Mapping[str, Vm]) -> str:
        needed = sum(vm.vcpus_limit for vm in unit.values() if vm.cpu.dedicated)
        report = self._snapshot.report(node)
        if not needed or report is None:
            return ""
        others = sum(count for name, count in self._processors.get(node, {}).items() if name not in unit)
        left = max(report.cpus - LEFT - others, 0)
        return f"has {left} processors that a VM can have to itself, {needed} are needed" if left < needed else ""
