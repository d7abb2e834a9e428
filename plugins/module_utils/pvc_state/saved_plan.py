# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that is kept, looked at, and carried out later as that very plan, or not at all. Pure.

What is kept is the document with what was asked for beside it, the report of what the plan would do, and a digest of its
operations, each of which names the versions of what it rests on. To carry it out, the plan is made anew and must have the
same digest (nodes chosen, versions and all) and the same report, moves and restarts that follow from it included. So nothing
happens that nobody has looked at, and whoever edits the report has edited the plan.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .codec import Malformed, decode, encode
from .document import Document, read
from .document_report import gist, lines, report
from .errors import Conflict, InvalidRequest
from .plan import Plan
from .plan_document import Draft, Wishes, plan_document
from .snapshot import Snapshot
from .store import Create, Delete

#: The form of saved plans that this software writes and reads.
FORMAT = 1

#: How many differences an error names.
_NAMED = 5


@dataclass(frozen=True)
class Saved:
    """A plan as it is kept.

    Attributes:
        cluster: name of the cluster that it is for. cluster_id: of its tree; empty for one that is not made yet.
        revision: of the desired state that it was made at.
        digest: of its operations.
    """

    cluster: str
    cluster_id: str
    revision: int
    digest: str
    document: Document
    wishes: Wishes
    report: Mapping[str, Any]


def save(draft: Draft, data: Mapping[str, Any], wishes: Wishes) -> dict[str, Any]:
    """A draft as plain data; raises what is refused, since such a plan could never be carried out.

    Args:
        data: the document that it was made of, as plain data.
    """
    plan, schema = draft.sound(), draft.before.schema
    return {
        "format": FORMAT,
        "cluster": schema.cluster,
        "cluster_id": schema.id,
        "revision": draft.before.journal,
        "digest": digest(plan),
        "document": dict(data),
        "wishes": dataclasses.asdict(wishes),
        "report": report(draft),
    }


def restore(raw: Any) -> Saved:
    """The plan in plain data; raises InvalidRequest for what is none."""
    if not isinstance(raw, Mapping) or raw.get("format") != FORMAT:
        known = raw.get("format") if isinstance(raw, Mapping) else None
        problem = f"its format is {known!r}" if known is not None else "it is no saved plan"
        raise _refused(problem, f"give what the module plan has saved, of format {FORMAT}")
    try:
        wishes = decode(Wishes, encode(raw["wishes"]))
        saved = Saved(
            str(raw["cluster"]),
            str(raw["cluster_id"]),
            int(raw["revision"]),
            str(raw["digest"]),
            read(raw["document"]),
            wishes,
            dict(raw["report"]),
        )
        gist(saved.report), [*lines(saved.report)]  # whatever they need is there
    except (AttributeError, KeyError, TypeError, ValueError, Malformed) as err:
        raise _refused(f"it is damaged: {type(err).__name__}: {err}", "make the plan anew") from err
    return saved


def plan_saved(snapshot: Snapshot | None, saved: Saved) -> Draft:
    """The very plan that was saved; raises Conflict when the world has moved since, InvalidRequest for another cluster."""
    schema = snapshot.schema if snapshot is not None else None
    if schema is not None and schema.id != saved.cluster_id:
        which = f"cluster {saved.cluster}" if schema.cluster != saved.cluster else "another cluster of the same name"
        made = which if saved.cluster_id else f"cluster {saved.cluster} before it was made"
        raise _refused(f"it was made for {made}, and this is cluster {schema.cluster}", "check hosts and root")
    if schema is None and saved.cluster_id:
        raise _refused(f"it was made for cluster {saved.cluster}, and here is none", "check hosts and root")
    draft = plan_document(snapshot, saved.document, saved.wishes)
    found = report(draft)
    if not draft.refused and digest(draft.plan) == saved.digest and plain(gist(found)) == plain(gist(saved.report)):
        return draft
    before, now = ([*lines(one)][:-1] for one in (saved.report, found))
    others = [f"now: {line.strip()}" for line in now if line not in before]
    others += [f"no more: {line.strip()}" for line in before if line not in now]
    more = f" | and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    differs = " | ".join(others[:_NAMED]) + more or "what it would change has been changed by others, or has run since"
    revision = snapshot.journal if snapshot is not None else 0
    raise Conflict(
        f"the world has moved since it was made (revision {saved.revision}, now {revision}): {differs}",
        obj="plan",
        remedy="make the plan anew, and look at it again",
    )


def plain(value: Any) -> Any:
    """As JSON gives it back: a report that was kept in a file has lists where there were tuples."""
    return json.loads(json.dumps(value, sort_keys=True))


def digest(plan: Plan) -> str:
    """What tells one plan from another: every operation with its data and the version that it rests on."""
    sha = hashlib.sha256()
    for op in (op for group in plan.groups for op in group):
        kind = type(op).__name__
        version = "" if isinstance(op, Create) else op.version
        data = b"" if isinstance(op, Delete) else getattr(op, "data", b"")
        sha.update(f"{kind} {op.path} {version} {len(data)}\n".encode())
        sha.update(data)
    return sha.hexdigest()


def _refused(problem: str, remedy: str) -> InvalidRequest:
    return InvalidRequest(problem, obj="plan", remedy=remedy)
