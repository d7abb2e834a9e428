# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's health as plain data: the public shape of results, the same in every module and tool."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from . import fence_report
from .health import LEADING, SERVICES, Finding, Member, Report, health_of, healthy, is_majority


def cluster_view(
    report: Report,
    services: Collection[str] = SERVICES,
    nodes: Collection[str] | None = None,
    only_unhealthy: bool = False,
) -> dict[str, Any]:
    """The report as plain data: these services (None for the others) on these nodes (None: all of them)."""
    findings = report.about(services, nodes)
    names = [name for name in sorted(report.snapshot.nodes) if nodes is None or name in nodes]

    def listed(views: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        return [view for view in views if not (only_unhealthy and view["healthy"])]

    def section(kind: str, **more: Any) -> dict[str, Any] | None:
        if kind not in services:
            return None
        why = [finding.text for finding in findings if kind in finding.kinds]
        return {"healthy": not why, "why": why, **more}

    def members(kind: str) -> tuple[Member, ...]:
        return tuple(one for one in report.members[kind] if one.node in names)

    zookeeper, patroni, ceph = (report.members[kind] for kind in ("zookeeper", "patroni", "ceph"))
    serving = healthy(zookeeper, "leader", "follower", "standalone")
    summary = [one for one in ceph if one.service.name == "cluster" and not one.stale]
    database = _only(healthy(patroni, *LEADING))
    return {
        "healthy": not findings,
        "why": [finding.text for finding in findings],
        "maintenance": report.snapshot.policy.maintenance,
        "leader": report.leader or None,
        "fenced": [
            {"node": node, **fenced} for node in names if (fenced := fence_report.summary(report.snapshot, node))
        ],
        "nodes": listed(_node_view(name, findings) for name in names),
        "agents": listed(_agent_view(report, name) for name in names) if "agents" in services else None,
        "zookeeper": section(
            "zookeeper",
            quorum=is_majority(len(serving), len(zookeeper)) if zookeeper else None,
            leader=_node_of(_only(healthy(zookeeper, "leader", "standalone"))),
            members=listed(_member_view(one) for one in members("zookeeper")),
        ),
        "patroni": section(
            "patroni",
            leader=_node_of(database),
            timeline=_number(database.service.details.get("timeline")) if database else None,
            members=listed({**_member_view(one), **_database_view(one)} for one in members("patroni")),
        ),
        "ceph": section(
            "ceph",
            leader=_node_of(_only(healthy(ceph, "leader", prefix="mon."))),
            summary={name: _number(value) for name, value in sorted(summary[0].service.details.items())}
            if summary
            else None,
            daemons=listed(
                {"name": one.service.name, **_member_view(one)}
                for one in members("ceph")
                if one.service.name != "cluster"
            ),
        ),
        "fence": section(
            "fence", devices=listed({"name": one.service.name, **_member_view(one)} for one in members("fence"))
        ),
        "frr": section("frr", nodes=listed(_neighbours_view(members("frr"), only_unhealthy))),
    }


def _only(members: Sequence[Member]) -> Member | None:
    return members[0] if len(members) == 1 else None


def _node_of(member: Member | None) -> str | None:
    return member.node if member else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _node_view(name: str, findings: Sequence[Finding]) -> dict[str, Any]:
    why = [finding.text for finding in findings if finding.node == name]
    return {"name": name, "healthy": not why, "why": why}


def _agent_view(report: Report, name: str) -> dict[str, Any]:
    health, status = health_of(report.snapshot, name), report.snapshot.report(name)
    why = report.unknown.get(name, "")
    return {
        "node": name,
        "healthy": not why,
        "why": why,
        "alive": name in report.snapshot.alive,
        "version": status.agent if status else None,
        "since": health.since if health and not why else None,
    }


def _member_view(member: Member) -> dict[str, Any]:
    service = member.service
    return {
        "node": member.node,
        "state": service.state,
        "role": service.role,
        "healthy": not member.why,
        "why": member.why,
        "since": service.since,
        "stale": member.stale,
    }


def _database_view(member: Member) -> dict[str, Any]:
    details = member.service.details
    return {
        "timeline": _number(details.get("timeline")),
        "lag": _number(details.get("lag")),
        "system": details.get("system"),
        "pending_restart": "pending_restart" in details,
        "paused": "paused" in details,
    }


def _neighbours_view(members: Sequence[Member], only_unhealthy: bool) -> Iterable[dict[str, Any]]:
    for node in sorted({one.node for one in members}):
        mine = [one for one in members if one.node == node]
        views = [{"address": one.service.name, **_member_view(one)} for one in mine if one.service.name != "frr"]
        why = [one.why for one in mine if one.why]
        yield {
            "node": node,
            "healthy": not why,
            "why": why,
            "stale": any(one.stale for one in mine),
            "neighbours": [view for view in views if not (only_unhealthy and view["healthy"])],
        }
