# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc console: what a VM has written to its serial console, and a way to write to it."""

from __future__ import annotations

import os
import shutil
import sys

import click

from pvc_state.console import LINES, console_view, this_node
from pvc_state.errors import InvalidRequest

from .. import names
from ..output import cell, console_line
from ..session import Session, must_exist, output_option, pass_session


@click.command()
@click.argument("name", metavar="VM", shell_complete=names.vms)
@click.option(
    "-n", "--lines", type=click.IntRange(LINES.start, LINES.stop - 1), default=50, show_default=True, help="How many."
)
@click.option("-f", "--follow", is_flag=True, help="Attach to the console, to see and write; end it with Ctrl-].")
@output_option
@pass_session
def console(session: Session, name: str, lines: int, follow: bool) -> None:
    """Show the last lines of a VM's serial console. They are on the VM's node, and only there."""
    with session.cluster([name]) as (_store, snapshot):
        must_exist(snapshot.vms, "vm", name)
        answer = console_view(snapshot, name, lines)
    if answer["lines"] is None:
        if session.form != "table":
            session.show(answer, tuple)
            return
        raise InvalidRequest(
            f"its console is {answer['where']}" if answer["path"] else answer["where"],
            obj=f"vm {name}",
            remedy=f"run pvc console {name} there, as root" if answer["path"] else "start it, or wait for that",
        )
    if follow:
        _attach(name, answer["node"])
    session.show(answer, lambda: (cell(console_line(line)) for line in answer["lines"]))


def _attach(name: str, node: str) -> None:
    """Become virsh; returns only by an error."""
    if this_node() != node or shutil.which("virsh") is None:
        raise InvalidRequest("virsh is missing", obj=f"vm {name}", remedy="install libvirt-clients on this node")
    if not sys.stdin.isatty():
        raise InvalidRequest("there is no terminal", obj=f"vm {name}", option="--follow", remedy="leave it out")
    os.execvp("virsh", ["virsh", "--connect", "qemu:///system", "console", name])  # noqa: S606 - no shell is the point
