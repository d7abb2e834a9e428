# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records as plain dictionaries: the public shape of results, the same in every module and tool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import fence_report, ha_budget
from .fence_devices import DECLARATION, SERVICE, declaration
from .hardware_changes import compare
from .node_limits import why_down
from .records import Claim, DiskSnapshot, FenceDevice, Node, Service, Settings, Vm, VmStatus
from .snapshot import Snapshot

#: Observed states in which a QEMU may hold what the VM was started with.
LIVE = ("starting", "running", "stopping")


def desired_vm(vm: Vm) -> dict[str, Any]:
    """What users decide of a VM."""
    return {
        "state": vm.state,
        "node": vm.node,
        "memory": vm.memory,
        "vcpus": vm.vcpus,
        "disks": [asdict(disk) for disk in vm.disks],
        "nics": [asdict(nic) for nic in vm.nics],
        "boot": asdict(vm.boot),
        "memory_max": vm.memory_max,
        "vcpus_max": vm.vcpus_max,
        "cpu": {**asdict(vm.cpu), "features": dict(vm.cpu.features)},
        "devices": {**asdict(vm.devices), "host": list(vm.devices.host)},
        "machine": vm.machine,
        "firmware": vm.firmware,
        "secure_boot": vm.secure_boot,
        "xml": vm.xml,
        "description": vm.description,
        "tags": list(vm.tags),
        "shutdown_timeout": vm.shutdown_timeout,
        "migration": asdict(vm.migration),
        "ha": asdict(vm.ha),
        "placement": vm.placement,
        "delete_volumes": vm.delete_volumes,
        "protected_tags": list(vm.protected),
        "metadata": dict(vm.metadata),
        "autostart": vm.autostart,
        "restart": vm.restart,
        "reset": vm.reset,
        "document": vm.document,
    }


def snapshot_view(one: DiskSnapshot) -> dict[str, Any]:
    """What users decide of a snapshot, beside its name."""
    return {"at": one.at, "series": one.series, "keep": one.keep, "description": one.description}


def vm_snapshots(snapshot: Snapshot, name: str) -> list[dict[str, Any]]:
    """The snapshots of a VM, oldest first: those that are wanted, and those that are still to be removed."""
    stored, observed = snapshot.vms[name], vm_status(snapshot, name)
    vm, made = stored.value, observed.snapshots if observed else ()
    wanted = vm.snapshots if vm is not None else ()
    names = {one.name for one in wanted}
    shown = [
        {"vm": name, "name": one.name, **snapshot_view(one), "exists": one.name in made, "wanted": True}
        for one in wanted
    ]
    late = [DiskSnapshot(left) for left in made if left not in names]
    return [
        *({"vm": name, "name": one.name, **snapshot_view(one), "exists": True, "wanted": False} for one in late),
        *shown,
    ]


def desired_node(node: Node) -> dict[str, Any]:
    """What users decide of a node."""
    return {
        "state": node.state,
        "coordinator": node.coordinator,
        "memory_reserve": node.memory_reserve,
        "fence": [device_view(device) for device in node.fence],
        "fence_together": node.fence_together,
        "devices": [asdict(device) for device in node.devices],
        "document": node.document,
    }


def device_view(device: FenceDevice) -> dict[str, Any]:
    """A fence device as it is declared; the name of its credential is no secret."""
    return {**asdict(device), "options": dict(device.options)}


def desired_settings(settings: Settings) -> dict[str, Any]:
    """What users decide of the cluster as a whole."""
    view = asdict(settings)
    del view["generation"]
    return {**view, "evidence": list(settings.evidence)}


def settings_view(snapshot: Snapshot) -> dict[str, Any]:
    """The settings that hold now, and what they amount to."""
    stored, settings = snapshot.settings, snapshot.policy
    budget = ha_budget.of(settings)
    return {
        **desired_settings(settings),
        "generation": settings.generation,
        "damaged": stored.invalid if stored else "",
        "ha_budget": budget.total,
        "worst_case": asdict(budget),
    }


def vm_status(snapshot: Snapshot, name: str) -> VmStatus | None:
    """What the owner of a VM's claim reports of it; nothing when it reports of an older claim."""
    claim = snapshot.claims.get(name)
    if claim is None or claim.value is None:
        return None
    status = snapshot.status.get(claim.value.node)
    if status is None or status.value is None:
        return None
    observed = status.value.vms.get(name)
    return observed if observed and observed.epoch == claim.value.epoch else None


def settled(snapshot: Snapshot, name: str) -> bool:
    """Whether the agents have made true what is wanted of a VM, or removed it as wanted."""
    stored = snapshot.vms.get(name)
    if stored is None:
        return True
    vm, observed = stored.value, vm_status(snapshot, name)
    if vm is None or observed is None or vm.state == "absent" or observed.generation < vm.generation:
        return False
    if vm.node is not None and vm.node != snapshot.owner(name):
        return False
    if vm.state == "ignored":
        return True
    if vm.state == "started":
        if observed.restart < vm.restart or observed.reset < vm.reset:
            return False
        return observed.state == "running" and reports_now(snapshot, snapshot.owner(name))
    return observed.state == "stopped"


def why_late(snapshot: Snapshot, name: str) -> str:
    """What a VM waits for, in words; empty for one that is as wanted or gone as wanted."""
    if settled(snapshot, name):
        return ""
    owner, observed = snapshot.owner(name), vm_status(snapshot, name)
    held = fence_report.waiting(snapshot, name, owner) if owner else ""
    if held:
        return held
    down = why_down(snapshot, owner) if owner else ""
    if down:
        return f"{owner} {down}"
    vm = snapshot.vms.get(name)
    if vm is not None and vm.value is None:
        return f"it has a damaged record ({vm.invalid})"
    if owner is None:
        return "it has no claim that can be read"
    if not reports_now(snapshot, owner):
        return f"{owner} has not reported since it was last powered on"
    if observed is None:
        return f"the agent of {owner} has not reported it yet"
    return f"it is {observed.state} on {owner}" + (f" ({observed.reason})" if observed.reason else "")


