# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of the tree: immutable, and nothing but data. docs/state.md says who writes which.

Those of VMs, of fencing and of commits are in files of their own; all of them are known by this one's name.

Desired records carry a generation: every change by a user adds one, and an agent's status names the generation that it
has made true. Comparing the two is how anybody knows that a change took effect, without comparing clocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from .commit_records import CHANGED, Author, Change, Commit
from .fence_records import (
    EVIDENCE,
    FENCE_DEVICES,
    FENCE_STATES,
    Declaration,
    Evidence,
    Fence,
    FenceDevice,
    Past,
    SignOff,
    sign_off,
    surely_off,
)
from .vm_records import (
    MIGRATION_METHODS,
    OBSERVED,
    WANTED,
    Boot,
    Claim,
    Cpu,
    Devices,
    Disk,
    DiskLimits,
    DiskSnapshot,
    Ha,
    Migration,
    Nic,
    Rollback,
    Vm,
    VmStatus,
)

__all__ = [
    "CHANGED",
    "EVIDENCE",
    "FENCE_DEVICES",
    "FENCE_STATES",
    "MIGRATION_METHODS",
    "NODE_STATES",
    "OBSERVED",
    "PLACEMENTS",
    "RULES",
    "SCHEMA_SUPPORTED",
    "SCHEMA_VERSION",
    "SHUTDOWN_POLICIES",
    "WANTED",
    "Alive",
    "Author",
    "Boot",
    "Change",
    "Claim",
    "Commit",
    "Cpu",
    "Declaration",
    "Devices",
    "Disk",
    "DiskLimits",
    "DiskSnapshot",
    "Evidence",
    "Fence",
    "FenceDevice",
    "Ha",
    "Health",
    "HostDevice",
    "Journal",
    "Leader",
    "Migration",
    "Nic",
    "Node",
    "NodeStatus",
    "Past",
    "Rollback",
    "Rule",
    "Schema",
    "Service",
    "Settings",
    "SignOff",
    "Vm",
    "VmStatus",
    "sign_off",
    "surely_off",
]

#: Schema versions that this software reads and writes.
SCHEMA_VERSION = 1
SCHEMA_SUPPORTED = range(1, 2)


@dataclass(frozen=True)
class Schema:
    """/schema: which cluster this tree belongs to, and which version its records are of."""

    version: int
    cluster: str
    id: str


#: What users may want of a node.
NODE_STATES: Mapping[str, str] = MappingProxyType(
    {
        "ready": "it takes VMs",
        "drained": "its VMs are moved away, and none is placed on it",
        "maintenance": "the same, and once it is empty nobody is worried when it goes down",
    }
)


@dataclass(frozen=True)
class HostDevice:
    """A device of a node that one VM at a time can have.

    Attributes:
        name: the same on every node that has one like it: VMs ask for it by this name.
        kind: ``pci`` or ``usb``.
        address: for pci ``0000:65:00.0``; for usb ``VENDOR:PRODUCT`` in hexadecimal digits.
    """

    name: str
    kind: str
    address: str


@dataclass(frozen=True)
class Node:
    """/nodes/NAME: a machine that belongs to the cluster, as its administrator declared it.

    Attributes:
        coordinator: runs the quorum services.
        memory_reserve: MiB that no VM may be given: for the host and its daemons.
        generation: number of changes by users.
        state: one of NODE_STATES.
        fence: its fence devices.
        fence_together: it is off only when all of them say so (several power supplies); otherwise one is enough, and
            they are tried in order.
        devices: what of its hardware VMs may ask for.
        document: name of the document that it belongs to; empty for none.
    """

    coordinator: bool = False
    memory_reserve: int = 1024
    generation: int = 1
    state: str = "ready"
    fence: tuple[FenceDevice, ...] = ()
    fence_together: bool = False
    devices: tuple[HostDevice, ...] = ()
    document: str = ""


#: How a node that shuts down cleanly treats its VMs.
SHUTDOWN_POLICIES: Mapping[str, str] = MappingProxyType(
    {
        "conditional": "a reboot stops them, and they start there again; a shutdown stops them, and they start elsewhere",
        "freeze": "they are stopped, and start there again",
        "failover": "they are stopped, and start elsewhere",
        "migrate": "they are moved away first, and return when the node is back",
    }
)

