# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc status: whether the cluster is healthy, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType

from pvc_state import info
from pvc_state.health import SERVICES, Report, judge
from pvc_state.snapshot import load_leader
from pvc_state.wait import NotHealthy, wait_for_health

from .. import names
from ..exit_codes import Exit
from ..output import bullet, cell, fields, plain, sentence, table
from ..session import Session, output_option, pass_session


@click.command()
@click.option("--service", "services", multiple=True, type=click.Choice(SERVICES), help="Only these.")
@click.option("--node", "nodes", multiple=True, shell_complete=names.nodes, help="Only what runs on these nodes.")
@click.option("--only-unhealthy", is_flag=True, help="Only what is not healthy.")
@click.option("--wait", "timeout", type=click.FloatRange(0), metavar="SECONDS", help="Wait until all is healthy.")
@output_option
@pass_session
@click.pass_context
def status(
    ctx: click.Context,
    session: Session,
    services: tuple[str, ...],
    nodes: tuple[str, ...],
    only_unhealthy: bool,
    timeout: float | None,
) -> None:
    """Show whether the cluster is healthy, and why not.

    Exits with 0 when it is, and with 1 when it is not.
    """
    kinds, only = services or SERVICES, nodes or None
    with session.cluster(()) as (store, snapshot):
        report = judge(snapshot, load_leader(store))
        if timeout is not None and report.about(kinds, only):
            try:
                report = wait_for_health(store, kinds, only, timeout)
            except NotHealthy as err:
                report = err.report
    answer = info.cluster(report, kinds, only, only_unhealthy)
    session.show(answer, lambda: _parts(report, answer))
    ctx.exit(Exit.DONE if answer["cluster"]["healthy"] else Exit.NO)


def _parts(report: Report, answer: dict[str, Any]) -> Iterator[RenderableType]:
    view = answer["cluster"]
    name = answer["cluster_name"]
    if view["healthy"]:
        yield sentence(f"Cluster {name} is healthy.", "bold green")
    else:
        yield sentence(f"Cluster {name} is not healthy:", "bold red")
        yield from (bullet(why) for why in view["why"])
    yield fields(
        [
            ("leading agent", view["leader"] or "none"),
            *((kind, _service(view[kind])) for kind in ("zookeeper", "patroni", "ceph", "frr", "fence") if view[kind]),
        ]
    )
    agents = {agent["node"]: agent for agent in view["agents"] or ()}
    rows = []
    for node in view["nodes"]:
        record, agent = report.snapshot.nodes.get(node["name"]), agents.get(node["name"], {})
        state = record.value.state if record is not None and record.value is not None else "damaged"
        rows.append(
            [
                node["name"],
                state,
                cell("healthy" if node["healthy"] else "unhealthy"),
                cell("up" if agent.get("alive") else "down") if agent else "-",
                agent.get("version"),
            ]
        )
    if rows:
        yield table(("NODE", "STATE", "HEALTH", "AGENT", "VERSION"), rows)


def _service(view: dict[str, Any]) -> Any:
    """A service in a few words."""
    text = "healthy" if view["healthy"] else "unhealthy"
    style = "green" if view["healthy"] else "red"
    told = [f"leader {view['leader']}"] if view.get("leader") else []
    summary = view.get("summary")
    if summary:
        told += [f"{summary['osds_up']} of {summary['osds']} OSDs up"] if "osds" in summary else []
    return cell(", ".join([text, *map(plain, told)]), style)
