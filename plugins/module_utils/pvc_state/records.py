# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of the tree: immutable, and nothing but data. docs/state.md says who writes which.

Desired records carry a generation: every change by a user adds one, and an agent's status names the generation that it
has made true. Comparing the two is how anybody knows that a change took effect, without comparing clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

#: Schema versions that this software reads and writes.
SCHEMA_VERSION = 1
SCHEMA_SUPPORTED = range(1, 2)

#: What a user may want of a VM. ``absent`` is a deletion that its owner's agent has yet to finish.
WANTED = ("started", "stopped", "disabled", "absent")

#: What an agent reports of a VM, with what each means.
OBSERVED: Mapping[str, str] = MappingProxyType(
    {
        "starting": "its disks are being opened or its QEMU is being started",
        "running": "its QEMU runs",
        "stopping": "the guest was asked to power off, or is being destroyed",
        "stopped": "no QEMU runs, as wanted",
        "backoff": "it crashed or did not start; the agent tries again after a pause",
        "failed": "the agent has given up until the VM's desired state changes",
        "deleting": "its volumes and its records are being removed",
    }
)


@dataclass(frozen=True)
class Schema:
    """/schema: which cluster this tree belongs to, and which version its records are of."""

    version: int
    cluster: str
    id: str


@dataclass(frozen=True)
class Node:
    """/nodes/NAME: a machine that belongs to the cluster, as its administrator declared it.

    Attributes:
        coordinator: runs the quorum services.
        memory_reserve: MiB that no VM may be given: for the host and its daemons.
        generation: number of changes by users.
    """

    coordinator: bool = False
    memory_reserve: int = 1024
    generation: int = 1


@dataclass(frozen=True)
class Disk:
    """A disk of a VM: an RBD volume.

    Attributes:
        pool: Ceph pool.
        volume: name of the RBD image, unique in its pool.
        size: bytes of a volume that the agent creates if it is missing; None for one that must exist already.
    """

    pool: str
    volume: str
    size: int | None = None


@dataclass(frozen=True)
class Nic:
    """A network interface of a VM on a bridge of its host."""

    bridge: str
    mac: str
    model: str = "virtio"


@dataclass(frozen=True)
class Boot:
    """Direct kernel boot: files on the node. All empty: the VM boots from its first disk."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""


@dataclass(frozen=True)
class Vm:
    """/vms/NAME: what users want of a VM.

    Attributes:
        uuid: libvirt's id of the domain, the same for the VM's whole life.
        state: one of WANTED.
        node: the node that it is bound to by its user; None leaves the choice to placement.
        memory: MiB. vcpus: count.
        shutdown_timeout: seconds that a guest gets to power off before it is destroyed.
        delete_volumes: with state absent: remove its volumes too.
        generation: number of changes by users.
        definition: generation at which the virtual hardware (memory, vcpus, disks, nics, boot) last changed.
            A running VM has what was defined when it was started: VmStatus.definition.
    """

    uuid: str
    memory: int
    vcpus: int = 1
    state: str = "started"
    node: str | None = None
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    boot: Boot = Boot()
    description: str = ""
    tags: tuple[str, ...] = ()
    shutdown_timeout: int = 90
    delete_volumes: bool = False
    generation: int = 1
    definition: int = 1


@dataclass(frozen=True)
class Claim:
    """/claims/VM: the node that may run the VM. The epoch grows by one whenever the claim changes hands."""

    node: str
    epoch: int


@dataclass(frozen=True)
class Alive:
    """/alive/NODE: what a node's agent says with its session.

    Attributes:
        boot_id: the kernel's id of this boot of the node.
        instance: random id of the agent process.
    """

    boot_id: str
    instance: str


@dataclass(frozen=True)
class VmStatus:
    """What an agent reports of one VM that it holds the claim of.

    Attributes:
        state: one of OBSERVED.
        epoch: epoch of the claim that it acts under.
        generation: generation of the desired record that is true now; while a change is under way, the last one.
            What takes effect only at the next start does not hold it back: ``definition`` says that.
        reason: one sentence: why it is in this state.
        restarts: starts after a crash or failed start since the desired record last changed.
        console: path of the serial console's log on the node.
        definition: Vm.definition that the running QEMU was started with; 0 while none runs.
    """

    state: str
    epoch: int
    generation: int
    reason: str = ""
    restarts: int = 0
    console: str = ""
    definition: int = 0


@dataclass(frozen=True)
class Journal:
    """/journal, while a plan too large for one transaction is being carried out; empty otherwise.

    Attributes:
        transaction: name below /staged of the plan.
        chunks: number of its chunks. next: the first one that is not carried out yet.
    """

    transaction: str
    chunks: int
    next: int = 0


@dataclass(frozen=True)
class NodeStatus:
    """/status/NODE: what a node's agent reports, written only when it changes.

    Attributes:
        agent: version of the agent. boot_id: the kernel's id of this boot.
        memory: MiB of the machine. cpus: online processors.
        pools: Ceph pools that the node can reach. bridges: bridge devices that it has.
        addresses: its address in each of the cluster's networks, by network name.
        vms: what it reports of each VM that it holds the claim of.
    """

    agent: str
    boot_id: str = ""
    memory: int = 0
    cpus: int = 0
    pools: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    vms: Mapping[str, VmStatus] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """What an agent sees of one service, or of one part of it, on its own node.

    Attributes:
        kind: ``zookeeper``, ``patroni``, ``ceph`` or ``frr``.
        name: unique within the kind and the node: ``zookeeper``, ``osd.0``, the address of a neighbour.
        state: one word or two. role: what it is among its like, such as ``leader``; empty where there are no roles.
        healthy: whether it is as it should be, as far as one node can tell.
        why: one sentence: why it is not healthy; empty when it is.
        since: when it came into this state, by the node's own clock (ISO 8601, UTC): for people, never compared.
        details: what else matters, by name; so coarse that an idle cluster changes nothing here.
    """

    kind: str
    name: str
    state: str
    role: str = ""
    healthy: bool = True
    why: str = ""
    since: str = ""
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Health:
    """/health/NODE: what a node's agent sees of the services on it, written only when it changes.

    Attributes:
        instance: Alive.instance of the process that looked. Of any other process, this is what once was.
        since: when that process began, by the node's own clock.
        services: all that run there, or should.
    """

    instance: str
    since: str = ""
    services: tuple[Service, ...] = ()
