# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What speaks against a node, whatever else is placed: its own state, its size, what it reaches and what it has. Pure.

Each reason is the end of a sentence that begins with the node; an empty one means that nothing speaks against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .records import NODE_STATES, SHUTDOWN_POLICIES, NodeStatus, Vm
from .snapshot import Snapshot

#: CPU models that every node has: what they stand for is its own.
OWN_MODELS = ("", "host-model", "host-passthrough")
#: States in which a node is to be empty.
EMPTY = ("drained", "maintenance")


def why_down(snapshot: Snapshot, node: str) -> str:
    """Why nothing can run on a node: it is unknown, dead, or counts as dead."""
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
        signed_off = status.value.signed_off
        return f"has signed off: {signed_off.why}" if signed_off else "is down: its agent has no session"
    if node in snapshot.fences:
        return "is fenced"
    return ""


def why_draining(snapshot: Snapshot, node: str) -> str:
    """Why a node's VMs are to move away although it lives."""
    record, status = snapshot.nodes.get(node), snapshot.report(node)
    if record is not None and record.value is not None and record.value.state != "ready":
        state = record.value.state
        return f"is {'in ' if state == 'maintenance' else ''}{state}" if state in NODE_STATES else f"has state {state}"
    if status is not None and status.leaving == "migrate":
        return "shuts down"
    return ""


def why_closed(snapshot: Snapshot, node: str) -> str:
    """Why a node takes no VM at all: it is down, or its VMs are to leave it."""
    against = why_down(snapshot, node) or why_draining(snapshot, node)
    if against:
        return against
    status = snapshot.report(node)
    if status is not None and status.leaving:
        return "shuts down" if status.leaving in SHUTDOWN_POLICIES else f"leaves ({status.leaving})"
    return ""


def capacity(snapshot: Snapshot, node: str) -> int:
    """MiB that a node has for VMs, given away or not; 0 for one that has not said how much it has."""
    status, record = snapshot.report(node), snapshot.nodes.get(node)
    if status is None or record is None or record.value is None:
        return 0
    return max(status.memory - record.value.memory_reserve, 0)


def why_unreachable(snapshot: Snapshot, node: str, vm: Vm) -> str:
    """Which of a VM's pools and bridges a node lacks."""
    status = snapshot.report(node) or NodeStatus("")
    for disk in vm.disks:
        if disk.pool not in status.pools:
            return f"does not reach pool {disk.pool}"
    for nic in vm.nics:
        if nic.bridge not in status.bridges:
            return f"has no bridge {nic.bridge}"
    return ""


def vcpu_limit(snapshot: Snapshot, node: str) -> int:
    """vCPUs that a node may be given in all under the settings' vcpu_ratio; 0 for one that has not said what it has."""
    status = snapshot.report(node)
    # so that 1.1 vCPUs for each of ten processors are eleven
    return int(snapshot.policy.vcpu_ratio * status.cpus + 1e-9) if status is not None else 0


def devices(snapshot: Snapshot) -> Mapping[str, Mapping[str, int]]:
    """How many host devices of a name each node has, by name and node."""
    found: dict[str, Counter[str]] = {}
    for node, stored in snapshot.nodes.items():
        for device in stored.value.devices if stored.value is not None else ():
            found.setdefault(device.name, Counter())[node] += 1
    return found


def has_model(status: NodeStatus, model: str) -> bool:
    """Whether a guest can have a CPU model on a node; where the node has not said which it knows, nothing is against it."""
    return model in OWN_MODELS or not status.cpu_models or model in status.cpu_models


def why_unsuited(snapshot: Snapshot, node: str, vm: Vm) -> str:
    """Which CPU model or host device that a VM needs a node lacks, whoever has it."""
    if not has_model(snapshot.report(node) or NodeStatus(""), vm.cpu.model):
        return f"cannot give guests the CPU model {vm.cpu.model}"
    record = snapshot.nodes.get(node)
    names = (
        {device.name for device in record.value.devices} if record is not None and record.value is not None else set()
    )
    for device in vm.devices.host:
        if device not in names:
            return f"has no device {device}"
    return ""
