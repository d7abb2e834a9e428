# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a case, as the format of the cases wants it."""

from __future__ import annotations

from typing import Any

from pvc_state import paths
from pvc_state.records import Claim, Fence, NodeStatus, Vm, VmStatus

from .play import Play

#: What an agent reports of a VM that is to run, in the words of a result.
_STARTED = frozenset({"starting", "running", "backoff", "moving"})

#: What VMs are while HA is suspended, by what is to become of them.
SUSPENDED = {"freeze": "frozen", "ignore": "unmanaged"}


def result(play: Play) -> dict[str, Any]:
    """The result object."""
    vms = [name for name in play.ensemble.names(paths.VMS) if name in play.faults]
    return {
        "final": {
            vm: {"running_on": play.place(vm), "located_on": _owner(play, vm), "state": state(play, vm)} for vm in vms
        },
        "max_copies": {vm: play.copies.get(vm, 0) for vm in vms},
        "fenced": sorted(play.fenced),
        "starts": dict(sorted(play.starts.items())),
        "refused": play.refused,
        "timeline": play.timeline,
    }


def _owner(play: Play, vm: str) -> str | None:
    claim = play.record(Claim, paths.claim(vm))
    return claim.node if claim is not None else None


def state(play: Play, vm: str) -> str:
    """started, stopped, failed, unmanaged, frozen or waiting_for_recovery."""
    record, owner = play.record(Vm, paths.vm(vm)), _owner(play, vm)
    if vm in play.removed or record is None or record.state == "ignored" or owner is None:
        return "unmanaged"
    if play.suspended:
        return SUSPENDED[play.suspended]
    status = _status(play, vm, owner)
    if status is not None and status.state == "failed" and status.generation >= record.generation:
        return "failed"
    fence = play.record(Fence, paths.fence(owner))
    if fence is not None and fence.state == "proven" and record.state in ("started", "stopped"):
        return "waiting_for_recovery"
    if status is None:
        return "started" if record.state == "started" else "stopped"
    if status.state in ("failed", "frozen"):
        return status.state
    if record.state == "started" and status.state in _STARTED:
        return "started"
    # what should be off and still runs, so long after it was asked for, waits for a person
    return "failed" if play.place(vm) is not None else "stopped"


def _status(play: Play, vm: str, owner: str) -> VmStatus | None:
    status = play.record(NodeStatus, paths.status(owner))
    return status.vms.get(vm) if status is not None else None
