# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why was node2 fenced, and what became of its VMs: fences as plain data, and in a sentence or two. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from .codec import Stored
from .history import History
from .records import Declaration, Fence, Past
from .snapshot import Snapshot

#: How many VMs a sentence names.
_NAMED = 5

#: What each kind of evidence amounts to, as the end of a sentence that begins with the node.
_PROOFS = {
    "storage_cut": "was proven cut off from its storage",
    "powered_off": "was read powered off",
    "signed_off": "had signed off",
    "declared_dead": "was declared dead",
}


def fence_views(snapshot: Snapshot, history: History) -> list[dict[str, Any]]:
    """All fences: those that stand, by node, and then those that are over, the newest first."""
    views = []
    for node, stored in sorted(snapshot.fences.items()):
        created, changed = history.standing.get(node, (None, None))
        if stored.value is None:
            view = {**_EMPTY, "node": node, "damaged": stored.invalid}
        else:
            view = _standing(node, stored.value, _answered(stored.value, snapshot.declared.get(node)))
        views.append({**view, "active": True, "created_zxid": created, "changed_zxid": changed})
    for fence_id, past in history.past.items():
        if past.value is None:
            views.append({**_EMPTY, "id": fence_id, "damaged": past.invalid})
        else:
            views.append(_over(past.value))
    return views


def summary(snapshot: Snapshot, node: str) -> dict[str, Any] | None:
    """The fence of a node in short, None where none stands."""
    stored = snapshot.fences.get(node)
    if stored is None:
        return None
    fence = stored.value
    if fence is None:
        return {"id": "", "state": "", "why": "", "since": "", "sentence": f"its fence is damaged: {stored.invalid}"}
    return {
        "id": fence.id,
        "state": fence.state,
        "why": fence.why,
        "since": fence.since,
        "sentence": sentence(node, fence, _answered(fence, snapshot.declared.get(node))),
    }


def waiting(snapshot: Snapshot, vm: str, owner: str) -> str:
    """Why a VM whose node is fenced does not run elsewhere yet; empty when no fence is in its way."""
    stored = snapshot.fences.get(owner)
    if stored is None:
        return ""
    fence = stored.value
    if fence is None:
        return f"the fence of {owner} is damaged ({stored.invalid})"
    if fence.state == "lifting":
        return f"{owner} is back, and its fence is being lifted"
    if fence.state == "proven":
        return fence.waiting.get(vm, f"{owner} is fenced, and it is about to be given another node")
    return _open(owner, fence)


def warnings(snapshot: Snapshot) -> list[str]:
    """What everybody who looks at the cluster must be told."""
    found = []
    if snapshot.policy.maintenance:
        found.append("The cluster is in maintenance: no node is fenced, and no VM of a dead node is recovered.")
    for node, stored in sorted(snapshot.fences.items()):
        if stored.value is None:
            found.append(f"The fence of {node} is damaged ({stored.invalid}): its VMs are not recovered.")
        elif stored.value.state == "held":
            found.append(f"{_open(node, stored.value)}. Its VMs are not recovered.")
    return found


def sentence(node: str, fence: Fence, declared: Declaration | None = None, past: Past | None = None) -> str:
    """One or two sentences: what happened to the node and what proved it, and what became of its VMs."""
    since = f" at {fence.since}" if fence.since else ""
    if fence.proven_by:
        first = proven(node, fence, declared)
    else:
        first = f"{_open(node, fence)}." if past is None else f"{node} was missed{since}: {_clause(fence.why)}."
    return " ".join(part for part in (first, _fate(fence), _end(past)) if part)


def proven(node: str, fence: Fence, declared: Declaration | None = None) -> str:
    """The first of them, for a fence with sufficient evidence."""
    since = f" at {fence.since}" if fence.since else ""
    return f"{node} was fenced{since}: {_clause(fence.why)}, and it {_proof(fence, declared)}."


def _open(node: str, fence: Fence) -> str:
    """A fence without sufficient evidence yet."""
    since = f" since {fence.since}" if fence.since else ""
    if fence.state == "held":
        return f"{node} is gone{since}, but nothing is done about it: {_clause(fence.why)}"
    tried = [f"{_label(one.kind, one.device)}: {_clause(one.why)}" for one in fence.evidence if one.state == "failed"]
    failed = f"; failed so far: {', '.join(tried)}" if tried else ""
    return f"{node} is being fenced{since}: {_clause(fence.why)}; evidence is being collected{failed}"


