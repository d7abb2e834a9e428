# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What applying a document would do, for people and for programs: the same data in modules, saved plans and tools. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import PvcError
from .hardware_changes import compare
from .plan import Change
from .plan_document import Draft
from .plan_moves import plan_moves
from .views import waits_for_a_start

#: Kinds whose changes can make the leader move VMs.
_MOVE = ("node", "rule")

View = Mapping[str, Any]


def report(draft: Draft) -> dict[str, Any]:
    """A draft in its parts; all lists in the order in which things are decided.

    ``creates``, ``changes`` (field by field), ``deletes``, ``moves``, ``restarts``, ``refused``, and a ``summary``.
    """
    plan = draft.plan
    creates = [change for change in plan.changes if change.before is None]
    deletes = [change for change in plan.changes if change.after is None]
    others = [change for change in plan.changes if change.before is not None and change.after is not None]
    found: dict[str, Any] = {
        "creates": [_named(change) for change in creates],
        "changes": [{**_named(change), "fields": list(_fields(change))} for change in others],
        "deletes": [_named(change) for change in deletes],
        "moves": list(_moves(draft)),
        "restarts": list(_restarts(draft)),
        "refused": [parts(error) for error in draft.refused],
    }
    return {**found, "summary": _summary(found)}


def parts(error: PvcError) -> dict[str, str]:
    """An error as data."""
    return {"object": error.obj, "option": error.option, "problem": error.problem, "remedy": error.remedy}


def gist(found: View) -> Any:
    """What a report says will happen, without the reasons, which tell of room and the like that changes all the time."""
    return {
        "changed": [(one["kind"], one["name"], one["fields"]) for one in found["changes"]],
        **{key: [(one["kind"], one["name"]) for one in found[key]] for key in ("creates", "deletes")},
        "moves": [(one["vm"], one["from"], one["to"]) for one in found["moves"]],
        "restarts": [(one["vm"], one["waits"]) for one in found["restarts"]],
    }


def lines(found: View) -> Iterator[str]:
    """A report as text, one thing a line: ``+`` comes, ``~`` changes, ``-`` goes, ``>`` moves, ``!`` is refused."""
    for change in found["creates"]:
        yield f"+ {_called(change)}: {change['why']}"
    for change in found["changes"]:
        yield f"~ {_called(change)}"
        for field in change["fields"]:
            yield f"    {field['field']}: {_shown(field['before'])} -> {_shown(field['after'])}"
    for change in found["deletes"]:
        yield f"- {_called(change)}: {change['why']}"
    for move in found["moves"]:
        yield f"> vm {move['vm']}: {move['from']} -> {move['to'] or 'nowhere'} ({move['why']})"
    for restart in found["restarts"]:
        yield f"~ vm {restart['vm']} needs a restart for: {', '.join(restart['waits'])}"
    for one in found["refused"]:
        yield f"! {refusal(one)}"
    yield found["summary"]


def refusal(one: View) -> str:
    """What is refused, where it is and why, as one line."""
    where = f"{one['file']}:{one['line']}: " if one.get("file") else ""
    about = ", ".join(part for part in (one["object"], one["option"]) if part)
    return f"{where}{about}: {one['problem']}" + (f"; {one['remedy']}" if one["remedy"] else "")


def _named(change: Change) -> dict[str, Any]:
    return {"kind": change.kind, "name": change.name, "why": change.why}


def _called(change: View) -> str:
    return f"{change['kind']} {change['name']}".rstrip()


def _fields(change: Change) -> Iterator[dict[str, Any]]:
    """What differs, one entry for each field; of groups of options one for each option."""
    old, new = change.before or {}, change.after or {}
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            for inner in {**before, **after}:
                if before.get(inner) != after.get(inner):
                    yield {"field": f"{key}.{inner}", "before": before.get(inner), "after": after.get(inner)}
        else:
            yield {"field": key, "before": before, "after": after}


def _moves(draft: Draft) -> Iterator[dict[str, Any]]:
    """What the leader will move since the plan makes it necessary, and what it cannot move although it should."""
    plan = draft.plan
    pinned = any(
        change.kind == "vm" and change.before and change.after and change.before.get("node") != change.after.get("node")
        for change in plan.changes
    )
    if not pinned and not any(change.kind in _MOVE for change in plan.changes):
        return
    before, after = plan_moves(draft.before), plan_moves(plan.after)
    known = {(wish.vm, wish.to) for wish in before.wishes}
    for wish in after.wishes:
        if (wish.vm, wish.to) not in known:
            yield {"vm": wish.vm, "from": plan.after.owner(wish.vm), "to": wish.to, "why": wish.why}
    for vm, why in after.blocked.items():
        if before.blocked.get(vm) != why:
            yield {"vm": vm, "from": plan.after.owner(vm), "to": None, "why": why}


def _restarts(draft: Draft) -> Iterator[dict[str, Any]]:
    for change in draft.plan.changes:
        if change.kind != "vm" or change.before is None or change.after is None:
            continue
        if waits_for_a_start(draft.before, draft.plan.after, change.name):
            old, new = draft.before.vms[change.name].value, draft.plan.after.vms[change.name].value
            if old is not None and new is not None:
                yield {"vm": change.name, "waits": list(compare(old, new).later)}


def _summary(found: Mapping[str, Sequence[Any]]) -> str:
    words = {
        "creates": "to create",
        "changes": "to change",
        "deletes": "to delete",
        "moves": "to move",
        "restarts": "to restart by hand",
        "refused": "refused",
    }
    said = [f"{len(found[key])} {word}" for key, word in words.items() if found[key]]
    return f"Plan: {', '.join(said)}." if said else "Nothing to change."


def _shown(value: Any) -> str:
    text = "none" if value in (None, "", [], {}) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
