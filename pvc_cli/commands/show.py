# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc show: everything about one object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType

from pvc_state import info

from .. import names
from ..output import fields, table
from ..session import Session, must_exist, output_option, pass_session


@click.group()
def show() -> None:
    """Show everything about one object."""


@show.command()
@click.argument("name", shell_complete=names.vms)
@output_option
@pass_session
def vm(session: Session, name: str) -> None:
    """Show a VM: what is wanted of it, and what is."""
    with session.cluster([name]) as (_store, snapshot):
        must_exist(snapshot.vms, "vm", name)
        answer = info.vms(snapshot, [name])
    session.show(answer, lambda: _details(answer["vms"][0]))


@show.command()
@click.argument("name", shell_complete=names.nodes)
@output_option
@pass_session
def node(session: Session, name: str) -> None:
    """Show a node: what is wanted of it, and what its agent reports."""
    with session.cluster() as (_store, snapshot):
        must_exist(snapshot.nodes, "node", name)
        answer = info.nodes(snapshot, [name])
    session.show(answer, lambda: _details(answer["nodes"][0]))


@show.command()
@click.argument("name", shell_complete=names.rules)
@output_option
@pass_session
def rule(session: Session, name: str) -> None:
    """Show a rule, and what breaks it."""
    with session.cluster() as (_store, snapshot):
        must_exist(snapshot.rules, "rule", name)
        answer = info.rules(snapshot, [name])
    session.show(answer, lambda: _details(answer["rules"][0]))


@show.command()
@output_option
@pass_session
def rules(session: Session) -> None:
    """Show all rules."""
    with session.cluster() as (_store, snapshot):
        answer = info.rules(snapshot)
    session.show(answer, lambda: [_listed(answer["rules"], ("name", "kind", "vms", "broken"))])


@show.command()
@output_option
@pass_session
def settings(session: Session) -> None:
    """Show the policies of the cluster."""
    with session.cluster(()) as (_store, snapshot):
        answer = info.settings(snapshot)
    session.show(answer, lambda: _details(answer["settings"]))


@show.command()
@click.argument("name", shell_complete=names.vms)
@output_option
@pass_session
def snapshots(session: Session, name: str) -> None:
    """Show the snapshots of a VM."""
    with session.cluster([name]) as (_store, snapshot):
        must_exist(snapshot.vms, "vm", name)
        answer = info.snapshots(snapshot, vm=name)
    session.show(answer, lambda: [_listed(answer["snapshots"], ("name", "at", "series", "exists", "wanted"))])


def _listed(views: list[dict[str, Any]], keys: tuple[str, ...]) -> RenderableType:
    return table([key.upper() for key in keys], [[view.get(key) for key in keys] for view in views])


def _details(view: dict[str, Any]) -> Iterator[RenderableType]:
    """All fields: values of one line together, and lists of objects as tables below them."""
    plain, tables = [], []
    for key, value in view.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            tables.append((key, value))
        elif isinstance(value, dict):
            plain += [(f"{key}.{inner}", _flat(what)) for inner, what in value.items()]
        else:
            plain.append((key, value))
    yield fields(plain)
    for key, rows in tables:
        columns = [name for name in rows[0] if any(row.get(name) not in (None, "", [], {}) for row in rows)]
        yield table(
            [name.upper() for name in columns], [[_flat(row.get(name)) for name in columns] for row in rows], key
        )


def _flat(value: object) -> object:
    return ", ".join(f"{key}={inner}" for key, inner in value.items()) if isinstance(value, dict) else value
