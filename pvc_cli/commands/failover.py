# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc failover-report: what would happen if a node died now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from rich.console import RenderableType

from pvc_state import info

from .. import names
from ..exit_codes import Exit
from ..output import sentence, table
from ..session import Session, output_option, pass_session


@click.command("failover-report")
@click.argument("nodes", metavar="[NODE]...", nargs=-1, shell_complete=names.nodes)
@click.option("--only-problems", is_flag=True, help="Only nodes whose VMs would not all run elsewhere.")
@output_option
@pass_session
@click.pass_context
def failover_report(ctx: click.Context, session: Session, nodes: tuple[str, ...], only_problems: bool) -> None:
    """Say what would become of VMs if a node died now.

    Exits with 1 when VMs would not run.
    """
    with session.cluster() as (_store, snapshot):
        answer = info.failover(snapshot, nodes or None, only_problems)
    session.show(answer, lambda: _parts(answer))
    ctx.exit(Exit.DONE if answer["fits"] else Exit.NO)


def _parts(answer: dict[str, Any]) -> Iterator[RenderableType]:
    for one in answer["failovers"]:
        yield sentence(one["sentence"], "" if one["fits"] else "red")
        rows = [[move["vm"], move["to"], move["why"]] for move in one["moves"]]
        rows += [[waits["vm"], "nowhere", waits["why"]] for waits in one["waiting"]]
        rows += [[stays["vm"], "stays", stays["why"]] for stays in one["staying"]]
        if rows:
            yield table(("VM", "TO", "WHY"), rows)
