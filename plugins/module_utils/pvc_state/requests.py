# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user asks for. An option left out (UNSET) keeps its value; given as its default, it is reset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final

from .records import Boot, DiskLimits, FenceDevice, HostDevice, Vm


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


#: The option was not given.
UNSET: Final = Unset.UNSET

#: A disk may do what it can.
NO_LIMITS: Final = DiskLimits()


@dataclass(frozen=True)
class DiskRequest:
    """A disk as it is asked for.

    Attributes:
        size: bytes. None: the volume exists already; for a disk that the VM has, its size is kept.
        pool: Ceph pool.
        volume: name of the RBD image; empty: ``<vm>-disk<index>``.
        The others: as in records.Disk.
    """

    size: int | None = None
    pool: str = "vms"
    volume: str = ""
    bus: str = "virtio"
    cache: str = "writeback"
    discard: bool = True
    iothread: bool = False
    limits: DiskLimits = NO_LIMITS


@dataclass(frozen=True)
class NicRequest:
    """A network interface as it is asked for; an empty mac is derived from cluster, VM and index."""

    bridge: str
    mac: str = ""
    model: str = "virtio"
    link: bool = True


@dataclass(frozen=True)
class CpuRequest:
    """The processor as it is asked for: as in records.Cpu."""

    model: str | Unset = UNSET
    sockets: int | Unset = UNSET
    cores: int | Unset = UNSET
    threads: int | Unset = UNSET
    features: Mapping[str, str] | Unset = UNSET
    dedicated: bool | Unset = UNSET


@dataclass(frozen=True)
class DevicesRequest:
    """What else is built in, as it is asked for: as in records.Devices."""

    video: str | Unset = UNSET
    graphics: str | Unset = UNSET
    rng: bool | Unset = UNSET
    agent: bool | Unset = UNSET
    watchdog: str | Unset = UNSET
    tpm: bool | Unset = UNSET
    host: Sequence[str] | Unset = UNSET


@dataclass(frozen=True)
class HaRequest:
    """What happens when something fails, as it is asked for: as in records.Ha."""

    max_local_restarts: int | Unset = UNSET
    max_moves: int | Unset = UNSET
    priority: int | Unset = UNSET
    failback: bool | Unset = UNSET
    power_off: bool | Unset = UNSET


@dataclass(frozen=True)
class MigrationRequest:
    """How a VM gets to another node when it must, as it is asked for: as in records.Migration."""

    method: str | Unset = UNSET
    max_downtime: int | Unset = UNSET
    bandwidth: int | Unset = UNSET
    auto_converge: bool | Unset = UNSET
    post_copy: bool | Unset = UNSET


@dataclass(frozen=True)
class CloneRequest:
    """What a new VM is a copy of: another VM, as it is in one of its snapshots, or as it is while it is stopped."""

    vm: str
    snapshot: str = ""


@dataclass(frozen=True)
class VmRequest:
    """A VM as it is asked for.

    Attributes:
        state: one of records.WANTED, or an action: ``restarted`` or ``reset``; UNSET starts a new VM.
        node: name of a node that the VM is bound to; None leaves the choice to placement.
        disks, nics: the whole list, in order.
        delete_volumes: only with state absent.
        force: admit it although no room is left for the loss of a node.
        protected_tags: the whole list; they are tags, too. remove_tags: taken away, protected or not.
        clone_from: only looked at when the VM is created. like: what a new VM begins with, disks aside.
        new_name: what the VM is to be called; given alone.
        document: name of the document that it is to belong to.
        ha, migration, cpu, devices: what is left out in them keeps its value, too.
        The others: as in records.Vm.
    """

    name: str
    state: str | Unset = UNSET
    node: str | Unset | None = UNSET
    memory: int | Unset = UNSET
    vcpus: int | Unset = UNSET
    disks: Sequence[DiskRequest] | Unset = UNSET
    nics: Sequence[NicRequest] | Unset = UNSET
    boot: Boot | Unset = UNSET
    description: str | Unset = UNSET
    tags: Sequence[str] | Unset = UNSET
    shutdown_timeout: int | Unset = UNSET
    migration: MigrationRequest | Unset = UNSET
    ha: HaRequest | Unset = UNSET
    memory_max: int | Unset = UNSET
    vcpus_max: int | Unset = UNSET
    cpu: CpuRequest | Unset = UNSET
    devices: DevicesRequest | Unset = UNSET
    machine: str | Unset = UNSET
    firmware: str | Unset = UNSET
    secure_boot: bool | Unset = UNSET
    xml: str | Unset = UNSET
    delete_volumes: bool | Unset = UNSET
    placement: str | Unset = UNSET
    force: bool | Unset = UNSET
    protected_tags: Sequence[str] | Unset = UNSET
    remove_tags: Sequence[str] | Unset = UNSET
    metadata: Mapping[str, str] | Unset = UNSET
    autostart: bool | Unset = UNSET
    clone_from: CloneRequest | Unset = UNSET
    new_name: str | Unset = UNSET
    like: Vm | Unset = UNSET
    document: str | Unset = UNSET


