# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam to everything outside but the store, which has its own protocol in ``pvc_state.store``.

Calls block and raise EffectFailed; the daemon makes them from worker threads, a simulator makes them at once. What
happens by itself arrives as events.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from pvc_state.records import Disk, DiskSnapshot, FenceDevice, HostDevice, Migration, Vm

from .events import Event
from .view import Sentence

Post = Callable[[Event], None]
#: Holds a guest still while a snapshot is being made.
Hold = Callable[[], AbstractContextManager[None]]


class EffectFailed(Exception):
    """The outside world refused; the text is one sentence that says what and why, and what would help."""


class NotAnswering(EffectFailed):
    """What the effect needs does not answer: that says nothing about the VM."""


class Clock(Protocol):
    """The agent's own clock."""

    def now(self) -> float:
        """Seconds since some moment in the past; also counts while the machine sleeps."""


class Hypervisor(Protocol):
    """The domains of this node. When a call returns, the events that tell of its effect have been posted."""

    def start(self, vm: str, record: Vm, epoch: int, host_devices: tuple[HostDevice, ...] = ()) -> None:
        """Start a transient domain for the VM, marked with the claim's epoch.

        Args:
            host_devices: of this node, those that the record names.
        """

    def change_hardware(self, vm: str, uuid: str, record: Vm) -> None:
        """Give a running domain the hardware of the record, as far as that can be done while it runs.

        What has to wait for the next start is in Domain.pending then. Fails as long as the guest holds on to a disk or an
        interface that is to be taken away; all else is done then. May be repeated, and goes on where it ended.
        """

    def forget(self, vm: str, record: Vm) -> None:
        """Remove what this node keeps of a VM that is deleted: variables of its firmware, content of its TPM. May fail silently."""

    def shutdown(self, vm: str, uuid: str) -> None:
        """Ask the guest to power off. A domain that is gone is fine."""

    def destroy(self, vm: str, uuid: str) -> None:
        """End the domain at once. A domain that is gone is fine."""

    def resume(self, vm: str, uuid: str) -> str:
        """Let a paused domain run on; one that was paused before it was moved here stays so.

        Returns how it came here, in words, if it has been moved here and that is known.
        """

    def reset(self, vm: str, uuid: str, serial: int) -> None:
        """Reset the guest at once, and mark its domain with the serial. A domain that is gone is fine."""

    def grow(self, vm: str, uuid: str, disks: Sequence[Disk]) -> None:
        """Make disks of a running guest larger, and their volumes with them. A domain that is gone is fine."""

    def hold(self, vm: str, uuid: str, several: bool) -> AbstractContextManager[None]:
        """Within it, the guest writes nothing that a snapshot of its disks, one after the other, could tear apart.

        Its file systems are frozen where its own agent answers; otherwise it is paused if it has several disks. At the end it
        goes on, whatever has happened; raises EffectFailed if it has not been held all the time.
        """

    def release(self, vm: str, uuid: str) -> None:
        """Let a guest go on that a process that has ended meanwhile has held."""

    def migrate(self, vm: str, uuid: str, to: str, address: str, epoch: int, how: Migration) -> str:
        """Move the guest to another node while it runs; returns when it is there and gone here. Has a deadline.

        It arrives marked with the epoch, and paused (DomainState.ARRIVED): the agent there lets it run on once the claim
        has followed, so that no broken connection can leave it running on both nodes. On failure it runs on here. Of a
        move that is already under way, such as one that an agent before this one began, the end is awaited.

        Args:
            to: name of the target. address: its own in the network of the cluster.

        Returns:
            The node where it is: not the one named here, if a move was under way that went elsewhere.
        """

    def cancel_move(self, vm: str, uuid: str) -> None:
        """Call a move off that is under way: it fails, unless its guest has left. Without one there is nothing to do."""


class Storage(Protocol):
    """The volumes of VMs."""

    def ensure(self, disks: Sequence[Disk], barrier: int) -> None:
        """Make the volumes exist, and be as large as they are to be.

        What is missing is made a copy of its source or, without one, created if the disk says how large; it fails otherwise.

        Args:
            barrier: Ceph's osdmap epoch that must be known before a volume is opened; fails when it is not in time.
        """

    def remove(self, disks: Sequence[Disk]) -> None:
        """Remove the volumes, and the snapshots that arrange() has made of them. One that is gone is fine."""

    def arrange(self, disks: Sequence[Disk], snapshots: Sequence[DiskSnapshot], hold: Hold, barrier: int) -> None:
        """Make the snapshots of the volumes be these and no others; those that others have made are left alone.

        Each is made of all volumes within ``hold()``, or of none: what was left half made is removed first, and so is what has
        one's name with another identity.
        """

    def roll_back(self, disks: Sequence[Disk], owner: str, snapshot: DiskSnapshot, mark: str, barrier: int) -> None:
        """Take the volumes back to a snapshot, unless the owner's last mark is this one. Nothing may use them."""


class CephFence(Protocol):
    """What the leader asks of Ceph. Each call has a deadline and may be repeated."""

    def cut(self, addresses: Sequence[str]) -> int:
        """Refuse every client on the addresses, without expiry; returns the osdmap epoch that holds all of it."""

    def restore(self, addresses: Sequence[str]) -> None:
        """Undo cut(). What is not there is fine."""

    def mark_down(self, node: str) -> str:
        """Mark the OSDs of a node down at once; returns in words which."""


class PowerFence(Protocol):
    """What the leader asks of fence devices. Each call has a deadline and may be repeated."""

    def off(self, device: FenceDevice) -> str:
        """Order the node off and read back; returns what the device read back, in words. Raises unless that is off."""

    def status(self, device: FenceDevice) -> str:
        """``on`` or ``off``, as the device reads it."""


class Voice(Protocol):
    """Where the agent says what it does and why."""

    def say(self, sentence: Sentence) -> None:
        """Record a decision."""

    def trouble(self, text: str) -> None:
        """Record what went wrong with the agent itself or its surroundings."""
