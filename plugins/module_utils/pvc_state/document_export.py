# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster, as it is or as it was, as a document that asks for just that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .kinds import MARK, ORDER
from .snapshot import Snapshot

#: Of each kind, by its name: what users decide of each object, by the object's name.
Views = Mapping[str, Mapping[str, Mapping[str, Any]]]


def export(snapshot: Snapshot, *, document: str | None = None, full: bool = False) -> dict[str, Any]:
    """Today's cluster as plain data that document.read() takes.

    Args:
        document: only what belongs to the document of this name, and the document has this name. None: all, without one.
        full: with every option; otherwise those that a new object would have anyway are left out.
    """
    views = {kind.name: kind.views(snapshot) for kind in ORDER}
    return as_document(snapshot.schema.cluster, views, document=document, full=full)


def as_document(cluster: str, views: Views, *, document: str | None = None, full: bool = False) -> dict[str, Any]:
    """The same of any views, such as those of an earlier commit."""
    found: dict[str, Any] = {"cluster": cluster} if cluster else {}
    if document is not None:
        found["document"] = document
    for kind in ORDER:
        mine = views.get(kind.name, {})
        if kind.single:
            # it belongs to nobody, so it is in the document of the whole cluster only
            if document is None and "" in mine:
                found[kind.section] = kind.options_of(mine[""], full)
            continue
        objects = [
            {"name": name, **kind.options_of(view, full), **_mark(view, document, full)}
            for name, view in sorted(mine.items())
            if document is None or view.get(MARK) == document
        ]
        if objects:
            found[kind.section] = objects
    return found


def _mark(view: Mapping[str, Any], document: str | None, full: bool) -> dict[str, Any]:
    """Which document an object belongs to, where the whole does not say it."""
    mark = view.get(MARK, "")
    return {MARK: mark} if document is None and (mark or full) else {}