@dataclass(frozen=True)
class SnapshotRequest:
    """A snapshot of a VM as it is asked for.

    Attributes:
        vm: name of the VM. name: of the snapshot.
        state: ``present``, ``absent`` or ``rolled_back``.
        The others: as in records.DiskSnapshot; ``at`` is by the clock of who asks.
    """

    vm: str
    name: str
    state: str = "present"
    at: str = ""
    series: str | Unset = UNSET
    keep: int | Unset = UNSET
    description: str | Unset = UNSET


@dataclass(frozen=True)
class DeadRequest:
    """An operator's word that a node is off: why they know, who they are, and when they say so, by their clock."""

    why: str
    by: str
    at: str = ""


@dataclass(frozen=True)
class NodeRequest:
    """A node as it is asked for.

    Attributes:
        state: ``present``, ``absent``, or one of records.NODE_STATES.
        fence, devices: the whole list, in order.
        declared_dead: only for a node that is fenced.
        document: as for a VM.
        return_vms: only with state ready: whether VMs that were moved away from it come back. False: they stay.
        The others: as in records.Node.
    """

    name: str
    state: str = "present"
    coordinator: bool | Unset = UNSET
    memory_reserve: int | Unset = UNSET
    fence: Sequence[FenceDevice] | Unset = UNSET
    fence_together: bool | Unset = UNSET
    devices: Sequence[HostDevice] | Unset = UNSET
    declared_dead: DeadRequest | Unset = UNSET
    return_vms: bool | Unset = UNSET
    document: str | Unset = UNSET


@dataclass(frozen=True)
class RuleRequest:
    """A rule as it is asked for.

    Attributes:
        state: ``present`` or ``absent``.
        kind: one of records.RULES. vms: the whole list, in any order.
        nodes: all nodes with their priorities, for node_preference.
        strict: as in records.Rule.
        document: as for a VM.
    """

    name: str
    state: str = "present"
    kind: str | Unset = UNSET
    vms: Sequence[str] | Unset = UNSET
    nodes: Mapping[str, int] | Unset = UNSET
    strict: bool | Unset = UNSET
    document: str | Unset = UNSET


@dataclass(frozen=True)
class SettingsRequest:
    """The cluster's settings as they are asked for: as in records.Settings.

    Attributes:
        ha_budget: the time that session_timeout is derived from, see ha_budget; never together with it.
    """

    maintenance: bool | Unset = UNSET
    shutdown_policy: str | Unset = UNSET
    placement: str | Unset = UNSET
    evidence: Sequence[str] | Unset = UNSET
    rejoin: str | Unset = UNSET
    session_timeout: float | Unset = UNSET
    ha_budget: float | Unset = UNSET
    boot_grace: float | Unset = UNSET
    storm_limit: int | Unset = UNSET
    early_suspicion: bool | Unset = UNSET
    vcpu_ratio: float | Unset = UNSET
    spare_nodes: int | Unset = UNSET
    parallel_moves: int | Unset = UNSET
    rebalance: bool | Unset = UNSET
    rebalance_threshold: float | Unset = UNSET


#: What can be asked for of where a VM is.
MOVES: Mapping[str, str] = MappingProxyType(
    {
        "moved": "it goes to another node",
        "back": "it returns to its home",
        "cancelled": "it is not moved any more, and stays where it is",
    }
)


@dataclass(frozen=True)
class MoveRequest:
    """A VM that is to go to another node now, or is not to go any more.

    Attributes:
        to: the node; empty: the best of the others. Only with state moved.
        state: one of MOVES.
        method: ``live``, or ``cold``: stopped for that, although it could move while it runs; empty: the VM's own.
        home: ``remember`` the node where it is at home, to which it can return, or ``forget`` it; empty: forget it,
            unless that is just being emptied.
        force: although its migration.method is none.
        why: for what reason; empty: a user wants it there.
    """

    name: str
    to: str = ""
    state: str = "moved"
    method: str = ""
    home: str = ""
    force: bool = False
    why: str = ""
