# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fence that is proven: its node's VMs are recovered, it stays cut off, and what VMs need beside that is sought. Pure."""

from __future__ import annotations

from dataclasses import replace

from pvc_state.plan_recovery import plan_recovery
from pvc_state.records import Evidence, surely_off

from .collecting import order
from .effects import CutStorage, MarkDown
from .events import MarkedDown, PowerRead
from .evidence import holds_by_itself, proof
from .fenced import Fenced, noted
from .gone import claims_of
from .lifting import returned


def proven(fenced: Fenced) -> None:
    """Keep the node cut off until it is back, or removed and surely off."""
    if (not _leaves(fenced) and returned(fenced)) or _removed(fenced):
        return
    now = fenced.gathered() if _more_is_wanted(fenced) else _answers(fenced)
    if noted(fenced.fence, now) != fenced.fence:
        fenced.write(noted(fenced.fence, now))
    if _more_is_wanted(fenced):
        order(fenced, now)
    if fenced.alive is None and fenced.fence.epoch and fenced.work.free(f"check {fenced.node}"):
        # nobody should take it back meanwhile: an order that was late, or a person
        fenced.work.ask(CutStorage(fenced.node, fenced.fence.id, fenced.fence.addresses))
    if fenced.alive is None and _read_off(fenced) and not _marked(fenced):
        fenced.work.ask(MarkDown(fenced.node, fenced.fence.id))


def _answers(fenced: Fenced) -> tuple[Evidence, ...]:
    """The evidence that was ordered, with what has come in."""
    ordered = {(one.kind, one.device) for one in fenced.fence.evidence}
    return tuple(one for one in fenced.gathered() if (one.kind, one.device) in ordered)


def _leaves(fenced: Fenced) -> bool:
    """Whether VMs are about to leave a node that is back: they were promised to others before it came."""
    if fenced.alive is None or fenced.work.policy.maintenance or not holds_by_itself(fenced.fence):
        return False
    return bool(plan_recovery(fenced.work.snapshot, fenced.node).moves)


def _removed(fenced: Fenced) -> bool:
    """Begin to lift the fence of a node that users have removed, if it cannot write any more even so."""
    if fenced.node in fenced.work.snapshot.nodes or claims_of(fenced.work.snapshot, fenced.node):
        return False
    known = noted(fenced.fence, fenced.gathered())
    if not surely_off(known):
        why = "it was removed, and nothing proves that it is off: it is let go when somebody declares it dead"
        fenced.work.say(fenced.subject, f"keep {fenced.node} cut off", why)
        return True
    over = replace(known, state="lifting", why=f"{fenced.fence.why}; it was removed from the cluster")
    fenced.write(over, () if surely_off(fenced.fence) else fenced.declaration(), absent=not surely_off(fenced.fence))
    return True


def _more_is_wanted(fenced: Fenced) -> bool:
    """Whether a VM that needs more than a storage cut still waits here, or only a person's word is there.

    What was enough may be so no longer: the settings may have changed since.
    """
    if fenced.work.policy.maintenance:
        return False
    if fenced.fence.proven_by == "declared_dead" or not proof(fenced.work.policy, fenced.record, fenced.fence.evidence):
        return True
    for name in claims_of(fenced.work.snapshot, fenced.node):
        vm = fenced.work.snapshot.vms[name].value
        if vm is not None and vm.ha.power_off:
            return True
    return False


def _read_off(fenced: Fenced) -> bool:
    """Whether this leader itself has read that the node is off: an older reading says little about its OSDs now."""
    return any(
        isinstance(result, PowerRead) and (result.node, result.fence) == (fenced.node, fenced.fence.id) and result.off
        for result in fenced.work.view.results.values()
    )


def _marked(fenced: Fenced) -> bool:
    marked = fenced.work.view.results.get(f"mark down {fenced.node}")
    return isinstance(marked, MarkedDown) and marked.fence == fenced.fence.id
