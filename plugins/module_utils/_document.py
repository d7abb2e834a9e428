# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""Documents in tasks: where one comes from, and what a module says of one that is refused.

The options are documented in ``doc_fragments/_document.py``; keep the two in step.
"""

from __future__ import annotations

import json
import typing as t

from . import _module
from .pvc_state import document_files
from .pvc_state.commit_log import load_commits
from .pvc_state.document import BadDocument, read
from .pvc_state.document_export import as_document
from .pvc_state.document_files import Sources, Unreadable
from .pvc_state.document_report import lines, parts, report
from .pvc_state.errors import InvalidRequest, PvcError
from .pvc_state.history_report import state_at
from .pvc_state.plan_document import Draft, Wishes
from .pvc_state.snapshot import load

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from .pvc_state.document import Document
    from .pvc_state.store import Store

#: Where a document comes from, and what becomes of what it does not name.
SPEC: dict[str, t.Any] = {
    "document": {"type": "dict"},
    "src": {"type": "list", "elements": "path"},
    "commit": {"type": "int"},
    "mark": {"type": "str"},
    "prune": {"type": "bool", "default": False},
    "prune_volumes": {"type": "bool", "default": False},
    "force": {"type": "bool", "default": False},
}


class Wanted(t.NamedTuple):
    """A document of a task.

    Attributes:
        data: as plain data. document: the same, read.
        sources: the files that it comes from; None where it comes from elsewhere.
    """

    data: dict[str, t.Any]
    document: Document
    sources: Sources | None


def wishes(module: AnsibleModule) -> Wishes:
    """What is to become of what the document does not name."""
    params = module.params
    if params["prune_volumes"] and not params["prune"]:
        raise InvalidRequest(
            "it is only for what prune deletes", obj="document", option="prune_volumes", remedy="give prune, too"
        )
    return Wishes(params["prune"], params["prune_volumes"], params["force"])


def wanted(module: AnsibleModule, store: Store) -> Wanted:
    """The document that a task gives, names the files of, or means by a commit."""
    params, sources = module.params, None
    try:
        if params["src"] is not None:
            sources = document_files.load(params["src"])
            data = sources.data
        elif params["commit"] is not None:
            data = _at(store, params["commit"], params["mark"])
        else:
            data = params["document"]
        if params["mark"] is not None and data.get("document") not in (None, params["mark"]):
            raise InvalidRequest(
                f"the document has the name {data['document']} already",
                obj="document",
                option="mark",
                remedy="leave mark out, or give the same",
            )
        data = data if params["mark"] is None else {**data, "document": params["mark"]}
        return Wanted(data, read(data), sources)
    except BadDocument as err:
        _fail(module, err, sources)


def _at(store: Store, revision: int, mark: str | None) -> dict[str, t.Any]:
    snapshot = load(store)
    state = state_at(snapshot, load_commits(store), revision)
    return as_document(snapshot.schema.cluster, state, document=mark, full=True)


def _fail(module: AnsibleModule, err: BadDocument, sources: Sources | None) -> t.NoReturn:
    """Fail with all that is wrong in a document, each thing with its file and line where there is one."""
    refused = []
    for index, problem in enumerate(err.problems):
        if isinstance(err, Unreadable):
            place: tuple[str, int] | None = err.places[index]
        else:
            place = sources.place(problem.path) if sources is not None else None
        where = {"file": place[0], "line": place[1]} if place else {}
        refused.append({**parts(problem.error), "path": list(problem.path), **where})
    _module.fail(module, err, refused=refused)


def loaded(plan: t.Any) -> t.Any:
    """A saved plan, or the one in the file of this name."""
    if not isinstance(plan, str):
        return plan
    try:
        with open(plan, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as err:
        raise InvalidRequest(
            f"{plan} cannot be read: {err}", obj="plan", remedy="give the path of a file that the module plan has saved"
        ) from err


def refuse(module: AnsibleModule, err: PvcError, draft: Draft | None, want: Wanted | None) -> t.NoReturn:
    """Fail, and show the whole of what was planned where that is why."""
    if draft is None or not draft.refused:
        _module.fail(module, err)
    found = shown(draft, want)
    _module.fail(module, err, plan=found, plan_text=list(lines(found)), refused=found["refused"])


def shown(draft: Draft, want: Wanted | None) -> dict[str, t.Any]:
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


def _steps(option: str) -> list[str | int]:
    """``disks[0].size`` as keys and indexes."""
    words = option.replace("[", ".").replace("]", "").split(".")
    return [int(word) if word.isdigit() else word for word in words if word]
