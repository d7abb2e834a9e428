# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc why: the reasons for how things are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType

from pvc_state import info
from pvc_state.health import judge
from pvc_state.history import load_history
from pvc_state.snapshot import load_leader
from pvc_state.why_report import why_node, why_vm

from .. import names
from ..output import bullet, fields, sentence, table
from ..session import Session, must_exist, output_option, pass_session


@click.group()
def why() -> None:
    """Say why something is as it is."""


@why.command()
@click.argument("name", shell_complete=names.vms)
@output_option
@pass_session
def vm(session: Session, name: str) -> None:
    """Say where a VM is and why, what it waits for, and what placement makes of each node."""
    with session.cluster() as (_store, snapshot):
        must_exist(snapshot.vms, "vm", name)
        answer = why_vm(snapshot, name)
    session.show(answer, lambda: _vm(answer))


def _vm(answer: dict[str, Any]) -> Iterator[RenderableType]:
    name, place = answer["name"], answer["placement"]
    if answer["settled"]:
        yield sentence(f"{name} is as wanted: {answer['observed']} on {answer['node']}.", "bold green")
    else:
        yield sentence(f"{name} is not as wanted: {answer['late']}.", "bold yellow")
    leader = answer["leader"]
    yield fields(
        [
            ("wanted", answer["state"]),
            ("is" if answer["reported"] else "was last seen", answer["observed"]),
            ("reason", answer["reason"]),
            ("node", answer["node"]),
            ("why there", answer["here"]),
            ("moved", answer["moved"]),
            ("on its way to", answer["to"]),
            ("returns to", answer["home"]),
            ("after a restart", answer["pending"]),
            ("rules", answer["rules"]),
            ("the leader moves it to", f"{leader['to']}: {leader['why']}" if leader["to"] else None),
            ("the leader cannot move it", leader["blocked"]),
        ]
    )
    if place is None:
        return
    if place["node"]:
        yield sentence(f"Placed anew, it would go to {place['node']}: {place['why']}.")
    else:
        yield sentence("Placed anew, it would find no node.", "red")
    if place["against"]:
        yield table(("NODE", "WHAT SPEAKS AGAINST IT"), list(place["against"].items()))


@why.command()
@click.argument("name", shell_complete=names.nodes)
@output_option
@pass_session
def node(session: Session, name: str) -> None:
    """Say whether a node takes VMs and why not, what is wrong on it, and what keeps it from being empty."""
    with session.cluster() as (store, snapshot):
        must_exist(snapshot.nodes, "node", name)
        answer = why_node(judge(snapshot, load_leader(store)), name)
    session.show(answer, lambda: _node(answer))


def _node(answer: dict[str, Any]) -> Iterator[RenderableType]:
    name, closed, drain = answer["name"], answer["closed"], answer["drain"]
    yield (
        sentence(f"{name} takes no VMs: it {closed}.", "bold yellow")
        if closed
        else sentence(f"{name} takes VMs.", "bold green")
    )
    yield from (bullet(text) for text in answer["unhealthy"])
    yield fields(
        [
            ("wanted", answer["state"]),
            ("damaged", answer["damaged"]),
            ("agent", "up" if answer["alive"] else "down"),
            ("leads", "yes" if answer["leading"] else None),
            ("fence", answer["fenced"]["sentence"] if answer["fenced"] else None),
            ("signed off", answer["signed_off"]),
            ("shuts down", answer["leaving"]),
        ]
    )
    if drain is None:
        return
    if drain["empty"]:
        yield sentence("It is empty.", "green")
    else:
        rows = [[left["vm"], left["to"], left["why"]] for left in drain["left"]]
        yield table(("YET TO LEAVE", "TO", "WHY"), rows)
    yield from (bullet(f"{one['vm']} stays: {one['why']}") for one in drain["staying"])


@why.command()
@click.argument("name", shell_complete=names.nodes)
@click.option("--all", "every", is_flag=True, help="Every fence that is remembered, not only the newest.")
@output_option
@pass_session
def fence(session: Session, name: str, every: bool) -> None:
    """Say why a node was fenced, what proved it gone and when, and what became of its VMs."""
    with session.cluster(()) as (store, snapshot):
        answer = info.fences(snapshot, load_history(store), name, limit=None if every else 1)
        if not answer["fences"]:
            must_exist(snapshot.nodes, "node", name)
    session.show(answer, lambda: _fences(answer["fences"], name))


def _fences(found: list[dict[str, Any]], name: str) -> Iterator[RenderableType]:
    if not found:
        yield sentence(f"No fence of {name} is remembered.")
    for one in found:
        yield sentence(one["sentence"] or f"The fence is damaged: {one['damaged']}.", "bold")
        yield fields(
            [
                ("fence", one["id"]),
                ("state", one["state"] if one["active"] else "over"),
                ("missed since", one["since"]),
                ("proven by", one["proven_by"]),
                ("proven at", one["proven_at"]),
                ("ended", one["ended"]),
            ]
        )
        if one["evidence"]:
            rows = [[each[key] for key in ("kind", "device", "state", "at", "why")] for each in one["evidence"]]
            yield table(("EVIDENCE", "DEVICE", "STATE", "AT", "WHY"), rows)
        fates = [*one["moves"].items(), *((vm, f"waits: {why}") for vm, why in one["waiting"].items())]
        if fates:
            yield table(("VM", "WHAT BECAME OF IT"), fates)
