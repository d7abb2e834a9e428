# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc events: what happens in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from pvc_state.cursor_file import load_cursor, save_cursor
from pvc_state.follow import Batch, Follower
from pvc_state.happening import TYPES, Cursor, event_view

from .. import output
from ..session import Session, output_option, pass_session

#: Colours of what is bad news, and of what is good.
_STYLES = {
    **dict.fromkeys(("node_dead", "vm_failed"), "bold red"),
    **dict.fromkeys(("fenced", "waiting", "drift"), "yellow"),
    **dict.fromkeys(("recovered", "node_back"), "green"),
}


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@click.option("--type", "types", multiple=True, type=click.Choice(list(TYPES)), help="Only events of these types.")
@click.option("--since", type=int, metavar="ZXID", help="Only what was written after this transaction of ZooKeeper.")
@click.option(
    "--state-file", type=click.Path(dir_okay=False), help="Go on where this file says, and remember it there."
)
@output_option
@pass_session
def events(session: Session, follow: bool, types: tuple[str, ...], since: int | None, state_file: str | None) -> None:
    """Show what has happened, as far as the cluster still tells.

    With --follow it begins with what happens now, unless --since or --state-file says otherwise. Then JSON has one event in each
    line, and YAML one in each document.
    """
    path = Path(state_file) if state_file is not None else None
    cursor = load_cursor(path) if path is not None else None
    shown: list[dict[str, Any]] = []
    last: Cursor | None = None
    with session.store() as store:
        follower = Follower(store, cursor, since if since is not None or follow else 0, _trouble)
        for told, last in _batches(follower, follow, begins=cursor is None):
            for event in told:
                if not types or event.type in types:
                    shown.append(event_view(event, follower.cluster.cluster))
                    if follow:
                        _show(session.form, shown.pop())
            if follow:
                _remember(path, last)
    if not follow:
        session.show({"events": shown}, lambda: map(_line, shown))
        _remember(path, last)


def _remember(path: Path | None, told: Cursor | None) -> None:
    """Only behind what was written and flushed: what could not be read is told again."""
    if path is not None and told is not None:
        save_cursor(path, told)


def _batches(follower: Follower, follow: bool, *, begins: bool) -> Iterator[Batch]:
    """What is new, for ever or as far as there is something. begins: the first batch only tells where it begins."""
    while (batch := follower.read(wait=follow)) is not None:
        yield batch
        if not (follow or begins or batch[0]):
            return
        begins = False


def _show(form: str, event: dict[str, Any]) -> None:
    """One event, at once."""
    if form == "json":
        click.echo(output.as_json(event))
    elif form == "yaml":
        click.echo("---\n" + output.as_yaml(event), nl=False)
    else:
        output.show(form, event, lambda: [_line(event)])


def _line(event: dict[str, Any]) -> Text:
    text = f"{output.plain(event['at'] or '-'):20}  {event['type']:9}  {output.plain(event['sentence'])}"
    return Text(text, style=_STYLES.get(event["type"], ""))


def _trouble(text: str) -> None:
    """What the follower waits for."""
    if text:
        output.warn(f"{text}. Waiting for it.")
