# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""One VM or a list of them, as arguments and as requests to the library."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

from .pvc_state import vm_spec
from .pvc_state.option_values import given
from .pvc_state.requests import UNSET, VmRequest

#: Arguments that describe one VM or a list of them.
SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "vms": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **vm_spec.OPTIONS},
    },
    **vm_spec.OPTIONS,
}


def requests(params: Mapping[str, t.Any]) -> list[VmRequest]:
    """What a task asks for; options beside a list are the defaults of everything in it."""
    common = given({key: params[key] for key in vm_spec.OPTIONS})
    listed = params["vms"] if params["name"] is None else [{"name": params["name"]}]
    return [vm_spec.request({**common, **given(options)}) for options in listed]


def names(requests: Sequence[VmRequest]) -> list[str]:
    """What the VMs are called once it is done."""
    return [one.name if one.new_name is UNSET else one.new_name for one in requests]


def concerned(requests: Sequence[VmRequest]) -> list[str]:
    """All VMs that a plan must see: those that are asked for, by both names, and those that others are copies of."""
    copied = [one.clone_from.vm for one in requests if one.clone_from is not UNSET]
    return [*dict.fromkeys([*(one.name for one in requests), *names(requests), *copied])]
