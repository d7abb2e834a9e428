# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nodes and VMs really use, as their agents have measured it: coarse, and a minute old at most. Pure."""

from __future__ import annotations

from typing import Any

from .node_limits import why_closed
from .snapshot import Snapshot
from .views import vm_status


def load_view(snapshot: Snapshot) -> dict[str, Any]:
    """Nodes by name, and VMs that run, the busiest first.

    ``load`` is in processors and ``load_memory`` in MiB, both None where nothing was measured.
    """
    running = [_vm(snapshot, name) for name in sorted(snapshot.vms)]
    found = [vm for vm in running if vm["state"] in ("starting", "running", "stopping")]
    found.sort(key=lambda vm: (-(vm["load"] or 0), -(vm["load_memory"] or 0), vm["name"]))
    return {
        "nodes": [_node(snapshot, name) for name in sorted(snapshot.nodes)],
        "vms": found,
        "cluster_name": snapshot.schema.cluster,
    }


def _node(snapshot: Snapshot, name: str) -> dict[str, Any]:
    report = snapshot.report(name)
    known = report is not None and name in snapshot.alive
    return {
        "name": name,
        "alive": name in snapshot.alive,
        "closed": why_closed(snapshot, name),
        "cpus": report.cpus if report is not None else None,
        "load": report.load if report is not None and known else None,
        "memory": report.memory if report is not None else None,
        "load_memory": report.load_memory if report is not None and known else None,
        "memory_reserved": snapshot.reserved.get(name, 0),
        "vms": sum(snapshot.owner(vm) == name for vm in snapshot.vms),
    }


def _vm(snapshot: Snapshot, name: str) -> dict[str, Any]:
    vm, observed = snapshot.vms[name].value, vm_status(snapshot, name)
    return {
        "name": name,
        "node": snapshot.owner(name),
        "to": snapshot.target(name),
        "state": observed.state if observed is not None else None,
        "vcpus": vm.vcpus if vm is not None else None,
        "load": observed.load if observed is not None else None,
        "memory": vm.memory if vm is not None else None,
        "load_memory": observed.load_memory if observed is not None else None,
    }
