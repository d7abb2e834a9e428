# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a guest that runs finds the processor that it knows on another node, too. Pure.

What is compared are names of models, as libvirt tells them. libvirt compares every feature when the guest arrives, and
refuses it then; but that is late. What is not known speaks against nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from .records import NodeStatus, Vm
from .snapshot import Snapshot
from .views import vm_status

#: The guest sees the node's own processor, and so knows it again nowhere but on an equal one.
_SAME = "host-passthrough"
_LIKE = "host-model"


def misfits(snapshot: Snapshot, unit: Mapping[str, Vm]) -> dict[str, str]:
    """The nodes to which the guests of these VMs cannot go while they run, each with the reason.

    Each reason is the end of a sentence that begins with the node. VMs that do not run, or are stopped for their moves
    anyway, fit everywhere.
    """
    found: dict[str, str] = {}
    for name, vm in unit.items():
        here = _here(snapshot, name, vm)
        if here is None:
            continue
        for node, stored in snapshot.status.items():
            if node not in found and stored.value is not None and (against := why_not(vm, here, stored.value)):
                found[node] = against if len(unit) == 1 else f"{against} ({name})"
    return found


def why_not(vm: Vm, here: NodeStatus, there: NodeStatus) -> str:
    """Why a guest that was started on one node cannot run on at another one; empty: nothing is known against it."""
    wanted = vm.cpu.model or here.cpu_default
    if wanted == _SAME:
        differs = here.cpu_model and there.cpu_model and here.cpu_model != there.cpu_model
        return (
            f"has a {there.cpu_model} processor, and its guest has that of its node ({here.cpu_model})"
            if differs
            else ""
        )
    model = here.cpu_model if wanted == _LIKE else wanted
    if not model or not there.cpu_models or model in there.cpu_models or model == there.cpu_model:
        return ""
    return f"cannot offer its guest's processor ({model})"


def _here(snapshot: Snapshot, name: str, vm: Vm) -> NodeStatus | None:
    """The node on which a guest runs that would be moved while it runs."""
    stored, status = snapshot.claims.get(name), vm_status(snapshot, name)
    if stored is None or stored.value is None or status is None:
        return None
    if not vm.live or vm.state != "started" or status.state not in ("running", "moving"):
        return None
    return snapshot.report(stored.value.node)
