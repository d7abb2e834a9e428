# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nodes are gone, and whether anything may be done about it yet. Pure.

That a session has ended is ZooKeeper's word, and it is enough to collect evidence: what follows rests on the evidence, not
on the suspicion. What is asked here only keeps nodes from being fenced that are about to come back by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvc_state.plan_recovery import to_recover
from pvc_state.records import NodeStatus, sign_off
from pvc_state.snapshot import Snapshot

from .work import Work

#: Nodes that went missing within so many seconds of each other went at once.
STORM_WINDOW = 30.0


@dataclass(frozen=True)
class Gone:
    """A node without a session.

    Attributes:
        node: its name. why: what is known of it, in words.
        hold: why nothing is done about it yet; empty when something is.
        signed_off: whether it declared that nothing runs there, and that its VMs are to run elsewhere.
    """

    node: str
    why: str
    hold: str = ""
    signed_off: bool = False


def absent(work: Work, node: str) -> bool:
    """Whether the node has no session, as far as anybody here knows."""
    return node not in work.snapshot.alive and node not in work.view.presence.alive


def claims_of(snapshot: Snapshot, node: str) -> tuple[str, ...]:
    """The VMs that the node has the claim of."""
    return tuple(name for name in snapshot.claims if snapshot.owner(name) == node)


def gone(work: Work, node: str) -> Gone | None:
    """What to make of a node without a fence; None: nothing."""
    if not absent(work, node):
        return None
    snapshot = work.snapshot
    record, status = snapshot.nodes[node].value, snapshot.report(node)
    holds = bool(claims_of(snapshot, node))
    if status is None and not holds:
        return None  # declared, and never deployed
    if record is not None and record.state == "maintenance" and not holds:
        work.say(f"node {node}", f"leave {node} alone", "it is in maintenance, and no VM belongs to it")
        return None
    if status is not None and status.signed_off is not None:
        word = answer_to_sign_off(snapshot, node)
        if not holds or not (status.signed_off.recover or word):
            work.say(f"node {node}", f"leave {node} alone", f"it has signed off: {status.signed_off.why}")
            return None
        why = f"{status.signed_off.why}; {word}" if word else status.signed_off.why
        return Gone(node, why, hold=_maintenance(work), signed_off=True)
    devices = record is not None and record.fence  # once its power is off, its OSDs can be marked down
    if not devices and not to_recover(snapshot, node):
        work.say(f"node {node}", f"leave {node} alone", "nothing of it is to run elsewhere")
        return None
    return _without_sign(work, node, status)


def answer_to_sign_off(snapshot: Snapshot, node: str) -> str:
    """An operator's word that a node which has signed off will not come back, in words; empty: none."""
    declared, status = snapshot.declared.get(node), snapshot.status.get(node)
    word = declared.value if declared is not None else None
    if word is None or status is None or word.fence != sign_off(status.version):
        return ""
    return f"{word.by} says that it does not come back: {word.why}"


def _without_sign(work: Work, node: str, status: NodeStatus | None) -> Gone | None:
    if work.view.presence.sighted_at is None or has_time(work, node):
        return None
    presence = work.view.presence
    if node in presence.sighted:
        why = "its session has ended"
    elif node in presence.known:
        why = "it did not come back when ZooKeeper did"
    else:
        why = f"it did not appear within {work.policy.boot_grace:g} s"
    if status is not None:
        why = f"{why}, without a sign-off"
    return Gone(node, why, hold=_maintenance(work) or _storm(work, node))


def has_time(work: Work, node: str) -> bool:
    """Whether a node without a session has time left to come back by itself: nobody has seen its session end."""
    presence, policy = work.view.presence, work.policy
    if node in presence.sighted:
        return False
    if node in presence.known:
        # ZooKeeper was out of reach, and gives every session its whole time again
        until = (presence.sighted_at or 0.0) + policy.session_timeout
        why = "ZooKeeper was out of reach: its session has its time again"
    else:
        until = (presence.began_at or 0.0) + policy.boot_grace
        why = "this leader has not seen it yet: it may be booting"
    if work.now >= until:
        return False
    work.wake(until)
    work.say(f"node {node}", f"wait for {node}", why)
    return True


def hold_again(work: Work, node: str) -> str:
    """Why a node whose fence is held stays as it is; empty when evidence may be collected now."""
    return _maintenance(work) or _storm(work, node)


def _maintenance(work: Work) -> str:
    if work.damaged:
        return f"{work.damaged}: nothing is fenced, and nothing recovered"
    return "the cluster is in maintenance: nothing is fenced, and nothing recovered" if work.policy.maintenance else ""


def _storm(work: Work, node: str) -> str:
    """A dead switch is not ten dead nodes: whether more went at once than may be fenced."""
    snapshot, missing = work.snapshot, work.view.presence.missing_since
    limit = work.policy.storm_limit or max(1, (len(snapshot.nodes) - 1) // 2)

    def when(other: str) -> float:
        """When it went: now for one that is only doubted, long ago for one that this agent has never seen."""
        return work.now if other in work.doubted else missing.get(other, 0.0)

    at_once = sorted(
        other
        for other in snapshot.nodes
        if (other in work.doubted or (absent(work, other) and not _excused(snapshot, other)))
        and abs(when(other) - when(node)) <= STORM_WINDOW
    )
    if len(at_once) <= limit:
        return ""
    return (
        f"{len(at_once)} nodes went at once ({', '.join(at_once)}), and at most {limit} are fenced at the same time: "
        "that looks like a network that is down. Declare those dead that are"
    )


def _excused(snapshot: Snapshot, node: str) -> bool:
    """Whether a node may be away without anybody wondering."""
    record, status = snapshot.nodes[node].value, snapshot.report(node)
    if status is None or status.signed_off is not None:
        return True
    return record is not None and record.state == "maintenance" and not claims_of(snapshot, node)
