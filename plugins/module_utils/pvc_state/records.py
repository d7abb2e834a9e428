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

#: What a user may want of a VM.
WANTED: Mapping[str, str] = MappingProxyType(
    {
        "started": "it runs, and runs elsewhere when its node dies",
        "stopped": "it is off, and gets another node when its node dies",
        "disabled": "it is off, and stays where it is; also the way out of a failure",
        "ignored": "whatever it does now is left as it is, whatever happens",
        "absent": "a deletion that its owner's agent has yet to finish",
    }
)

#: What an agent reports of a VM, with what each means.
OBSERVED: Mapping[str, str] = MappingProxyType(
    {
        "starting": "its disks are being opened or its QEMU is being started",
        "running": "its QEMU runs",
        "stopping": "the guest was asked to power off, or is being destroyed",
        "stopped": "no QEMU runs, as wanted",
        "backoff": "it crashed or did not start; the agent tries again after a pause",
        "failed": "the agent has given up until the VM's desired state changes, or the VM is moved",
        "moving": "its guest is being moved to another node while it runs",
        "frozen": "its node has shut down cleanly, and will start it again",
        "deleting": "its volumes and its records are being removed",
    }
)


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

#: Kinds of devices that can take a node's power, and kinds of evidence that its VMs cannot write any more.
FENCE_DEVICES = ("ipmi", "redfish")
EVIDENCE: Mapping[str, str] = MappingProxyType(
    {
        "storage_cut": "Ceph refuses every client on the node's addresses",
        "powered_off": "its fence devices read back that it is off",
        "signed_off": "its agent wrote, before it ended its session, that no VM runs there",
        "declared_dead": "an operator vouches that it is off",
    }
)


@dataclass(frozen=True)
class FenceDevice:
    """A device that can take a node's power.

    Attributes:
        name: unique within the node.
        kind: one of FENCE_DEVICES.
        address: host name or address, with a port where it is not the usual one; for redfish a URL.
        username: as whom to log in.
        credential: name of the file on the coordinators that holds the password; never the password itself.
        options: what the kind knows beside that, such as ``cipher_suite`` or ``system``.
    """

    name: str
    kind: str
    address: str
    username: str = ""
    credential: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


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
    """

    coordinator: bool = False
    memory_reserve: int = 1024
    generation: int = 1
    state: str = "ready"
    fence: tuple[FenceDevice, ...] = ()
    fence_together: bool = False


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
    """

    kind: str
    vms: tuple[str, ...]
    nodes: Mapping[str, int] = field(default_factory=dict)
    strict: bool = False
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
class Ha:
    """What happens to a VM when something fails.

    Attributes:
        max_local_restarts: how often it is started again on the same node after it crashed or did not start, before it
            is moved; -1: for ever.
        max_moves: how many other nodes are tried then.
        priority: the higher goes first when a node's VMs are recovered.
        failback: whether it returns to a node that is preferred to the one that it runs on.
        power_off: whether a storage cut is not enough evidence for it, since it uses more than Ceph.
    """

    max_local_restarts: int = 3
    max_moves: int = 1
    priority: int = 0
    failback: bool = True
    power_off: bool = False


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
        live: whether it can be moved while it runs; otherwise it is stopped, moved and started.
        ha: what happens when something fails.
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
    live: bool = True
    ha: Ha = Ha()


@dataclass(frozen=True)
class Claim:
    """/claims/VM: the node that may run the VM.

    Attributes:
        node: the owner. epoch: grows by one whenever the claim changes hands.
        to: the node that the owner is to move the VM to, empty for none. The owner gives the claim to it when the guest
            runs there or nothing of it runs any more; ``/assigned`` lists the VM for both.
        why: for what reason it is to be moved, in words.
        cold: it is stopped, moved and started, although its guest could be moved while it runs.
        barrier: Ceph's osdmap epoch that must be known before its volumes are opened: the one that cuts off the last
            owner. 0 for none.
        home: the node that it returns to when that takes VMs again, empty for none.
        tried: nodes on which it did not start. generation: of the record that ``tried`` belongs to.
        with_guest: the epoch with which the last owner has handed over its guest, too. While that is this epoch, a guest
            that waits at the owner, paused, may run on; otherwise the last owner's may have run on, and it is out of date.
    """

    node: str
    epoch: int
    to: str = ""
    why: str = ""
    cold: bool = False
    barrier: int = 0
    home: str = ""
    tried: tuple[str, ...] = ()
    generation: int = 0
    with_guest: int = 0


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
class SignOff:
    """What a node's agent declares before it ends its session on purpose: no QEMU of any VM runs here.

    Attributes:
        recover: whether its VMs are to run elsewhere; otherwise they wait for its return.
        why: in words.
        back: whether it returns by itself: it reboots. Its VMs then return too.
    """

    recover: bool
    why: str
    back: bool = False


