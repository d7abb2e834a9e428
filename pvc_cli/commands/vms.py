# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc vms: the cluster's VMs."""

from __future__ import annotations

from typing import Any

import click

from pvc_state import info
from pvc_state.records import WANTED

from .. import names
from ..output import cell, table
from ..session import Session, output_option, pass_session


@click.command()
@click.argument("only", metavar="[NAME]...", nargs=-1, shell_complete=names.vms)
@click.option("--state", type=click.Choice(list(WANTED)), help="Only VMs of which this is wanted.")
@click.option("--node", shell_complete=names.nodes, help="Only VMs that this node has the claim of.")
@click.option("--tag", "tags", multiple=True, help="Only VMs with this tag; with several, all of them.")
@output_option
@pass_session
def vms(session: Session, only: tuple[str, ...], state: str | None, node: str | None, tags: tuple[str, ...]) -> None:
    """List VMs with what is wanted of them, and what is."""
    with session.cluster(only or None) as (_store, snapshot):
        answer = info.vms(snapshot, only or None, state, node, tags)
    columns = ("VM", "WANTED", "NODE", "IS", "VCPUS", "MIB", "SETTLED", "WHY")
    session.show(answer, lambda: [table(columns, [_row(vm) for vm in answer["vms"]])])


def _row(vm: dict[str, Any]) -> list[object]:
    seen, claim = vm["observed"] or {}, vm["claim"] or {}
    node = f"{claim['node']} -> {claim['to']}" if claim.get("to") else claim.get("node")
    why = vm["damaged"] or vm["waiting"] or ("" if vm["settled"] else seen.get("reason", ""))
    if vm["pending"]:
        why = f"waits for a restart: {', '.join(vm['pending'])}"
    return [
        vm["name"],
        "damaged" if vm["damaged"] else vm["state"],
        node,
        cell("waiting" if vm["waiting"] else seen.get("state", "unknown")),
        vm.get("vcpus"),
        vm.get("memory"),
        vm["settled"],
        why,
    ]
