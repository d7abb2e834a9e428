# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that nobody needs, for nodes that are more evenly loaded: only where the settings ask for it, and slowly. Pure.

A pass begins when nothing else goes on and the nodes have been uneven for a while. It makes a few moves at once, and waits
before the next one. Each move gains a good part of the unevenness, and none is made once the nodes are not uneven any more:
so on loads that stay the same, passes come to an end, and none undoes what another has done.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pvc_state.plan_balance import Balance, BalanceMove, plan_balance
from pvc_state.plan_moves import Wish
from pvc_state.spread import measured, spread

from .gone import absent
from .moving import PER_NODE, spread_out
from .view import Evenness
from .work import Work

#: From this spread on the nodes count as uneven, and so long they must have been it. Seconds.
UNEVEN = 0.3
HOLD = 30.0
#: Seconds from one pass to the next: what has moved must have been measured where it is.
PAUSE = 120.0

_SUBJECT = "cluster balance"


def rebalance(work: Work, *, calm: bool) -> None:
    """Begin moves that make the nodes more evenly loaded.

    Args:
        calm: whether no VM moves, recovers, or is to.
    """
    policy, was = work.policy, work.evenness
    if not policy.rebalance or policy.maintenance:
        work.evenness = Evenness()
        return
    if not calm or _goes_on(work):
        work.evenness = Evenness(passed_at=was.passed_at)
        return
    now, snapshot = work.now, work.snapshot
    value = was.spread if was.snapshot is snapshot else spread(snapshot).value
    since = was.uneven_since if was.uneven_since is not None else now
    if value <= UNEVEN or not measured(snapshot):
        work.evenness = Evenness(snapshot, value, None, was.passed_at)
        return
    work.evenness = Evenness(snapshot, value, since, was.passed_at)
    due = max(since + HOLD, (was.passed_at if was.passed_at is not None else now - PAUSE) + PAUSE)
    if now < due:
        work.keep(_SUBJECT)
        work.wake(due)
    else:
        _pass(work, plan_balance(snapshot, min_gain=policy.rebalance_threshold, even=UNEVEN, stages=1))


def _goes_on(work: Work) -> bool:
    """Whether anything else is under way that changes where VMs are, or may soon be."""
    snapshot = work.snapshot
    if snapshot.fences or work.doubted or any(name.startswith("write ") for name in work.view.busy):
        return True
    owners = {snapshot.owner(name) for name in snapshot.vms}
    return any(node in owners and absent(work, node) for node in snapshot.nodes)


def _pass(work: Work, plan: Balance) -> None:
    """Begin the first moves of a plan, so many as may be under way at the same time."""
    if plan.after > plan.before * (1.0 - work.policy.rebalance_threshold):
        why = f"the spread of the nodes' loads is {plan.before:.2f}, but no moves gain enough"
        work.say(_SUBJECT, "leave the VMs where they are", why)
        # all of it was said of this state: what changes is looked at anew after a while
        work.evenness = replace(work.evenness, passed_at=work.now)
        return
    under_way: Counter[str] = Counter()
    begun = 0
    for move in plan.moves:
        if begun and begun + len(move.vms) > work.policy.parallel_moves:
            break
        if max(under_way[move.source], under_way[move.to]) < PER_NODE and _begin(work, plan, move):
            under_way.update({move.source: len(move.vms), move.to: len(move.vms)})
            begun += len(move.vms)
    work.evenness = Evenness(passed_at=work.now)


def _begin(work: Work, plan: Balance, move: BalanceMove) -> bool:
    why = f"the nodes are unevenly loaded (spread {plan.before:.2f}): {move.why}"
    begun = []
    for name in move.vms:
        claim, record = work.snapshot.claims[name].value, work.snapshot.vms[name].value
        assert claim is not None  # the plan moves nothing that it cannot read
        assert record is not None
        tried = claim.tried if claim.generation == record.generation else ()
        begun.append(spread_out(work, Wish(name, move.to, why, tried=tried)))
    return any(begun)
