# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused so that the cluster can lose nodes: VMs that would leave no room for those of a node that dies. Pure.

A change that leaves no less room than there was is admitted, however little that is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

from .errors import InvalidRequest
from .reasons import listed
from .records import Vm
from .snapshot import Snapshot
from .spare import worse


def grows(old: Vm, new: Vm) -> bool:
    """Whether a change makes a VM need more than it did, after a loss too."""
    starts = new.state == "started" and old.state != "started"
    return starts or new.memory > old.memory or new.vcpus > old.vcpus


def admit(before: Snapshot, after: Snapshot, grown: Mapping[str, bool], why: MutableMapping[str, str]) -> None:
    """Refuse VMs for which too little room is left; of those that are forced, say so in their reasons.

    Args:
        grown: the VMs that are created, started or made larger, and whether that is forced.
    """
    asked = [name for name, forced in grown.items() if not forced]
    forced = [name for name, forced in grown.items() if forced]
    base = before
    if forced:
        base = dataclasses.replace(
            before,
            vms=MappingProxyType({**before.vms, **{name: after.vms[name] for name in forced}}),
            claims=MappingProxyType({**before.claims, **{name: after.claims[name] for name in forced}}),
        )
        if lack := worse(before, base):
            why.update({name: f"{why[name]}; forced, although {lack.sentence}" for name in forced})
    if asked and (lack := worse(base, after)):
        raise InvalidRequest(
            lack.sentence,
            obj=f"vm{'' if len(asked) == 1 else 's'} {listed(asked)}",
            remedy="ask for less, add a node, lower spare_nodes in the settings, or give force=true",
        )
