# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the info modules and the command line answer to the same question: one function for each, with the module's options.

A name that does not exist is no error where names only filter. Reports, and the placement behind them, are imported when they are
needed: a call that asks for something else shall be quick.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from . import views
from .errors import InvalidRequest
from .fence_report import fence_views
from .node_limits import EMPTY
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .health import Report
    from .history import History

Answer = dict[str, Any]


def cluster(
    report: Report,
    services: Collection[str],
    nodes: Collection[str] | None = None,
    only_unhealthy: bool = False,
) -> Answer:
    """cluster_info: whether the cluster is healthy, and why not."""
    from .health_view import cluster_view

    view = cluster_view(report, services, nodes, only_unhealthy)
    return {"cluster": view, "cluster_name": report.snapshot.schema.cluster}


def nodes(
    snapshot: Snapshot,
    names: Collection[str] | None = None,
    alive: bool | None = None,
    state: str | None = None,
    coordinator: bool | None = None,
) -> Answer:
    """node_info: nodes, and what is left on those that are to be empty."""
    found = [
        node
        for node in (views.node_view(snapshot, name) for name in _named(snapshot.nodes, names))
        if alive in (None, node["alive"])
        and state in (None, node.get("state"))
        and coordinator in (None, node.get("coordinator"))
    ]
    empty = [node["name"] for node in found if node.get("state") in EMPTY]
    return {
        "nodes": found,
        "drains": _drains(snapshot, empty) if empty else [],
        "cluster_name": snapshot.schema.cluster,
    }


def _drains(snapshot: Snapshot, nodes: Collection[str]) -> list[Answer]:
    from .drain_report import drain_view, drains

    return [drain_view(drain) for drain in drains(snapshot, nodes).nodes.values()]


def vms(
    snapshot: Snapshot,
    names: Collection[str] | None = None,
    state: str | None = None,
    node: str | None = None,
    tags: Collection[str] | None = None,
) -> Answer:
    """vm_info: what is wanted of VMs, where they run, and why."""
    there = (name for name in _named(snapshot.vms, names) if node in (None, snapshot.owner(name)))
    return {
        "vms": [
            vm
            for vm in (views.vm_view(snapshot, name) for name in there)
            if state in (None, vm.get("state")) and set(tags or ()) <= set(vm.get("tags", ()))
        ]
    }


def snapshots(
    snapshot: Snapshot, names: Collection[str] | None = None, series: str | None = None, vm: str | None = None
) -> Answer:
    """vm_snapshot_info: the snapshots of VMs, oldest first for each."""
    return {
        "snapshots": [
            one
            for name in sorted(snapshot.vms)
            if vm in (None, name)
            for one in views.vm_snapshots(snapshot, name)
            if (names is None or one["name"] in names) and series in (None, one["series"])
        ]
    }


def rules(
    snapshot: Snapshot,
    names: Collection[str] | None = None,
    vms: Collection[str] | None = None,
    kind: str | None = None,
    only_broken: bool = False,
) -> Answer:
    """rule_info: where VMs may run, and what breaks that at the moment."""
    from .rule_report import rule_views

    found = [
        rule
        for rule in rule_views(snapshot, _named(snapshot.rules, names))
        if (vms is None or set(vms) & set(rule.get("vms", ())))
        and kind in (None, rule.get("kind"))
        and (rule.get("broken") or not only_broken)
    ]
    return {"rules": found, "cluster_name": snapshot.schema.cluster}


def settings(snapshot: Snapshot) -> Answer:
    """settings_info: the policies of the whole cluster."""
    return {"settings": views.settings_view(snapshot), "cluster_name": snapshot.schema.cluster}


def fences(
    snapshot: Snapshot,
    history: History,
    node: str | None = None,
    active: bool | None = None,
    limit: int | None = None,
) -> Answer:
    """fence_info: why nodes were fenced, and what became of their VMs."""
    check_limit(limit)
    found = [
        fence
        for fence in fence_views(snapshot, history)
        if node in (None, fence["node"]) and active in (None, fence["active"])
    ]
    return {"fences": found[:limit], "cluster_name": snapshot.schema.cluster}


def check_limit(limit: int | None) -> None:
    """Refuse less than none."""
    if limit is not None and limit < 0:
        raise InvalidRequest(f"{limit} is not possible", option="limit", remedy="give 0 or more")


def failover(snapshot: Snapshot, nodes: Collection[str] | None = None, only_problems: bool = False) -> Answer:
    """failover_info: what would become of VMs if a node died now."""
    from .failover_report import failover_view, failovers

    for node in nodes or ():
        if node not in snapshot.nodes:
            known = f"give some of {', '.join(sorted(snapshot.nodes))}"
            raise InvalidRequest("it is not part of the cluster", obj=f"node {node}", option="nodes", remedy=known)
    found = failovers(snapshot, nodes)
    return {
        "failovers": [failover_view(one) for one in found if not (only_problems and one.fits)],
        "fits": all(one.fits for one in found),
        "cluster_name": snapshot.schema.cluster,
    }


def _named(known: Mapping[str, Any], names: Iterable[str] | None) -> list[str]:
    return sorted(known) if names is None else sorted(set(names) & set(known))
