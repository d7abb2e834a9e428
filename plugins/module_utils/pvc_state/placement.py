# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a VM goes: filters that each give a reason, then a score. Pure.

The filters of today are what a node must have for the VM to start at all; the score is the most memory left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .errors import InvalidRequest
from .records import NodeStatus, Vm
from .snapshot import Snapshot


class Choice(NamedTuple):
    """A node and why it was chosen."""

    node: str
    why: str


def choose(snapshot: Snapshot, name: str, vm: Vm, reserved: Mapping[str, int]) -> Choice:
    """The node for a VM; raises InvalidRequest that names every node and what speaks against it.

    Args:
        reserved: MiB of each node that are spoken for: Snapshot.reserved and what the plan itself has placed.
    """
    if vm.node is not None:
        against = why_not(snapshot, vm.node, vm, reserved)
        if against:
            raise InvalidRequest(
                f"node {vm.node} {against}",
                obj=f"vm {name}",
                option="node",
                remedy="name another node, or none to have one chosen",
            )
        return Choice(vm.node, "bound to it by its option node")
    against_each = {node: why_not(snapshot, node, vm, reserved) for node in sorted(snapshot.nodes)}
    fits = [node for node, against in against_each.items() if not against]
    if not fits:
        listed = ", ".join(f"{node} {against}" for node, against in against_each.items()) or "the cluster has no nodes"
        raise InvalidRequest(
            f"no node can take it: {listed}", obj=f"vm {name}", remedy="free memory, add a node, or ask for less"
        )
    best = max(fits, key=lambda node: free(snapshot, node, reserved))  # the first by name among equals
    others = f"the most of {len(fits)} nodes that fit" if len(fits) > 1 else "the only node that fits"
    return Choice(best, f"{free(snapshot, best, reserved)} MiB free, {others}")


def free(snapshot: Snapshot, node: str, reserved: Mapping[str, int]) -> int:
    """MiB that a node has left for VMs; 0 for one that has not said how much it has."""
    status, record = snapshot.report(node), snapshot.nodes.get(node)
    if status is None or record is None or record.value is None:
        return 0
    return max(status.memory - record.value.memory_reserve - reserved.get(node, 0), 0)


def why_not(snapshot: Snapshot, node: str, vm: Vm, reserved: Mapping[str, int]) -> str:
    """What speaks against a node for a VM, as the end of a sentence that begins with the node; empty: nothing."""
    down = why_down(snapshot, node)
    if down:
        return down
    left = free(snapshot, node, reserved)
    if vm.memory > left:
        return f"has {left} MiB free, {vm.memory} are needed"
    return why_unreachable(snapshot, node, vm)


def why_down(snapshot: Snapshot, node: str) -> str:
    """Why nothing may be placed on a node at all; empty: it is alive and known."""
    record = snapshot.nodes.get(node)
    if record is None:
        return "is not part of the cluster"
    if record.value is None:
        return f"has a damaged record ({record.invalid})"
    status = snapshot.status.get(node)
    if status is None:
        return "has not reported yet: is its agent running?"
    if status.value is None:
        return f"has a damaged status ({status.invalid})"
    if node not in snapshot.alive:
        return "is down: its agent has no session"
    return ""


def why_unreachable(snapshot: Snapshot, node: str, vm: Vm) -> str:
    """Which of a VM's pools and bridges a node lacks; empty: none."""
    status = snapshot.report(node) or NodeStatus("")
    for disk in vm.disks:
        if disk.pool not in status.pools:
            return f"does not reach pool {disk.pool}"
    for nic in vm.nics:
        if nic.bridge not in status.bridges:
            return f"has no bridge {nic.bridge}"
    return ""
