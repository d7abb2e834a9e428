# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc top: what nodes and VMs use, live."""

from __future__ import annotations

import sys
from typing import Any

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from pvc_state.errors import StoreUnavailable
from pvc_state.live import Waker, follow, load_watched
from pvc_state.load_report import load_view

from ..keyboard import on_key
from ..output import cell, console, plain, sentence, table
from ..session import Session, output_option, pass_session

#: Lines of the screen that are neither nodes nor VMs.
_FRAME = 5


@click.command()
@click.option("--once", is_flag=True, help="Show it once, as where there is no terminal.")
@output_option
@pass_session
def top(session: Session, once: bool) -> None:
    """Show what nodes and VMs use, live.

    It is what agents measure, the busiest VMs first; every change shows at once. It ends with q or Ctrl-C.
    """
    if once or session.form != "table" or not sys.stdout.isatty():
        with session.cluster() as (_store, snapshot):
            answer = load_view(snapshot)
        session.show(answer, lambda: _parts(answer, len(answer["vms"])))
        return
    waker = Waker()
    screen = console()
    with session.store() as store, on_key(b"qQ", waker.end):
        seen = follow(store, lambda wake: load_view(load_watched(store, wake)), waker)
        first = next(seen)
        if isinstance(first, StoreUnavailable):
            raise first
        answer, trouble = first, ""
        with Live(console=screen, screen=True, auto_refresh=False) as live:
            live.update(_screen(answer, trouble, screen.height), refresh=True)
            for found in seen:
                if isinstance(found, StoreUnavailable):
                    trouble = str(found)
                else:
                    answer, trouble = found, ""
                live.update(_screen(answer, trouble, screen.height), refresh=True)


def _screen(answer: dict[str, Any], trouble: str, height: int) -> RenderableType:
    room = max(height - _FRAME - len(answer["nodes"]) - (2 if trouble else 0), 0)
    parts = [sentence(f"Not up to date: {trouble}", "bold red")] if trouble else []
    return Group(*parts, *_parts(answer, room), Text("q ends", style="dim"))


def _parts(answer: dict[str, Any], room: int) -> list[RenderableType]:
    """Nodes, and as many VMs as there is room for."""
    nodes = [
        [
            node["name"],
            cell("up" if node["alive"] else "down"),
            node["vms"],
            _of(node["load"], node["cpus"]),
            _bar(node["load"], node["cpus"]),
            _of(node["load_memory"], node["memory"]),
            _bar(node["load_memory"], node["memory"]),
            node["memory_reserved"],
            node["closed"],
        ]
        for node in answer["nodes"]
    ]
    vms = [
        [
            vm["name"],
            f"{vm['node']} -> {vm['to']}" if vm["to"] else vm["node"],
            cell(vm["state"]),
            _of(vm["load"], vm["vcpus"]),
            _bar(vm["load"], vm["vcpus"]),
            _of(vm["load_memory"], vm["memory"]),
            _bar(vm["load_memory"], vm["memory"]),
        ]
        for vm in answer["vms"][:room]
    ]
    return [
        table(("NODE", "AGENT", "VMS", "CPUS USED", "", "MIB USED", "", "MIB GIVEN", "TAKES NO VMS: IT"), nodes),
        Text(""),
        table(("VM", "NODE", "IS", "CPUS USED", "", "MIB USED", ""), vms),
    ]


def _of(used: float | None, size: float | None) -> Text:
    return Text(f"{plain(used)} of {plain(size)}", justify="right")


def _bar(used: float | None, size: float | None) -> Text:
    """A share as ten characters."""
    if used is None or not size:
        return Text("")
    share = min(used / size, 1.0)
    style = "red" if share > 0.9 else "yellow" if share > 0.7 else "green"
    return Text("#" * round(share * 10), style=style)
