# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes that a VM gives up while it may run: nobody else gets one before its guest has let go of it. Pure.

Its record does not name such a volume any more, but its QEMU goes on writing to it until the agent has detached it. So
the record keeps it as parting, with the generation of that change; the agent reports the generation when it has made
it true. A VM that is known not to run lets go at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .hardware_changes import HOT_BUSES, volume
from .records import Vm
from .snapshot import Snapshot
from .views import vm_status
from .vm_options import Checker


def held(snapshot: Snapshot, name: str, vm: Vm) -> Iterator[str]:
    """The volumes (``POOL/VOLUME``) that are not the VM's any more, and that its QEMU may still write to."""
    if vm.parting:
        observed = vm_status(snapshot, name)
        for gone, generation in vm.parting.items():
            if observed is None or observed.generation < generation:
                yield gone


def parting(check: Checker, snapshot: Snapshot, name: str, old: Vm, new: Vm) -> Mapping[str, int]:
    """Vm.parting of a changed record; refuses what its agent could not carry out."""
    kept = {volume(disk) for disk in new.disks}
    found = {gone: old.parting[gone] for gone in held(snapshot, name, old) if gone not in kept}
    gone = [disk for disk in old.disks if volume(disk) not in kept]
    if gone and _may_run(snapshot, name, old):
        for disk in gone:
            if "ignored" in (old.state, new.state) or disk.bus not in HOT_BUSES:
                why = f"it is on bus {disk.bus}" if disk.bus not in HOT_BUSES else "it is ignored"
                problem = f"volume {volume(disk)} cannot be taken away while the VM may run, since {why}"
                check.refuse("disks", problem, "stop the VM first, in a request before this one")
            found[volume(disk)] = old.generation + 1
    if found and new.state == "ignored":
        problem = f"its guest has not let go of volume {min(found)} yet"
        check.refuse("state", problem, "wait until it has, or stop the VM, before it is left alone")
    return dict(sorted(found.items()))


def _may_run(snapshot: Snapshot, name: str, vm: Vm) -> bool:
    """Whether a QEMU of it may run, or be about to: only its agent's word on this very record says that none does."""
    observed = vm_status(snapshot, name)
    if vm.state in ("started", "ignored") or observed is None:
        return True
    return observed.state != "stopped" or observed.generation < vm.generation
