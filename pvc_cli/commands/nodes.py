# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc nodes: the cluster's nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType

from pvc_state import info
from pvc_state.records import NODE_STATES

from .. import names
from ..output import bullet, cell, table
from ..session import Session, output_option, pass_session


@click.command()
@click.argument("only", metavar="[NAME]...", nargs=-1, shell_complete=names.nodes)
@click.option("--alive/--dead", default=None, help="Only nodes whose agent has a session, or only the others.")
@click.option("--state", type=click.Choice(list(NODE_STATES)), help="Only nodes of which this is wanted.")
@click.option("--coordinator/--no-coordinator", default=None, help="Only coordinators, or only the others.")
@output_option
@pass_session
def nodes(
    session: Session, only: tuple[str, ...], alive: bool | None, state: str | None, coordinator: bool | None
) -> None:
    """List nodes with their capacity and state."""
    with session.cluster() as (_store, snapshot):
        answer = info.nodes(snapshot, only or None, alive, state, coordinator)
    session.show(answer, lambda: _parts(answer))


def _parts(answer: dict[str, Any]) -> Iterator[RenderableType]:
    columns = ("NODE", "STATE", "AGENT", "COORDINATOR", "CPUS", "MIB", "GIVEN", "FREE", "VMS")
    yield table(columns, [_row(node) for node in answer["nodes"]])
    for drain in answer["drains"]:
        for one in drain["left"]:
            yield bullet(f"{one['vm']} has yet to leave {drain['node']}: {one['why']}")


def _row(node: dict[str, Any]) -> list[object]:
    seen = node["observed"] or {}
    agent = "fenced" if node["fenced"] else "up" if node["alive"] else "down"
    return [
        node["name"],
        "damaged" if node["damaged"] else node["state"],
        cell(agent),
        node.get("coordinator"),
        seen.get("cpus"),
        seen.get("memory"),
        seen.get("memory_reserved"),
        seen.get("memory_free"),
        len(node["vms"]),
    ]