def reports_now(snapshot: Snapshot, node: str | None) -> bool:
    """Whether a node's status is of its present boot: after a power cut it still says what ran before."""
    alive, status = snapshot.alive.get(node or ""), snapshot.status.get(node or "")
    return bool(alive and alive.value and status and status.value and alive.value.boot_id == status.value.boot_id)


def vm_view(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """A VM: what is wanted, who has its claim, what is observed.

    ``observed`` is None until the owner's agent has reported. A damaged record shows as ``damaged`` and no more.
    """
    stored, claim = snapshot.vms[name], snapshot.claims.get(name)
    view: dict[str, Any] = {"name": name, "damaged": _damage(stored.invalid, claim.invalid if claim else "")}
    vm = stored.value
    if vm is not None:
        view |= {**desired_vm(vm), "uuid": vm.uuid, "generation": vm.generation}
    owner = claim.value if claim else None
    view["claim"] = _claim(owner) if owner else None
    view["waiting"] = (fence_report.waiting(snapshot, name, owner.node) if owner else "") or None
    observed = vm_status(snapshot, name)
    view["observed"] = _observed(snapshot, owner.node, observed) if owner and observed else None
    view["kept_volumes"] = (
        [f"{disk.pool}/{disk.volume}" for disk in vm.disks if vm.state == "absent" and not vm.delete_volumes]
        if vm
        else []
    )
    view["settled"] = settled(snapshot, name)
    runs = vm is not None and observed is not None and observed.state in LIVE
    view["pending"] = list(observed.pending) if runs and observed is not None else []
    view["restart_required"] = bool(view["pending"])
    return view


def waits_for_a_start(before: Snapshot, after: Snapshot, name: str) -> bool:
    """Whether a change of a VM, in part, will take effect at its next start, as far as that can be told beforehand."""
    old, new, observed = before.vms.get(name), after.vms.get(name), vm_status(before, name)
    if old is None or new is None or old.value is None or new.value is None or new.value.state != "started":
        return False
    if observed is None or observed.state not in LIVE:
        return False
    return bool(observed.pending or compare(old.value, new.value).later)


def node_view(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """A node: what is wanted, whether its agent lives, what it reports, and how much of its memory VMs hold."""
    stored, status = snapshot.nodes[name], snapshot.status.get(name)
    view: dict[str, Any] = {"name": name, "damaged": _damage(stored.invalid, status.invalid if status else "")}
    node, report = stored.value, status.value if status else None
    if node is not None:
        view |= {**desired_node(node), "generation": node.generation}
        view["fence"] = [_read(snapshot, name, device) for device in node.fence]
    view["alive"] = name in snapshot.alive
    view["fenced"] = fence_report.summary(snapshot, name)
    reserved = snapshot.reserved.get(name, 0)
    view["vms"] = sorted(vm for vm in snapshot.vms if snapshot.owner(vm) == name)
    view["observed"] = None
    if report is not None:
        reserve = node.memory_reserve if node else 0
        view["observed"] = {
            "agent": report.agent,
            "boot_id": report.boot_id,
            "memory": report.memory,
            "memory_reserved": reserved,
            "memory_free": max(report.memory - reserve - reserved, 0),
            "cpus": report.cpus,
            "pools": list(report.pools),
            "bridges": list(report.bridges),
            "addresses": dict(report.addresses),
            "storage_address": report.storage_address,
            "leaving": report.leaving or None,
            "signed_off": asdict(report.signed_off) if report.signed_off else None,
        }
    return view


def _read(snapshot: Snapshot, node: str, device: FenceDevice) -> dict[str, Any]:
    """A fence device with what the coordinators have read of it last: healthy when each of them can use it."""
    reads = device_reads(snapshot, node, device)
    bad = [f"{reader}: {service.why}" for reader, service in reads.items() if not service.healthy]
    return {**device_view(device), "healthy": not bad if reads else None, "why": "; ".join(bad)}


def device_reads(snapshot: Snapshot, node: str, device: FenceDevice) -> Mapping[str, Service]:
    """What each living agent that reads fence devices has read of one as it is declared now, by its node."""
    name, words = f"{node}/{device.name}", declaration(device)
    found = {}
    for reader, stored in sorted(snapshot.health.items()):
        alive = snapshot.alive.get(reader)
        if (
            stored.value is None
            or alive is None
            or alive.value is None
            or alive.value.instance != stored.value.instance
        ):
            continue
        for service in stored.value.services:
            if (service.kind, service.name, service.details.get(DECLARATION)) == (SERVICE, name, words):
                found[reader] = service
    return found


def _claim(claim: Claim) -> dict[str, Any]:
    return {
        "node": claim.node,
        "epoch": claim.epoch,
        "to": claim.to or None,
        "why": claim.why,
        "home": claim.home or None,
        "away": claim.away,
    }


def _observed(snapshot: Snapshot, node: str, observed: VmStatus) -> dict[str, Any]:
    return {
        "node": node,
        "node_alive": node in snapshot.alive,
        "state": observed.state,
        "reason": observed.reason,
        "generation": observed.generation,
        "restarts": observed.restarts,
        "moved": observed.moved,
        "console": observed.console,
        "screen": observed.screen or None,
    }


def _damage(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)
