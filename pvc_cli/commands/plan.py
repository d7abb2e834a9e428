# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc plan and pvc apply: a cluster as a document says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, Union

import click
from rich.console import RenderableType
from rich.text import Text

from pvc_state.author import signature, whoever
from pvc_state.document import Document
from pvc_state.document_report import lines
from pvc_state.document_report import report as report_on
from pvc_state.document_work import (
    RefusedDocument,
    Wanted,
    carry_out,
    loaded,
    saved_text,
    sound,
    unsettled,
    wanted,
    wishes,
)
from pvc_state.errors import InvalidRequest, PvcError
from pvc_state.plan_document import Draft, Wishes, plan_document
from pvc_state.records import Author
from pvc_state.saved_plan import plan_saved, restore, save
from pvc_state.snapshot import NotInitialised, Snapshot, load
from pvc_state.store import Store
from pvc_state.wait import wait_for_vms
from pvc_state.whole_file import write_whole

from ..exit_codes import Exit, SilentRefusal
from ..output import console, plain
from ..session import Session, output_option, pass_session

F = TypeVar("F", bound=Callable[..., Any])
Make = Callable[[Union[Snapshot, None]], Draft]

#: A report on what did not come to a plan.
_NO_PLAN: Mapping[str, Any] = {key: [] for key in ("creates", "changes", "deletes", "moves", "restarts", "refused")}

#: Colours of a plan's lines, by how they begin.
_STYLES = {"+": "green", "~": "yellow", "-": "red", ">": "cyan", "!": "bold red"}


def _document_options(function: F) -> F:
    """What a plan is made of, as the modules plan and apply have it."""
    for option in (
        click.option("--force", is_flag=True, help="Do what would leave too little room, too."),
        click.option("--prune-volumes", is_flag=True, help="With --prune: VMs with their volumes."),
        click.option("--prune", is_flag=True, help="Delete what carries the document's mark and is not in it."),
        click.option("--mark", help="Name of the document, as its key document."),
        click.option("--commit", type=int, metavar="REVISION", help="The state at this commit, instead of files."),
        click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path()),
    ):
        function = option(function)
    return function


