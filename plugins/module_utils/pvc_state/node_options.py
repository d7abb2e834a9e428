# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node's options may be, by themselves: checked and brought into the form of records.

What depends on the rest of the cluster is plan_node's.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import host_devices
from .fence_devices import OPTIONS
from .records import FENCE_DEVICES, FenceDevice, Node
from .requests import UNSET, DeadRequest, NodeRequest
from .vm_options import Checker

MEMORY_RESERVE = range(16 * 1024 * 1024 + 1)
DEVICES = 8

_NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"
_HOST = re.compile(rf"({_NAME}|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?|[0-9A-Fa-f]*:[0-9A-Fa-f:]+")
_URL = re.compile(rf"(https://)?({_NAME}|\[[0-9A-Fa-f:]+\])(:[0-9]{{1,5}})?/?")
#: By kind of device: what its address looks like, and how to say it.
_ADDRESSES: Mapping[str, tuple[re.Pattern[str], str]] = {
    "ipmi": (_HOST, "give a host name or address, with a port where it is not 623, such as 10.0.3.11"),
    "redfish": (_URL, "give https://HOST, with a port where it is not 443, and without user, password or path"),
}
_SECRET = re.compile(r"pass|secret|token|key", re.IGNORECASE)
_CREDENTIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class NodeChecker(Checker):
    """Checks the options of a node."""

    def __init__(self, name: str) -> None:
        super().__init__(f"node {name}")

    def options(self, request: NodeRequest, base: Node) -> Node:
        """The record with the options given, each checked by itself; state and generation as they were."""
        values: dict[str, Any] = {}
        if request.coordinator is not UNSET:
            values["coordinator"] = self.truth("coordinator", request.coordinator)
        if request.memory_reserve is not UNSET:
            values["memory_reserve"] = self.number("memory_reserve", request.memory_reserve, MEMORY_RESERVE, "MiB")
        if request.fence is not UNSET:
            values["fence"] = self.devices(request.fence)
        if request.fence_together is not UNSET:
            values["fence_together"] = self.truth("fence_together", request.fence_together)
        if request.devices is not UNSET:
            values["devices"] = host_devices.declared(self, request.devices)
        if request.document is not UNSET:
            values["document"] = request.document
        return dataclasses.replace(base, **values)

    def devices(self, wanted: Sequence[FenceDevice]) -> tuple[FenceDevice, ...]:
        self.at_most("fence", wanted, DEVICES)
        names: set[str] = set()
        for index, device in enumerate(wanted):
            option = f"fence[{index}]"
            self._device(option, device)
            if device.name in names:
                self.refuse(f"{option}.name", f"two devices have the name {device.name}", "give each a name of its own")
            names.add(device.name)
        return tuple(dataclasses.replace(device, options=dict(device.options)) for device in wanted)

    def _device(self, option: str, device: FenceDevice) -> None:
        self.name(device.name, f"{option}.name")
        kind = self.choice(f"{option}.kind", device.kind, FENCE_DEVICES)
        pattern, rule = _ADDRESSES[kind]
        if not isinstance(device.address, str) or not pattern.fullmatch(device.address):
            # Not shown: whoever writes a password into an address must not find it in a log.
            self.refuse(f"{option}.address", f"it is no address of a device of kind {kind}", rule)
        self.text(f"{option}.username", device.username, 64)
        if not isinstance(device.credential, str) or not _CREDENTIAL.fullmatch(device.credential):
            # not shown either
            self.refuse(
                f"{option}.credential",
                "it is no name of a file" if device.credential else "it is missing",
                "give the name of the file on the coordinators that holds the password: at most 64 of letters, digits, "
                "_ . and -; never the password itself, nor a path",
            )
        known = OPTIONS[kind]
        for key, value in device.options.items():
            if key not in known:
                what = "a password belongs into the file that credential names" if _SECRET.search(str(key)) else ""
                names = f"give some of {', '.join(known)}"
                self.refuse(f"{option}.options", f"devices of kind {kind} know no {key}", what or names)
            allowed, meaning = known[key]
            self.pattern(f"{option}.options.{key}", value, re.compile(allowed), f"give {meaning}")

    def dead(self, wanted: DeadRequest) -> DeadRequest:
        why = self.text("declared_dead.why", wanted.why, 256).strip()
        if not why:
            self.refuse("declared_dead.why", "it is missing", "say how you know that the node is off")
        by = self.text("declared_dead.by", wanted.by, 128).strip()
        if not by:
            self.refuse("declared_dead.by", "it is missing", "say who vouches for it")
        return dataclasses.replace(wanted, why=why, by=by)
