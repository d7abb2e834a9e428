# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VMs that start when their node takes VMs again: once, in the commit that makes it ready. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from . import paths
from .codec import Stored, encode
from .records import Node, Vm
from .snapshot import Snapshot
from .store import Op, Set


def autostarts(
    snapshot: Snapshot, name: str, before: Node | None, after: Node
) -> tuple[Mapping[str, Stored[Vm]], tuple[Op, ...]]:
    """Records of the VMs that a change of a node starts, and the operations for that; none unless it gets ready."""
    if before is None or before.state == "ready" or after.state != "ready":
        return {}, ()
    vms: dict[str, Stored[Vm]] = {}
    ops: list[Op] = []
    for vm, stored in snapshot.vms.items():
        record = stored.value
        if record is None or not record.autostart or record.state != "stopped" or not _lives(snapshot, vm, name):
            continue
        started = dataclasses.replace(record, state="started", generation=record.generation + 1)
        vms[vm] = Stored(started, stored.version + 1)
        ops.append(Set(paths.vm(vm), encode(started), stored.version))
    return vms, tuple(ops)


def _lives(snapshot: Snapshot, vm: str, node: str) -> bool:
    """Whether a VM is on the node, or was taken away from it until it is ready again."""
    claim = snapshot.claims.get(vm)
    return claim is not None and claim.value is not None and node in (claim.value.node, claim.value.home)
