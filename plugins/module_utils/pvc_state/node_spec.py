# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that describe a node, in tasks and in documents: which there are, and the request that they come to.

They are documented in ``doc_fragments/_node.py``; keep the two in step. Tables have the form of Ansible's argument specs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .host_devices import KINDS
from .option_values import mebibytes
from .plan_node import STATES
from .records import FENCE_DEVICES, FenceDevice, HostDevice
from .requests import NodeRequest

_DEVICE = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(FENCE_DEVICES), "required": True},
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "credential": {"type": "str", "required": True},
    "options": {"type": "dict", "default": {}},
}
_HOST_DEVICE = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(KINDS), "required": True},
    "address": {"type": "str", "required": True},
}
#: The options of one node beside its name.
OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": list(STATES)},
    "coordinator": {"type": "bool"},
    "memory_reserve": {"type": "str"},
    "fence": {"type": "list", "elements": "dict", "options": _DEVICE},
    "fence_together": {"type": "bool"},
    "devices": {"type": "list", "elements": "dict", "options": _HOST_DEVICE},
    "declared_dead": {"type": "dict", "options": {"why": {"type": "str", "required": True}, "by": {"type": "str"}}},
    "return_vms": {"type": "bool"},
}


def request(options: dict[str, Any]) -> NodeRequest:
    """What is asked for; ``options`` is what was given, the node's name with it, and declared_dead as a request."""
    if options.get("state") == "absent":
        # So that a node in a list is removed by changing its state, whatever else describes it there.
        options = {key: options[key] for key in ("name", "state", "declared_dead") if key in options}
    if "fence" in options:
        options["fence"] = [_device(device) for device in options["fence"]]
    if "devices" in options:
        options["devices"] = [HostDevice(**device) for device in options["devices"]]
    if "memory_reserve" in options:
        options["memory_reserve"] = mebibytes(options["memory_reserve"], f"node {options['name']}", "memory_reserve")
    return NodeRequest(**options)


def _device(options: Mapping[str, Any]) -> FenceDevice:
    # numbers and truth as YAML has them; records hold texts
    more = {
        str(key): value if isinstance(value, str) else json.dumps(value) for key, value in options["options"].items()
    }
    return FenceDevice(**{**options, "options": more})