#: What decides between nodes that all may run a VM.
PLACEMENTS: Mapping[str, str] = MappingProxyType(
    {
        "free_memory": "the most memory that no VM holds",
        "fewest_vms": "the fewest VMs",
        "configured_size": "the lowest share of processors and memory that is given away",
        "free_share": "the largest share of memory that no VM holds",
        "fewest_vcpus": "the fewest vCPUs of VMs for each processor",
        "measured_load": "the least that its VMs really use of processors and memory",
        "balanced": "the best balance of memory, vCPUs and number of VMs",
    }
)


@dataclass(frozen=True)
class Settings:
    """/settings: policy of the whole cluster. All times in seconds.

    Attributes:
        maintenance: no node is fenced, and no VM recovered.
        shutdown_policy: one of SHUTDOWN_POLICIES. placement: one of PLACEMENTS.
        evidence: the kinds of EVIDENCE of which one suffices. What a node or an operator says itself always does.
        rejoin: state of a node that comes back after a fence: ``ready`` or ``drained``.
        session_timeout: how long a node may be silent before it counts as dead.
        boot_grace: how long a node that nobody has seen alive since the leader's agent started may stay away.
        storm_limit: how many nodes may be fenced at the same time; 0: fewer than half of all.
        early_suspicion: whether a majority of neighbours may have a node fenced before its session has ended.
        vcpu_ratio: vCPUs that a node may be given for each of its processors; 0: any number.
        spare_nodes: how many nodes may be lost with room left for all VMs: what would leave less is not admitted
            unless it is forced.
        parallel_moves: how many VMs the leader has on their way to other nodes at the same time.
        rebalance: whether the leader moves VMs by itself to spread them better.
        rebalance_threshold: the share of the spread (0 to 1) that such moves must gain together; a single one gains the
            share of two nodes of it.
        generation: number of changes by users.
    """

    maintenance: bool = False
    shutdown_policy: str = "migrate"
    placement: str = "free_memory"
    evidence: tuple[str, ...] = ("storage_cut", "powered_off")
    rejoin: str = "ready"
    session_timeout: float = 6.0
    boot_grace: float = 120.0
    storm_limit: int = 0
    early_suspicion: bool = False
    vcpu_ratio: float = 0.0
    spare_nodes: int = 1
    parallel_moves: int = 8
    rebalance: bool = False
    rebalance_threshold: float = 0.1
    generation: int = 1


#: Kinds of rules.
RULES = ("node_preference", "together", "apart")


@dataclass(frozen=True)
class Rule:
    """/rules/NAME: where VMs may run.

    Attributes:
        kind: one of RULES. vms: names of the VMs that it is about.
        nodes: for node_preference: nodes with their priorities; the highest that is up is preferred.
        strict: for node_preference: never on any other node. The other kinds are always strict.
        document: name of the document that it belongs to; empty for none.
    """

    kind: str
    vms: tuple[str, ...]
    nodes: Mapping[str, int] = field(default_factory=dict)
    strict: bool = False
    generation: int = 1
    document: str = ""


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
class Leader:
    """/leader: ephemeral of the agent that leads. Its epoch is the version of /epoch that it has written."""

    node: str
    instance: str


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
        cpu_model: what libvirt's ``host-model`` is here; empty where that is not known.
        cpu_models: named CPU models that guests can have here, sorted.
        cpu_default: what a guest gets here whose VM names no model: ``host-model``, ``host-passthrough`` or a model.
        load: processors that its VMs use, in whole ones, and load_memory: MiB that they use; coarse, so that an idle
            cluster changes nothing here.
        storage_address: the address that Ceph sees its clients come from; empty while that is not known.
        storage_cut: whether Ceph refuses its clients.
        leaving: while the node shuts down: what becomes of its VMs, one of SHUTDOWN_POLICIES; empty otherwise.
        signed_off: what it declared when its session ended on purpose. Gone with the next session.
        clean: Fence.id of its own fence, once no QEMU runs here that was started before it.
    """

    agent: str
    boot_id: str = ""
    memory: int = 0
    cpus: int = 0
    pools: tuple[str, ...] = ()
    bridges: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    vms: Mapping[str, VmStatus] = field(default_factory=dict)
    cpu_model: str = ""
    cpu_models: tuple[str, ...] = ()
    cpu_default: str = ""
    load: int = 0
    load_memory: int = 0
    storage_address: str = ""
    storage_cut: bool = False
    leaving: str = ""
    signed_off: SignOff | None = None
    clean: str = ""


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
