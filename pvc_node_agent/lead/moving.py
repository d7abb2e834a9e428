# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The moves of VMs whose nodes live: begun where the plan of moves wishes one, and given up where the owner could not. Pure.

A move is a field of the claim. The owner carries it out and gives the claim away; this leader only writes where to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from pvc_state import paths
from pvc_state.plan_moves import Wish, plan_moves
from pvc_state.records import Claim, VmStatus
from pvc_state.views import vm_status
from pvc_state.vm_records import STUCK

from .effects import ChangeClaim
from .work import Work

#: Moves under way at the same time, from and to one node. In the whole cluster: Settings.parallel_moves.
PER_NODE = 2


def move(work: Work, assumed: Mapping[str, str]) -> bool:
    """Begin, give up and forget moves; returns whether all is calm: nothing moves, is to move, or is kept from it.

    Args:
        assumed: VMs that are being recovered, with where they go.
    """
    under_way = _under_way(work)
    if work.policy.maintenance:
        return False
    plan = plan_moves(work.snapshot, assumed)
    for vm in plan.mended:
        _forget_tries(work, vm)
    for wish in plan.again:
        _try_again(work, wish)
    for wish in plan.wishes:
        if under_way.total() >= 2 * work.policy.parallel_moves:  # each counts at both of its ends
            break
        _begin(work, wish, under_way)
    for vm, why in plan.blocked.items():
        work.say(f"vm {vm}", "cannot be moved", why, vm)
    return not (under_way or assumed or plan.wishes or plan.blocked or plan.again)


def spread_out(work: Work, wish: Wish) -> bool:
    """Begin a move that nobody needs, while nothing else moves; returns whether it has begun."""
    under_way: Counter[str] = Counter()
    _begin(work, wish, under_way)
    return bool(under_way)


def _under_way(work: Work) -> Counter[str]:
    """Moves under way, by each node that they concern; those that their owners have given up are written off."""
    under_way: Counter[str] = Counter()
    for vm, stored in work.snapshot.claims.items():
        claim = stored.value
        if claim is None or not claim.to:
            continue
        status = vm_status(work.snapshot, vm)
        if status is not None and status.refused == claim.to:
            _give_up(work, vm, claim, stored.version, status)
        else:
            if status is None or not status.reason.startswith(STUCK):
                under_way.update((claim.node, claim.to))
            work.keep(f"vm {vm}")
    return under_way


def _forget_tries(work: Work, vm: str) -> None:
    stored = work.snapshot.claims[vm]
    if stored.value is not None:
        _change(work, vm, replace(stored.value, tried=(), generation=0), stored.value, stored.version)


def _give_up(work: Work, vm: str, claim: Claim, version: int, status: VmStatus) -> None:
    home = "" if claim.home == claim.node else claim.home
    stays = replace(claim, to="", why="", cold=False, home=home, away=claim.away and bool(home))
    if _change(work, vm, stays, claim, version):
        work.say(f"vm {vm}", f"stays on {claim.node}", status.reason, vm)


def _begin(work: Work, wish: Wish, under_way: Counter[str]) -> None:
    stored = work.snapshot.claims[wish.vm]
    claim = stored.value
    assert claim is not None  # the plan moves nothing that it cannot read
    if max(under_way[claim.node], under_way[wish.to]) >= PER_NODE or not work.free(f"move {wish.vm}"):
        work.keep(f"vm {wish.vm}")
        return
    record = work.snapshot.vms[wish.vm].value
    generation = record.generation if record is not None and wish.tried else 0
    away = claim.away and bool(wish.home)
    changed = replace(
        claim, to=wish.to, why=wish.why, home=wish.home, away=away, tried=wish.tried, generation=generation
    )
    # VMs that are off give way; one that is started meanwhile does not
    past = tuple((paths.vm(vm), work.snapshot.vms[vm].version) for vm in wish.past)
    if _change(work, wish.vm, changed, claim, stored.version, past):
        under_way.update((claim.node, wish.to))
        work.say(f"vm {wish.vm}", f"move to {wish.to}", wish.why, wish.vm)


def _try_again(work: Work, wish: Wish) -> None:
    """With a new epoch its owner forgets that it has given up, and what it has reported so far counts no more."""
    stored, record = work.snapshot.claims[wish.vm], work.snapshot.vms[wish.vm].value
    assert stored.value is not None  # the plan wishes nothing for what it cannot read
    assert record is not None
    again = replace(stored.value, epoch=stored.value.epoch + 1, tried=wish.tried, generation=record.generation)
    if _change(work, wish.vm, again, stored.value, stored.version):
        work.say(f"vm {wish.vm}", f"try it again on {wish.to}", wish.why, wish.vm)
    else:
        work.keep(f"vm {wish.vm}")


def _change(
    work: Work, vm: str, claim: Claim, before: Claim, version: int, rests_on: tuple[tuple[str, int], ...] = ()
) -> bool:
    record = work.snapshot.vms[vm]
    return work.ask(ChangeClaim(f"vm {vm}", rests_on, vm, claim, version, before.to, record.version))
