# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules and the command line do with a document: where it comes from, what is wrong in it and where, and its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import document_files
from .commit import NOBODY, Committed, commit_nodes
from .commit_log import load_commits
from .document import BadDocument, Document, read
from .document_export import as_document
from .document_files import Sources, Unreadable
from .document_report import lines, parts, report
from .errors import InvalidRequest, PvcError, Refusals
from .history_report import state_at
from .plan import Plan
from .plan_document import Draft, Wishes
from .records import Author
from .snapshot import Snapshot, load
from .store import Store
from .views import settled


@dataclass(frozen=True)
class Wanted:
    """A document that is right by itself.

    Attributes:
        data: as plain data. document: the same, read.
        sources: the files that it comes from; None where it comes from elsewhere.
    """

    data: dict[str, Any]
    document: Document
    sources: Sources | None = None


class RefusedDocument(Refusals):
    """A document of which something is wrong or refused.

    Attributes:
        refused: each such thing as plain data, with its path, file and line where they are known.
        plan: the report on the whole, where it came to a plan; ``text`` is the same in lines.
    """

    def __init__(
        self, errors: Sequence[PvcError], refused: Sequence[dict[str, Any]], plan: dict[str, Any] | None = None
    ) -> None:
        super().__init__(errors)
        self.refused = list(refused)
        self.plan = plan

    @property
    def text(self) -> list[str]:
        return list(lines(self.plan)) if self.plan is not None else []


def wishes(prune: bool, prune_volumes: bool, force: bool) -> Wishes:
    """What is to become of what the document does not name; raises InvalidRequest."""
    if prune_volumes and not prune:
        raise InvalidRequest(
            "it is only for what prune deletes", obj="document", option="prune_volumes", remedy="give prune, too"
        )
    return Wishes(prune, prune_volumes, force)


def wanted(
    store: Store,
    *,
    document: dict[str, Any] | None = None,
    src: Sequence[str] | None = None,
    commit: int | None = None,
    mark: str | None = None,
) -> Wanted:
    """The document that is given, that is in these files, or that the state at a commit is. Raises RefusedDocument."""
    sources = None
    try:
        if src is not None:
            sources = document_files.load(src)
            data = sources.data
        elif commit is not None:
            data = _at(store, commit, mark)
        else:
            data = document or {}
        if mark is not None and data.get("document") not in (None, mark):
            raise InvalidRequest(
                f"the document has the name {data['document']} already",
                obj="document",
                option="mark",
                remedy="leave mark out, or give the same",
            )
        data = data if mark is None else {**data, "document": mark}
        return Wanted(data, read(data), sources)
    except BadDocument as err:
        raise RefusedDocument(err.errors, _located(err, sources)) from err


def loaded(path: str, read_text: Callable[[str], str] = lambda path: Path(path).read_text(encoding="utf-8")) -> Any:
    """What is in the file of a saved plan; raises InvalidRequest, and what else read_text raises."""
    try:
        return json.loads(read_text(path))
    except (OSError, ValueError) as err:
        raise InvalidRequest(
            f"{path} cannot be read: {err}", obj="plan", remedy="give the path of a file that the module plan has saved"
        ) from err


def saved_text(saved: dict[str, Any]) -> str:
    """A saved plan as its file has it."""
    return json.dumps(saved, indent=2, sort_keys=True) + "\n"


def shown(draft: Draft, want: Wanted | None) -> dict[str, Any]:
    """What a draft would do, with the places of what is refused in it."""
    found = report(draft)
    for entry, error in zip(found["refused"], draft.refused, strict=True):
        kind, _blank, name = error.obj.partition(" ")
        path = want.document.places.get((kind, name)) if want is not None else None
        if path is None or want is None:
            continue
        entry["path"] = [*path, *_steps(error.option)]
        place = want.sources.place(tuple(entry["path"])) if want.sources is not None else None
        if place is not None:
            entry["file"], entry["line"] = place
    return found


def sound(draft: Draft, want: Wanted | None) -> Plan:
    """The draft's plan; raises RefusedDocument when anything in it is refused."""
    if draft.refused:
        found = shown(draft, want)
        raise RefusedDocument(draft.refused, found["refused"], found)
    return draft.plan


def carry_out(
    store: Store,
    make: Callable[[Snapshot | None], Draft],
    want: Wanted | None,
    *,
    check_mode: bool = False,
    author: Author = NOBODY,
) -> tuple[Committed, dict[str, Any]]:
    """Commit what ``make`` drafts of the cluster as it is, and report on it. Raises RefusedDocument, and what commits raise."""
    last: list[Draft] = []

    def plan(snapshot: Snapshot | None) -> Plan:
        last[:] = [make(snapshot)]
        return sound(last[0], want)

    done = commit_nodes(store, plan, check_mode=check_mode, author=author)
    return done, shown(last[0], want)


def unsettled(document: Document, done: Committed) -> list[str]:
    """VMs of a document, and those that go, that the agents have yet to make what it says."""
    names = {vm["name"] for vm in document.objects.get("vms", ())}
    names |= {change.name for change in done.plan.changes if change.kind == "vm"}
    return sorted(names) if not all(settled(done.snapshot_after, name) for name in names) else []


def _at(store: Store, revision: int, mark: str | None) -> dict[str, Any]:
    snapshot = load(store)
    state = state_at(snapshot, load_commits(store), revision)
    return as_document(snapshot.schema.cluster, state, document=mark, full=True)


def _located(err: BadDocument, sources: Sources | None) -> list[dict[str, Any]]:
    """All that is wrong in a document, each thing with its file and line where there is one."""
    refused = []
    for index, problem in enumerate(err.problems):
        if isinstance(err, Unreadable):
            place: tuple[str, int] | None = err.places[index]
        else:
            place = sources.place(problem.path) if sources is not None else None
        where = {"file": place[0], "line": place[1]} if place else {}
        refused.append({**parts(problem.error), "path": list(problem.path), **where})
    return refused


def _steps(option: str) -> list[str | int]:
    """``disks[0].size`` as keys and indexes."""
    words = option.replace("[", ".").replace("]", "").split(".")
    return [int(word) if word.isdigit() else word for word in words if word]