@click.command()
@_document_options
@click.option("--out", type=click.Path(dir_okay=False), metavar="FILE", help="Save the plan, for pvc apply FILE.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@output_option
@pass_session
@click.pass_context
def plan(
    ctx: click.Context,
    session: Session,
    paths: tuple[str, ...],
    out: str | None,
    detailed_exitcode: bool,
    prune: bool,
    prune_volumes: bool,
    force: bool,
    commit: int | None,
    mark: str | None,
) -> None:
    """Show what would become of the cluster with a document.

    PATH is a file of YAML or a directory of such files. A read-only user is enough.
    """
    asked = wishes(prune, prune_volumes, force)
    with session.store() as store, _telling(session):
        saved = _planned(store, _wanted(store, paths, commit, mark), asked)
    if out is not None:
        _write(out, saved_text(saved))
    text = list(lines(saved["report"]))
    session.show({"plan": saved, "plan_text": text}, lambda: _coloured(text))
    changes = any(saved["report"][key] for key in ("creates", "changes", "deletes"))
    ctx.exit(Exit.CHANGES if detailed_exitcode and changes else Exit.DONE)


@click.command()
@_document_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.option("--wait/--no-wait", default=True, help="Whether to wait until the agents have made it true.")
@click.option("--wait-timeout", type=click.FloatRange(0), default=600.0, show_default=True, metavar="SECONDS")
@output_option
@pass_session
def apply(
    session: Session,
    paths: tuple[str, ...],
    yes: bool,
    wait: bool,
    wait_timeout: float,
    prune: bool,
    prune_volumes: bool,
    force: bool,
    commit: int | None,
    mark: str | None,
) -> None:
    """Make the cluster what a document or a saved plan says.

    PATH is a file of YAML or a directory of such files, or one file that pvc plan --out has saved. On a terminal the plan is shown
    and asked about; what is carried out then is that very plan. Where nobody can be asked, --yes is needed.
    """
    if not yes and not asked_here():
        raise click.UsageError("Nobody can be asked here: give --yes.")
    raw, asked, want = _saved_in(paths), wishes(prune, prune_volumes, force), None
    if raw is not None and (asked != Wishes() or commit is not None or mark is not None):
        raise click.UsageError("A saved plan is carried out as it is: leave the other options out.")
    with session.store() as store, _telling(session):
        if raw is None:
            want = _wanted(store, paths, commit, mark)
            if not yes:
                raw = _planned(store, want, asked)
        if raw is not None and not yes:
            # of the plan as it is made now: what a file says of itself is nothing to agree to
            _agree(session, report_on(plan_saved(_snapshot(store), restore(raw))))
        document, make = _of_saved(raw) if raw is not None else _of_document(want, asked)
        done, report = carry_out(store, make, want, author=author())
        late = unsettled(document, done) if wait else []
        trouble = _settle(store, late, wait_timeout) if late else None
    text = list(lines(report))
    answer = {
        "changed": done.plan.changed,
        "why": dict(done.plan.why),
        "plan": report,
        "plan_text": text,
        "revision": done.revision,
    }
    said = [f"Done: revision {done.revision}."] if done.revision is not None else text[-1:]
    session.show(answer, lambda: _coloured([*text[:-1], *said] if yes else said))
    if trouble is not None:
        raise trouble


def asked_here() -> bool:
    """Whether somebody sits at a terminal."""
    return sys.stdin.isatty()


def author() -> Author:
    """Who makes a commit, as for the modules, and with what."""
    return signature(os.environ.get("PVC_AUTHOR") or whoever(), os.environ.get("PVC_JOB") or "pvc apply")


def _wanted(store: Store, paths: tuple[str, ...], commit: int | None, mark: str | None) -> Wanted:
    if bool(paths) == (commit is not None):
        raise click.UsageError("Give files or directories, or a revision with --commit.")
    return wanted(store, src=paths or None, commit=commit, mark=mark)


def _snapshot(store: Store) -> Snapshot | None:
    try:
        return load(store)
    except NotInitialised:
        return None


def _planned(store: Store, want: Wanted, asked: Wishes) -> dict[str, Any]:
    """The plan of a document as it would be saved."""
    draft = plan_document(_snapshot(store), want.document, asked)
    sound(draft, want)
    return save(draft, want.data, asked)


def _saved_in(paths: tuple[str, ...]) -> Any:
    """The saved plan that the only path is; None for documents."""
    if len(paths) != 1 or not paths[0].endswith(".json") or not Path(paths[0]).is_file():
        return None
    data = loaded(paths[0])
    return data if isinstance(data, dict) and "digest" in data else None


def _of_saved(raw: Any) -> tuple[Document, Make]:
    saved = restore(raw)
    return saved.document, lambda snapshot: plan_saved(snapshot, saved)


def _of_document(want: Wanted | None, asked: Wishes) -> tuple[Document, Make]:
    assert want is not None
    document = want.document
    return document, lambda snapshot: plan_document(snapshot, document, asked)


def _agree(session: Session, report: Mapping[str, Any]) -> None:
    """Show a plan, and go on if somebody says so."""
    out = console(stderr=session.form != "table")
    out.print(*_coloured(lines(report)), sep="\n")
    if any(report[key] for key in ("creates", "changes", "deletes")):
        click.confirm("Carry it out?", abort=True, err=True)


def _settle(store: Store, late: list[str], timeout: float) -> PvcError | None:
    """Wait for the agents, and say how far they are where there is a terminal; the error when they are not ready in time."""
    screen = console(stderr=True)
    with screen.status(f"{len(late)} VMs are waited for") as status:
        try:
            wait_for_vms(
                store, late, timeout, lambda settled: status.update(f"{settled} of {len(late)} VMs are as wanted")
            )
        except PvcError as err:
            return err
    return None


@contextmanager
def _telling(session: Session) -> Iterator[None]:
    """All that is wrong in a document, before the one sentence that an error is."""
    try:
        yield
    except RefusedDocument as err:
        report = err.plan or {**_NO_PLAN, "refused": err.refused, "summary": f"Wrong: {len(err.refused)}."}
        text = list(lines(report))
        answer = {"plan": err.plan, "plan_text": text, "refused": err.refused}
        if session.form == "table":
            console(stderr=True).print(*_coloured(text), sep="\n", soft_wrap=True)
        else:
            session.show(answer, tuple)
        raise SilentRefusal from err


def _coloured(text: Iterable[str]) -> list[RenderableType]:
    return [Text(plain(line), style=_STYLES.get(line[:1], "")) for line in text]


def _write(path: str, text: str) -> None:
    """Replace the file as a whole."""
    try:
        write_whole(Path(path), text.encode())
    except OSError as err:
        raise InvalidRequest(
            f"it cannot be written: {err.strerror}", obj=f"file {path}", option="--out", remedy="name another file"
        ) from err
