# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step may ask for: each effect is data, carried out elsewhere.

An effect on a VM names the right that it rests on. Whoever carries it out first lets the store confirm that right, so
that a decision made on an old view has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvc_state.records import Disk, DiskSnapshot, Health, Migration, NodeStatus, Rollback, Vm


@dataclass(frozen=True)
class Right:
    """What must hold in the store when an effect begins.

    Attributes:
        epoch: epoch of the claim of this node.
        claim_version: version of the claim's znode.
        record_version: version of the VM's desired record.
        enrolment: which one of this agent's the decision was made in. With a new ephemeral comes the question whether the
            node has a fence: what was decided before is not done any more.
    """

    epoch: int
    claim_version: int
    record_version: int
    enrolment: int = 0


@dataclass(frozen=True)
class EnsureVolumes:
    """Make the VM's volumes exist.

    Attributes:
        to_start: because the VM is to be started then; otherwise there is no hurry.
        barrier: Ceph's osdmap epoch that must be known before a volume is opened, 0 for none.
    """

    vm: str
    right: Right
    disks: tuple[Disk, ...]
    to_start: bool = True
    barrier: int = 0


@dataclass(frozen=True)
class StartDomain:
    """Start the VM's QEMU."""

    vm: str
    right: Right
    record: Vm


@dataclass(frozen=True)
class ShutdownDomain:
    """Ask the guest to power off."""

    vm: str
    right: Right
    uuid: str


@dataclass(frozen=True)
class DestroyDomain:
    """End the VM's QEMU at once, under this node's own claim."""

    vm: str
    right: Right
    uuid: str


@dataclass(frozen=True)
class ResumeDomain:
    """Let a guest that QEMU paused run on."""

    vm: str
    right: Right
    uuid: str


@dataclass(frozen=True)
class ChangeDomain:
    """Give the VM's running domain the hardware of its record, as far as that can be done while it runs."""

    vm: str
    right: Right
    record: Vm


@dataclass(frozen=True)
class MigrateDomain:
    """Move the running guest to the node that the claim names; it waits there, paused, for the claim to follow."""

    vm: str
    right: Right
    uuid: str
    to: str
    how: Migration


@dataclass(frozen=True)
class CancelMove:
    """Have libvirt call a move off that is under way: the guest runs on here.

    The one effect that is asked for while another one is under way for its VM. It gives no right to anybody: it is libvirt that
    decides whether the guest has left, and what the move itself returns says which.
    """

    vm: str
    right: Right
    uuid: str


@dataclass(frozen=True)
class ResetDomain:
    """Reset the guest at once, as its user has asked for. serial: Vm.reset, which its domain is marked with then."""

    vm: str
    right: Right
    uuid: str
    serial: int


@dataclass(frozen=True)
class GrowDisks:
    """Make disks of the running guest as large as they say; it sees that at once."""

    vm: str
    right: Right
    uuid: str
    disks: tuple[Disk, ...]


@dataclass(frozen=True)
class ArrangeSnapshots:
    """Make the VM's snapshots be these and no others.

    Attributes:
        snapshots: in the order in which they were asked for.
        uuid: of the domain that runs, empty while none does: it is held while a snapshot is being made.
        barrier: as in EnsureVolumes.
    """

    vm: str
    right: Right
    disks: tuple[Disk, ...]
    snapshots: tuple[DiskSnapshot, ...]
    uuid: str = ""
    barrier: int = 0

    @property
    def names(self) -> tuple[tuple[str, str], ...]:
        """Name and identity of each: what exists when this is done."""
        return tuple((one.name, one.id) for one in self.snapshots)


@dataclass(frozen=True)
class ReleaseDomain:
    """Let a guest go that an agent before this one has held for a snapshot."""

    vm: str
    right: Right
    uuid: str


@dataclass(frozen=True)
class RollBack:
    """Take the disks of a VM that does not run back to a snapshot.

    Attributes:
        owner: uuid of the VM. back: the volumes are marked with both, so that none is taken back twice.
        barrier: as in EnsureVolumes.
    """

    vm: str
    right: Right
    disks: tuple[Disk, ...]
    owner: str
    snapshot: DiskSnapshot
    back: Rollback
    barrier: int = 0

    @property
    def serial(self) -> int:
        return self.back.serial


@dataclass(frozen=True)
class AskUnasked:
    """Ask the guest to power off without asking the store, since the whole node is shutting down."""

    vm: str
    uuid: str


@dataclass(frozen=True)
class DestroyUnasked:
    """End a domain at once without asking the store, since no domain may stay on this node.

    Three reasons lead here: Ceph refuses this node (seen by an operation of its own and confirmed on a fresh connection),
    the node has a fence, or it is shutting down. It is safe without the store's word, also out of its sight: who may
    *run* a VM is what the store decides, and ending a QEMU never gives anybody a right. The worst that a wrong decision
    can do is what a crash of the guest does: it is started again, here or elsewhere, by somebody who holds its claim.
    And waiting is not safe for its surroundings: a guest without its disks keeps its processors and its addresses, while
    the next owner may have started it; and what Ceph has refused to it would be written after all when the cut is taken
    back.
    """

    vm: str
    uuid: str


@dataclass(frozen=True)
class DestroyStray:
    """End a domain that runs without a current claim of this node for the epoch it was started under."""

    vm: str
    uuid: str
    epoch: int


@dataclass(frozen=True)
class DeleteVolumes:
    """Remove the VM's volumes and all that is on them."""

    vm: str
    right: Right
    disks: tuple[Disk, ...]


@dataclass(frozen=True)
class HandOver:
    """Give the claim of a VM that does not run here to another node.

    Attributes:
        with_guest: its guest has been moved there, and waits.
    """

    vm: str
    right: Right
    to: str
    with_guest: bool = False


@dataclass(frozen=True)
class RemoveRecords:
    """Remove the records of a VM whose deletion is done."""

    vm: str
    right: Right


@dataclass(frozen=True)
class WriteStatus:
    """Publish what this node observes."""

    status: NodeStatus


@dataclass(frozen=True)
class Depart:
    """End this node's life in the store on purpose: the last status, with its sign-off, and the end of its ephemeral."""

    status: NodeStatus


@dataclass(frozen=True)
class WriteHealth:
    """Publish what this node sees of its services."""

    health: Health


#: Effects on one VM: while one is under way, no other is asked for.
VmEffect = (
    EnsureVolumes
    | StartDomain
    | ShutdownDomain
    | DestroyDomain
    | ResumeDomain
    | ChangeDomain
    | ResetDomain
    | GrowDisks
    | ArrangeSnapshots
    | ReleaseDomain
    | RollBack
    | MigrateDomain
    | CancelMove
    | AskUnasked
    | DestroyUnasked
    | DestroyStray
    | DeleteVolumes
    | HandOver
    | RemoveRecords
)
#: Effects on what this agent publishes: one of each kind is under way at a time.
Publication = WriteStatus | WriteHealth | Depart
Effect = VmEffect | Publication
