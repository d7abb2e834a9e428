# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The VMs of nodes with a proven fence get new owners: all of them placed in one pass, their claims moved in batches. Pure.

What is left to do is what ``/claims`` says, so there is nothing to resume: any leader begins here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pvc_state import paths
from pvc_state.plan_recovery import Move, Recovery, plan_recoveries
from pvc_state.records import Claim, Fence

from .effects import Recover, Rehome, UpdateFence
from .evidence import holds_by_itself
from .work import Work

#: Claims that change in one transaction: few enough for its size, and for those first in line not to wait for the last.
BATCH = 50


def recover(work: Work) -> Mapping[str, str]:
    """Give the claims of fenced nodes to others, as far as there is room; returns which VMs go where."""
    proven = {
        node: (stored.value, stored.version)
        for node, stored in sorted(work.snapshot.fences.items())
        if stored.value is not None and stored.value.state == "proven"
    }
    if not proven:
        return {}
    if work.policy.maintenance:
        for node in proven:
            work.say(f"recovery {node}", f"hold what ran on {node}", "the cluster is in maintenance")
        return {}
    plans = plan_recoveries(work.snapshot, proven)
    recovered = [node for node, (fence, _version) in proven.items() if _is_certain(work, node, fence)]
    for node in recovered:
        _recover_node(work, node, *proven[node], plans[node])
    return {move.vm: move.to for node in recovered for move in plans[node].moves}


def _is_certain(work: Work, node: str, fence: Fence) -> bool:
    """A word that the node is off counts for nothing once it is back: its agent may still be ending what runs there."""
    return node not in work.snapshot.alive or holds_by_itself(fence)


def _recover_node(work: Work, node: str, fence: Fence, version: int, plan: Recovery) -> None:
    subject = f"node {node}"
    if not plan.moves:
        _wait(work, node, fence, version, plan.waiting)
        return
    batch = plan.moves[:BATCH]
    told = {move.vm: f"to {move.to}: {move.why}" for move in batch}
    noted = replace(fence, moves={**fence.moves, **told}, waiting=dict(plan.waiting))
    claims = tuple(_rehome(work, fence, move) for move in batch)
    rests_on = tuple(sorted({_word_of(work, other) for move in batch for other in move.rests_on}))
    absent = not holds_by_itself(fence)
    if work.ask(Recover(subject, rests_on, noted, version, claims, absent)):
        for move in batch:
            work.say(f"vm {move.vm}", f"recover from {node} to {move.to}", move.why, move.vm, node=node)
    else:
        for move in batch:
            work.keep(f"vm {move.vm}")


def _word_of(work: Work, node: str) -> tuple[str, int]:
    """What a recovery rests on that needs another node to be gone: its fence, or else its status, with the sign-off."""
    fence = work.snapshot.fences.get(node)
    if fence is not None:
        return paths.fence(node), fence.version
    return paths.status(node), work.snapshot.status[node].version


def _wait(work: Work, node: str, fence: Fence, version: int, waiting: Mapping[str, str]) -> None:
    for vm, why in waiting.items():
        work.say(f"vm {vm}", "wait for a node", why, vm)
    if dict(waiting) != dict(fence.waiting):
        work.ask(UpdateFence(f"node {node}", (), replace(fence, waiting=dict(waiting)), version))


def _rehome(work: Work, fence: Fence, move: Move) -> Rehome:
    stored, record = work.snapshot.claims[move.vm], work.snapshot.vms[move.vm]
    assert stored.value is not None  # the plan moves nothing that it cannot read
    before = stored.value
    report = work.snapshot.report(before.node)
    word = report.signed_off if report is not None else None
    home = before.home or (before.node if word is not None and word.back else "")
    fences = (work.snapshot.fences.get(other) for other in move.rests_on)
    cuts = [fence, *(other.value for other in fences if other is not None)]
    after = Claim(
        node=move.to,
        epoch=before.epoch + 1,
        barrier=max(before.barrier, *(cut.epoch for cut in cuts if cut is not None)),
        home=home if home != move.to else "",
        away=before.away and home != move.to,
    )
    return Rehome(move.vm, before, stored.version, after, record.version)
