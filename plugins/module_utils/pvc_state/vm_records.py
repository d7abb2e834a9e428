# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of VMs: what users want of one, who may run it, and what its agent reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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


#: How the reason of a VM begins whose guest libvirt neither moves nor gives back.
STUCK = "libvirt has not moved it"


@dataclass(frozen=True)
class DiskLimits:
    """What a disk may do each second, 0 for no limit."""

    read_iops: int = 0
    write_iops: int = 0
    read_bytes: int = 0
    write_bytes: int = 0


@dataclass(frozen=True)
class Disk:
    """A disk of a VM: an RBD volume.

    Attributes:
        pool: Ceph pool.
        volume: name of the RBD image, unique in its pool.
        size: bytes of a volume that the agent creates if it is missing; None for one that must exist already.
        source: ``POOL/VOLUME`` or ``POOL/VOLUME@SNAPSHOT#ID``: what a volume that is missing is made a copy of. The id is
            that of DiskSnapshot, and missing for one that had none.
        bus: virtio, scsi or sata. cache: none, writeback or writethrough.
        discard: whether what the guest discards is given back. iothread: whether it has a thread of its own.
        limits: what the guest may do with it.
    """

    pool: str
    volume: str
    size: int | None = None
    source: str = ""
    bus: str = "virtio"
    cache: str = "writeback"
    discard: bool = True
    iothread: bool = False
    limits: DiskLimits = DiskLimits()


@dataclass(frozen=True)
class Nic:
    """A network interface of a VM on a bridge of its host. link: whether its cable is plugged in."""

    bridge: str
    mac: str
    model: str = "virtio"
    link: bool = True


@dataclass(frozen=True)
class Boot:
    """Direct kernel boot: files on the node. All empty: the VM boots from its first disk."""

    kernel: str = ""
    initrd: str = ""
    cmdline: str = ""


@dataclass(frozen=True)
class Cpu:
    """The processor that a guest sees, in libvirt's terms.

    Attributes:
        model: a named model, ``host-model`` or ``host-passthrough``; empty: what the node's configuration says.
        sockets, cores, threads: its topology, all of them or none; none: a socket for each vCPU.
        features: by name, ``require`` or ``disable``.
        dedicated: each vCPU has a processor of its node to itself.
    """

    model: str = ""
    sockets: int = 0
    cores: int = 0
    threads: int = 0
    features: Mapping[str, str] = field(default_factory=dict)
    dedicated: bool = False


@dataclass(frozen=True)
class Devices:
    """What else is built into a VM.

    Attributes:
        video: model of the graphics card: virtio, vga, qxl, or none. graphics: vnc, spice or none: how its screen is
            reached; it listens on the node's loopback only.
        rng: a source of random numbers. agent: a channel for the guest agent.
        watchdog: what happens when the guest stops feeding it: reset, poweroff, pause, or none for no watchdog.
        tpm: an emulated TPM 2.0. Its content is on the node: it moves with a guest that moves while it runs, and is
            lost with its node.
        host: names of devices of the node (HostDevice.name) that it has.
    """

    video: str = "none"
    graphics: str = "none"
    rng: bool = True
    agent: bool = True
    watchdog: str = "none"
    tpm: bool = False
    host: tuple[str, ...] = ()


#: How a VM can get to another node.
MIGRATION_METHODS: Mapping[str, str] = MappingProxyType(
    {
        "live": "while it runs",
        "shutdown": "it is stopped, moved and started",
        "none": "it is not moved; only when its node dies it runs elsewhere",
    }
)


@dataclass(frozen=True)
class Migration:
    """How a VM gets to another node when it must.

    Attributes:
        method: one of MIGRATION_METHODS.
        max_downtime: milliseconds that the guest may stand still at the end. bandwidth: MiB/s, 0 for no limit.
        auto_converge: slow a guest down that changes its memory faster than it can be sent.
        post_copy: let it run on at the target before its memory has arrived. Refused: it cannot wait for its claim.
    """

    method: str = "live"
    max_downtime: int = 300
    bandwidth: int = 0
    auto_converge: bool = True
    post_copy: bool = False