def _proof(fence: Fence, declared: Declaration | None) -> str:
    proof = next((one for one in fence.evidence if one.kind == fence.proven_by and one.state == "proven"), None)
    text = _PROOFS.get(fence.proven_by, f"was proven gone by {fence.proven_by}")
    if fence.proven_by == "storage_cut" and fence.epoch:
        text += f" by Ceph's osdmap {fence.epoch}"
    if fence.proven_by == "powered_off" and proof is not None and proof.device:
        text += f" by {proof.device}"
    if fence.proven_by == "declared_dead" and declared is not None:
        text += f" by {declared.by} ({_clause(declared.why)})"
    at = fence.proven_at or (proof.at if proof else "")
    return f"{text} at {at}" if at else text


def _fate(fence: Fence) -> str:
    parts = []
    if fence.moves:
        count = "its VM went" if len(fence.moves) == 1 else f"{len(fence.moves)} of its VMs went"
        parts.append(f"{count} elsewhere ({_listed(fence.moves)})")
    if fence.waiting:
        count = "one waits" if len(fence.waiting) == 1 else f"{len(fence.waiting)} wait"
        parts.append(f"{count} ({_listed(fence.waiting)})")
    if not parts:
        return "It had no VMs to recover." if fence.proven_by else ""
    text = ", and ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _end(past: Past | None) -> str:
    if past is None:
        return ""
    return f"The fence ended{f' at {past.ended}' if past.ended else ''}: {_clause(past.how)}." if past.how else ""


def _listed(texts: Mapping[str, str]) -> str:
    """The first few VMs with what is said of them."""
    named = [
        f"{vm} {_clause(text)}" if text.startswith("to ") else f"{vm}: {_clause(text)}"
        for vm, text in sorted(texts.items())[:_NAMED]
    ]
    more = len(texts) - len(named)
    return "; ".join([*named, *([f"and {more} more"] if more else [])])


def _clause(text: str) -> str:
    return text.rstrip(". ") or "for no reason that was noted"


def _label(kind: str, device: str) -> str:
    return f"{kind} by {device}" if device else kind


def _answered(fence: Fence, declared: Stored[Declaration] | None) -> Declaration | None:
    """The declaration that answers this very fence."""
    word = declared.value if declared is not None else None
    return word if word is not None and word.fence == fence.id else None


_EMPTY: Mapping[str, Any] = {
    "node": "",
    "id": "",
    "active": False,
    "damaged": "",
    "state": "",
    "why": "",
    "since": "",
    "evidence": [],
    "proven_by": "",
    "proven_at": "",
    "osdmap_epoch": None,
    "addresses": [],
    "moves": {},
    "waiting": {},
    "declared_dead": None,
    "ended": "",
    "how": "",
    "created_zxid": None,
    "changed_zxid": None,
    "sentence": "",
}


def _plain(node: str, fence: Fence) -> dict[str, Any]:
    return {
        **_EMPTY,
        "node": node,
        "id": fence.id,
        "state": fence.state,
        "why": fence.why,
        "since": fence.since,
        "evidence": _evidence(fence),
        "proven_by": fence.proven_by,
        "proven_at": fence.proven_at,
        "osdmap_epoch": fence.epoch or None,
        "addresses": list(fence.addresses),
        "moves": dict(fence.moves),
        "waiting": dict(fence.waiting),
    }


def _evidence(fence: Fence) -> Sequence[dict[str, Any]]:
    return [{**asdict(one), "epoch": one.epoch or None} for one in fence.evidence]


def _standing(node: str, fence: Fence, word: Declaration | None) -> dict[str, Any]:
    return {
        **_plain(node, fence),
        "declared_dead": {"by": word.by, "why": word.why, "at": word.at} if word else None,
        "sentence": sentence(node, fence, word),
    }


def _over(past: Past) -> dict[str, Any]:
    return {
        **_plain(past.node, past.fence),
        "ended": past.ended,
        "how": past.how,
        "created_zxid": past.created or None,
        "changed_zxid": past.changed or None,
        "sentence": sentence(past.node, past.fence, None, past),
    }