@dataclass(frozen=True)
class Evidence:
    """One way to make sure that a node cannot write any more, and how far it has come.

    Attributes:
        kind: one of EVIDENCE. device: name of the fence device, for powered_off.
        state: ``collecting``, ``proven`` or ``failed``; what failed is tried again.
        why: in words. at: of the last change, by the leader's clock: for people.
        epoch: for storage_cut: Ceph's osdmap epoch that holds it.
    """

    kind: str
    state: str
    why: str = ""
    device: str = ""
    at: str = ""
    epoch: int = 0


#: States of a fence, in order.
FENCE_STATES: Mapping[str, str] = MappingProxyType(
    {
        "held": "the node is gone, but nothing is done about it yet: ``why`` says for what reason",
        "collecting": "evidence is being collected",
        "proven": "the node cannot write any more: its VMs are recovered",
        "lifting": "the node is back and clean: the storage cut is being removed",
    }
)


@dataclass(frozen=True)
class Fence:
    """/fences/NODE: a node that is gone, what proves it, and what became of its VMs. Written by the leader alone.

    It can only be created while the node has no session, in one transaction with that fact. So an enrolled agent either
    knows the fence of its node or there is none.

    Attributes:
        id: unique: the node, the leader's epoch and its clock.
        state: one of FENCE_STATES. why: what made the leader create or hold it, in words.
        instance, boot_id: whose session has ended; empty where nobody has seen one.
        addresses: of the node in all networks: what a storage cut refuses.
        evidence: one per kind, and per device.
        proven_by: kind of the evidence that was sufficient first.
        epoch: Ceph's osdmap epoch of the storage cut, 0 while there is none.
        cut: whether a storage cut was ordered: it must be undone when the fence is lifted.
        doubted: whether its session lived when the fence began.
        moves: where each VM went and why, by VM. waiting: why a VM has no node yet, by VM.
        since, proven_at: by the leader's clock: for people.
    """

    id: str
    state: str
    why: str
    instance: str = ""
    boot_id: str = ""
    addresses: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    proven_by: str = ""
    epoch: int = 0
    cut: bool = False
    doubted: bool = False
    moves: Mapping[str, str] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)
    since: str = ""
    proven_at: str = ""


@dataclass(frozen=True)
class Declaration:
    """/declared/NODE: an operator vouches that a node is off. Holds for one fence only.

    Attributes:
        fence: Fence.id that it answers; ``sign-off-`` and the version of its status for a node that has signed off and
            does not come back. by: who. why: how they know. at: by their clock.
    """

    fence: str
    by: str
    why: str
    at: str = ""


def sign_off(version: int) -> str:
    """What a declaration names instead of a fence: the status, at its version, with which a node has signed off."""
    return f"sign-off-{version}"


@dataclass(frozen=True)
class Past:
    """/history/ID: a fence that is over. The leader keeps the newest hundred.

    Attributes:
        node: whose. fence: as it was at its end. ended: by the leader's clock. how: how it ended, in words.
        created, changed: ZooKeeper's transactions that wrote it first and last; filled in as it is written here.
    """

    node: str
    fence: Fence
    ended: str
    how: str
    created: int = 0
    changed: int = 0


@dataclass(frozen=True)
class VmStatus:
    """What an agent reports of one VM that it holds the claim of.

    Attributes:
        state: one of OBSERVED.
        epoch: epoch of the claim that it acts under.
        generation: generation of the desired record that is true now; while a change is under way, the last one.
            What takes effect only at the next start does not hold it back: ``definition`` says that.
            Of a VM in state ``failed``: the one that the agent has given up on, so that a change is told from it.
        reason: one sentence: why it is in this state.
        restarts: starts after a crash or failed start since the desired record last changed.
        console: path of the serial console's log on the node.
        definition: Vm.definition that the running QEMU was started with; 0 while none runs.
        refused: Claim.to that the agent has given up on: the move failed, ``reason`` says why.
    """

    state: str
    epoch: int
    generation: int
    reason: str = ""
    restarts: int = 0
    console: str = ""
    definition: int = 0
    refused: str = ""


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
