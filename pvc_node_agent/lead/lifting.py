# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node that is back: its fence is lifted once it is clean, and what was cut off is restored. Pure."""

from __future__ import annotations

from dataclasses import replace

from .effects import RestoreStorage
from .events import StorageRestored
from .fenced import Fenced, collecting, new_id

#: Seconds after which no order of a leader that was replaced is carried out any more, if it is not frozen.
_LONGEST_ORDER = 25.0


def returned(fenced: Fenced) -> bool:
    """Begin to lift the fence of a node that is back and clean; returns whether it is."""
    if fenced.alive is None or not fenced.clean():
        return False
    if _orders_are_out(fenced):
        return True
    if fenced.write(replace(fenced.fence, state="lifting"), fenced.presence()):
        fenced.work.say(
            fenced.subject, f"let {fenced.node} come back", "its new agent found nothing running, or ended it"
        )
    return True


def _orders_are_out(fenced: Fenced) -> bool:
    """Whether an order for this fence may still be carried out, by this leader or by the one before."""
    view = fenced.work.view
    mine = any(name == f"cut {fenced.node}" or name.startswith(f"power {fenced.node} ") for name in view.busy)
    if mine or all(one.state == "proven" for one in fenced.fence.evidence):
        return mine
    until = view.elected_at + _LONGEST_ORDER
    if fenced.work.now < until:
        fenced.work.wake(until)
    return fenced.work.now < until


def lift(fenced: Fenced) -> None:
    """Restore what was cut off, and end the fence; or begin anew when the node has gone again."""
    removed = fenced.node not in fenced.work.snapshot.nodes
    if fenced.alive is None and not removed:
        # another id: what was proven, or undone, for the old one must not count for this one
        again = replace(fenced.fence, id=new_id(fenced.work, fenced.node), why="it went again before it was back")
        again = collecting(fenced.work, fenced.node, again)
        if fenced.write(again):
            fenced.work.say(fenced.subject, f"fence {fenced.node}", again.why)
        return
    if not removed and not fenced.clean():
        return
    if fenced.fence.cut and not _restored(fenced):
        fenced.work.ask(RestoreStorage(fenced.node, fenced.fence.id, fenced.fence.addresses))
        return
    if fenced.fence.cut and not removed and _still_refused(fenced):
        why = "its agent has yet to see that Ceph takes its clients again"
        fenced.work.say(fenced.subject, f"wait for {fenced.node}", why)
        return
    fenced.end("it was removed from the cluster" if removed else "it came back clean", fenced.presence())


def _restored(fenced: Fenced) -> bool:
    result = fenced.work.view.results.get(f"restore {fenced.node}")
    return isinstance(result, StorageRestored) and result.fence == fenced.fence.id and not result.error


def _still_refused(fenced: Fenced) -> bool:
    return fenced.status is not None and fenced.status.value is not None and fenced.status.value.storage_cut