@dataclass(frozen=True)
class DiskSnapshot:
    """The state of all disks of a VM at one moment. The agent makes it exist, and removes what is not wanted any more.

    Attributes:
        name: unique within the VM. at: when it was asked for, by the clock of who asked: for people.
        keep: how many of those with the same ``series`` are kept, the newest; 0: it stays until it is removed.
        id: tells it from every other that has had its name. disks: the volumes (``POOL/VOLUME``) that it is to be of.
    """

    name: str
    at: str = ""
    series: str = ""
    keep: int = 0
    description: str = ""
    id: str = ""
    disks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rollback:
    """The disks are to be as they were in a snapshot.

    Attributes:
        serial: grows with each rollback of the VM that is asked for.
        id: tells it from every other, also from those of a VM that had the name before.
    """

    snapshot: str
    serial: int
    id: str = ""

    @property
    def mark(self) -> str:
        """What the volumes keep of it when it is done."""
        return self.id or str(self.serial)


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
        definition: generation at which its virtual hardware last changed. A running VM gets of it what can be changed
            while it runs; the rest waits for its next start: VmStatus.definition and pending.
        migration: how it gets to another node when it must.
        ha: what happens when something fails.
        memory_max, vcpus_max: to which it can grow while it runs; 0: not beyond what it has.
        cpu, devices: its processor, and what else is built in.
        machine: libvirt's machine type; empty: what the node's configuration says.
        firmware: ``bios`` or ``uefi``. secure_boot: with uefi: only what is signed is booted.
        xml: a fragment of libvirt's domain XML, laid over what is made from the options.
        placement: one of PLACEMENTS for this VM; empty: what the cluster's settings say.
        autostart: started when its node takes VMs again, once.
        protected: those of its tags that are only taken away when that is asked for by name.
        metadata: whatever its users want to keep with it.
        restart, reset: how often its user asked for a restart, or a reset, of the running guest.
        snapshots: those that are to exist. snapped: whether it has ever had one. rollback: the last one that was asked for.
        parting: volumes (``POOL/VOLUME``) that were taken away from it while it may have run, each with the generation
            since which they are not its own any more. Nobody else gets one before its agent has reported that generation.
        born: ZooKeeper's transaction that created it, when it has another name since; 0: the one that created its znode.
        document: name of the document that it belongs to; empty for none.
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
    migration: Migration = Migration()
    ha: Ha = Ha()
    memory_max: int = 0
    vcpus_max: int = 0
    cpu: Cpu = Cpu()
    devices: Devices = Devices()
    machine: str = ""
    firmware: str = "bios"
    secure_boot: bool = False
    xml: str = ""
    placement: str = ""
    autostart: bool = False
    protected: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    restart: int = 0
    reset: int = 0
    snapshots: tuple[DiskSnapshot, ...] = ()
    snapped: bool = False
    rollback: Rollback | None = None
    parting: Mapping[str, int] = field(default_factory=dict)
    born: int = 0
    document: str = ""

    @property
    def live(self) -> bool:
        """Whether it can be moved while it runs: not with devices of its node."""
        return self.migration.method == "live" and not self.devices.host

    @property
    def memory_limit(self) -> int:
        """MiB up to which its memory can grow while it runs."""
        return max(self.memory_max, self.memory)

    @property
    def vcpus_limit(self) -> int:
        """vCPUs up to which it can grow while it runs."""
        return max(self.vcpus_max, self.vcpus)


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
        away: a user has moved it away from its home for a while: it returns when one says so, or when it must go anyway.
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
    away: bool = False
    tried: tuple[str, ...] = ()
    generation: int = 0
    with_guest: int = 0


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
        failures: crashes and failed starts that the agent has seen under this claim, of starts that lack a volume the first in
            a row; never fewer than before.
        console: path of the serial console's log on the node.
        definition: Vm.definition that the running QEMU has wholly; 0 while none runs.
        refused: Claim.to that the agent has given up on: the move failed, ``reason`` says why.
        pending: what of the record waits for the next start, one phrase each.
        restart, reset: Vm.restart and Vm.reset that were carried out.
        snapshots: names of those that exist. rollback: Rollback.serial that was carried out.
        moved: in words, how its guest came here when it was last moved while it ran, or why it was not moved away.
        screen: where its screen is reached on the node: ``vnc://127.0.0.1:5901``; empty for nowhere.
        load: processors that it uses, and load_memory: MiB of its node that it uses, both as coarse as those of
            NodeStatus; None while it was not measured here.
    """

    state: str
    epoch: int
    generation: int
    reason: str = ""
    restarts: int = 0
    failures: int = 0
    console: str = ""
    definition: int = 0
    refused: str = ""
    pending: tuple[str, ...] = ()
    restart: int = 0
    reset: int = 0
    snapshots: tuple[str, ...] = ()
    rollback: int = 0
    moved: str = ""
    screen: str = ""
    load: float | None = None
    load_memory: int | None = None
