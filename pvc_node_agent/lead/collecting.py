# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fence whose evidence is still to come: when it is collected, ordered, and enough. Pure."""

from __future__ import annotations

from dataclasses import replace

from pvc_state.records import Evidence

from .effects import CutStorage, PowerOff
from .evidence import next_devices, proof
from .fenced import Fenced, collecting, noted
from .gone import has_time, hold_again
from .lifting import returned

#: Seconds in which an agent whose session was ended on a mere suspicion shows itself again.
_SHOWS_ITSELF = 3.0


def held(fenced: Fenced) -> None:
    """Nothing is done about it yet: whether that goes on."""
    if fenced.alive is not None:
        fenced.end("it came back before anything was done")
        return
    now = fenced.gathered()
    if proof(fenced.work.policy, fenced.record, now) and not fenced.work.policy.maintenance:
        _prove(fenced, now)
        return
    reason = hold_again(fenced.work, fenced.node)
    if reason:
        fenced.work.say(fenced.subject, f"hold {fenced.node}", reason)
        if reason not in fenced.fence.why:
            fenced.write(replace(fenced.fence, why=f"{fenced.fence.why.partition('; ')[0]}; {reason}"))
        return
    if has_time(fenced.work, fenced.node):
        return
    why = fenced.fence.why.partition("; ")[0]
    if fenced.write(collecting(fenced.work, fenced.node, replace(fenced.fence, why=why)), absent=True):
        fenced.work.say(fenced.subject, f"fence {fenced.node}", f"{why}; nothing holds that back any more")


def collect(fenced: Fenced) -> None:
    """Take what has come in, order what is missing, and see whether it is enough."""
    if returned(fenced):
        return
    now = fenced.gathered()
    if proof(fenced.work.policy, fenced.record, now):
        _prove(fenced, now)
        return
    if fenced.work.policy.maintenance:
        fenced.work.say(fenced.subject, f"hold {fenced.node}", "the cluster is in maintenance: nothing more is done")
        return
    if noted(fenced.fence, now) != fenced.fence:
        fenced.write(noted(fenced.fence, now))
        failed = "; ".join(f"{one.kind}: {one.why}" for one in now if one.state == "failed")
        if failed:
            fenced.work.say(fenced.subject, f"try again to fence {fenced.node}", failed)
    order(fenced, now)


def order(fenced: Fenced, evidence: tuple[Evidence, ...]) -> None:
    """Order whatever evidence is missing, all kinds at once."""
    missing = any(one.kind == "storage_cut" and one.state != "proven" for one in evidence)
    if missing and fenced.fence.cut and f"restore {fenced.node}" not in fenced.work.view.busy:
        fenced.work.ask(CutStorage(fenced.node, fenced.fence.id, fenced.fence.addresses))
    if _is_worth_its_power(fenced):
        for device in next_devices(fenced.record, evidence, fenced.work.view, fenced.node):
            fenced.work.ask(PowerOff(fenced.node, fenced.fence.id, device))


def _is_worth_its_power(fenced: Fenced) -> bool:
    """A node that is back will be clean in a moment; and one that was only doubted gets the time to show itself."""
    if fenced.alive is not None:
        return False
    if not fenced.fence.doubted:
        return True
    presence = fenced.work.view.presence
    since = presence.missing_since.get(fenced.node, presence.began_at or 0.0)
    if fenced.work.now >= since + _SHOWS_ITSELF:
        return True
    fenced.work.wake(since + _SHOWS_ITSELF)
    return False


def _prove(fenced: Fenced, evidence: tuple[Evidence, ...]) -> None:
    kind = proof(fenced.work.policy, fenced.record, evidence)
    proven = replace(noted(fenced.fence, evidence), state="proven", proven_by=kind, proven_at=fenced.work.view.wall)
    rests_on = fenced.declaration() if kind == "declared_dead" else ()
    # under a fence that is merely held an agent starts VMs, and a word counts only against one that is gone
    held = fenced.fence.state == "held" or kind == "declared_dead"
    if fenced.write(proven, rests_on, absent=held):
        why = next(one.why for one in evidence if one.kind == kind and one.state == "proven")
        fenced.work.say(fenced.subject, f"{fenced.node} is fenced", f"{kind}: {why}", evidence=kind)
