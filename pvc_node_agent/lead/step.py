# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One step of the leader: from what is known of the whole cluster to what is to be done, each with its reason. Pure.

Invariants, each held by a test:
- Without the lead, or without sight of the store, nothing is asked for.
- A node's VMs get new owners only while its fence is proven.
- What must be undone later is written before it is done.
- One write per node and per VM is under way at a time, and each names the versions that it rests on.
"""

from __future__ import annotations

from .fencing import fence
from .moving import move
from .rebalancing import rebalance
from .recovering import recover
from .view import LeadOutcome, LeadView
from .work import Work


def step(now: float, view: LeadView) -> LeadOutcome:
    """What the leader is to do now."""
    if view.epoch is None or view.snapshot is None or view.presence.sighted_at is None:
        return LeadOutcome((), (), view.said, None)
    work = Work(now, view, view.snapshot)
    fence(work)
    calm = move(work, recover(work))
    rebalance(work, calm=calm)
    return work.outcome()
