# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is gone, from the first suspicion to its return: one decision for each state of its fence. Pure.

docs/safety.md has the states. Every write checks the fence's version and the leader's epoch; whatever this step begins, a
later leader can carry on from the record alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pvc_state import paths
from pvc_state.records import Evidence, Fence

from .collecting import collect, held
from .effects import BeginFence
from .evidence import addresses
from .fenced import Fenced, collecting, new_id
from .gone import Gone, absent, answer_to_sign_off, gone, hold_again
from .lifting import lift
from .proven import proven
from .suspicion import suspected
from .work import Work

#: Seconds after which every agent has had the time to say what it sees, once the store is back within reach.
_OLD_NEWS = 5.0


def fence(work: Work) -> None:
    """Decide about every node's fence."""
    doubted = _doubted(work)
    work.doubted = frozenset(doubted)
    if work.damaged:
        work.say("settings", "hold everything", work.damaged)
    for node in sorted(work.snapshot.nodes.keys() | work.snapshot.fences.keys()):
        stored = work.snapshot.fences.get(node)
        if stored is None:
            _unfenced(work, node, doubted.get(node, ""))
        elif stored.value is None:
            work.say(
                f"node {node}", f"hold {node}", f"its fence is damaged ({stored.invalid}): nothing is done about it"
            )
        else:
            _decide(Fenced(work, node, stored.value, stored.version))


def _doubted(work: Work) -> Mapping[str, str]:
    """Nodes without a fence whose session lives, and that are to be fenced all the same: why, in words.

    Where Ceph refuses a node's clients no VM can run. What cut it off goes when the fence is lifted.
    """
    snapshot = work.snapshot
    sighted_at = work.view.presence.sighted_at
    fresh = sighted_at is not None and work.now >= sighted_at + _OLD_NEWS
    doubted = dict(suspected(snapshot)) if work.policy.early_suspicion and fresh else {}
    for node in snapshot.alive:
        report = snapshot.report(node)
        if report is not None and report.storage_cut and "storage_cut" in work.policy.evidence:
            doubted[node] = "Ceph refuses its clients"
    return {node: why for node, why in doubted.items() if node in snapshot.nodes and node not in snapshot.fences}


def _unfenced(work: Work, node: str, doubt: str) -> None:
    found = gone(work, node)
    if found is not None:
        _begin(work, found)
    elif doubt and not absent(work, node) and work.free(f"doubt {node}"):
        hold = hold_again(work, node)
        if hold:
            work.say(f"node {node}", f"leave {node} alone", f"{doubt}, but {hold}")
        else:
            _begin(work, Gone(node, f"its session lives, but {doubt}"), doubted=True)


def _begin(work: Work, found: Gone, doubted: bool = False) -> None:
    snapshot, node = work.snapshot, found.node
    status, ephemeral = snapshot.status.get(node), snapshot.alive.get(node)
    who = ephemeral.value if ephemeral is not None else None
    report = status.value if status is not None else None
    begun = Fence(
        id=new_id(work, node),
        state="held" if found.hold else "collecting",
        why=f"{found.why}; {found.hold}" if found.hold else found.why,
        instance=who.instance if who is not None else "",
        boot_id=report.boot_id if report is not None else "",
        addresses=addresses(snapshot, node),
        doubted=doubted,
        since=work.view.wall,
    )
    rests_on = [(paths.status(node), status.version)] if status is not None else []
    if found.signed_off and not found.hold:
        word = Evidence("signed_off", "proven", found.why, at=work.view.wall)
        begun = replace(begun, state="proven", evidence=(word,), proven_by="signed_off", proven_at=work.view.wall)
        if answer_to_sign_off(snapshot, node):
            rests_on.append((paths.declared(node), snapshot.declared[node].version))
    elif not found.hold:
        begun = collecting(work, node, begun)
    if work.ask(BeginFence(f"node {node}", tuple(rests_on), begun, 0 if doubted else None)):
        decision = {"held": "hold", "collecting": "fence", "proven": "take over from"}[begun.state]
        work.say(f"node {node}", f"{decision} {node}", begun.why)
    else:
        work.keep(f"node {node}")


def _decide(fenced: Fenced) -> None:
    step = _STEPS.get(fenced.fence.state)
    if step is None:
        why = f"its fence is in state {fenced.fence.state}, which this agent does not know: install a newer one"
        fenced.work.say(fenced.subject, f"hold {fenced.node}", why)
    else:
        step(fenced)
    fenced.work.keep(fenced.subject)


#: What is done about a fence, by its state.
_STEPS: Mapping[str, Callable[[Fenced], None]] = {
    "held": held,
    "collecting": collect,
    "proven": proven,
    "lifting": lift,
}
