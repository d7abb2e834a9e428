# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step sees: one immutable picture of the node, the part of the store that concerns it, and the agent's memory.

Times are seconds of the agent's own clock, which nothing can set and no other machine's clock is compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING

from pvc_state.codec import Stored
from pvc_state.records import Claim, Disk, Fence, Health, NodeStatus, Service, Vm

from .effects import CancelMove, Depart, Effect, VmEffect, WriteHealth, WriteStatus

if TYPE_CHECKING:
    from .case import Decided


@dataclass(frozen=True)
class Settings:
    """The numbers that decisions rest on.

    Attributes:
        parallel_starts: how many VMs are started at the same time.
        parallel_volumes: how many VMs that are not to be started get their volumes at the same time.
        first_pause: seconds before the first new try of what failed; doubled with each further failure.
        longest_pause: its upper limit.
        steady_after: seconds that a guest must run for its earlier crashes to be forgotten.
        shutdown_repeat: seconds after which a guest is asked again to power off: early in its boot it does not listen.
        parallel_moves: how many guests are on their way to other nodes at the same time.
        arrived_within: seconds that a guest that has arrived here waits, when its owner is not to move it here any more: it
            may hand it over all the same, since there is no other.
        move_within: seconds that a node that shuts down waits for its VMs to be moved away, and quiet_within: those
            without any that is to be moved, after which it waits no longer.
        stop_within: seconds that its guests then get to power off, whatever their own time is.
        sign_off_within: seconds that it then waits for the store, and for libvirt.
    """

    parallel_starts: int = 4
    parallel_volumes: int = 2
    first_pause: float = 1.0
    longest_pause: float = 60.0
    steady_after: float = 120.0
    shutdown_repeat: float = 5.0
    parallel_moves: int = 2
    arrived_within: float = 10.0
    move_within: float = 300.0
    quiet_within: float = 30.0
    stop_within: float = 180.0
    sign_off_within: float = 15.0


@dataclass(frozen=True)
class Link:
    """The tie to the store.

    Attributes:
        session: id of the session whose ephemeral is this agent's, 0 before the first.
        enrolment: how many ephemerals this agent has made.
        blind_since: when the store was last known to be within reach, None while it is.
        reason, detail: why the agent is blind, in words.
    """

    session: int = 0
    enrolment: int = 0
    blind_since: float | None = 0.0
    reason: str = "the store has not answered yet"
    detail: str = ""

    @property
    def sees(self) -> bool:
        """Whether decisions may rest on what was read."""
        return self.session != 0 and self.blind_since is None


@dataclass(frozen=True)
class Processor:
    """What libvirt says of the node's processor, as in NodeStatus: cpu_model, cpu_models, cpu_default."""

    model: str = ""
    models: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True)
class Hypervisor:
    """Whether libvirt answers. While it does not, the domains and the processor are the last known ones.

    Attributes:
        left: VMs whose last domain here was moved away, when libvirt began to answer; not those seen here since.
    """

    up: bool = False
    reason: str = "libvirt has not answered yet"
    processor: Processor | None = None
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Storage:
    """Whether Ceph serves this node.

    Attributes:
        address: that Ceph sees it come from; empty while that is not known.
        slow: why it does not answer; empty when it does, or has not been asked.
        cut: why it is known to refuse this node; empty when it does not.
    """

    address: str = ""
    slow: str = ""
    cut: str = ""


@dataclass(frozen=True)
class Leaving:
    """The machine shuts down.

    Attributes:
        reboot: and comes back by itself.
        policy: what becomes of its VMs, one of SHUTDOWN_POLICIES; what it was when it began.
        since: when it began. moving_at: when one of its VMs was last seen to be on its way.
        stopping_since: since when its guests are being stopped; None while it waits for them to be moved away.
        over: whether it has signed off, or has given that up.
    """

    reboot: bool
    policy: str
    since: float
    moving_at: float
    stopping_since: float | None = None
    over: bool = False


class DomainState(Enum):
    """What libvirt says of a domain, as far as it matters here."""

    RUNNING = "runs"
    PAUSED = "is paused"
    IO_ERROR = "is paused after an I/O error"
    POWERING_OFF = "is powering off"
    CRASHED = "has crashed"
    ARRIVED = "has arrived, and waits for its claim"


@dataclass(frozen=True)
class Domain:
    """A domain of this node that an agent started.

    Attributes:
        uuid: libvirt's id, that of the VM.
        epoch: epoch of the claim that it was started under.
        definition: the record's definition that it has wholly.
        applied: definition up to which it was changed while it ran, 0 for none; of that, ``pending`` had to wait.
        screen: where its screen is reached on the node, empty for nowhere.
        leaving: whether libvirt was moving it away when it was seen. going: to which node; empty while that is not known.
        restart: the record's ``restart`` when it was started, which fulfils all of those. reset: the last one that was done.
        sizes: bytes of its disks (``POOL/VOLUME``) as the guest sees them, where the record says how large they are.
        held: whether an agent holds the guest, or has left it so, for a snapshot.
    """

    uuid: str
    state: DomainState
    epoch: int
    definition: int
    applied: int = 0
    pending: tuple[str, ...] = ()
    screen: str = ""
    leaving: bool = False
    going: str = ""
    restart: int = 0
    reset: int = 0
    sizes: tuple[tuple[str, int], ...] = ()
    held: bool = False


@dataclass(frozen=True)
class Facts:
    """What the machine is and has, published in the node's status.

    Attributes:
        pools: Ceph pools in reach; None while Ceph has not answered since the agent began.
    """

    agent: str
    boot_id: str
    memory: int
    cpus: int
    pools: tuple[str, ...] | None = None
    bridges: tuple[str, ...] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Observer:
    """This process as it signs what it sees of the node's services.

    Attributes:
        instance: as in its ephemeral. since: when it began, by the wall clock.
        kinds: of services that it looks at; nothing is published before all of them were looked at.
    """

    instance: str
    since: str
    kinds: frozenset[str]


@dataclass(frozen=True)
class Services:
    """The services of this node.

    Attributes:
        observer: None when this agent was not told to look at any.
        seen: by kind, each as it was seen last, with the time of its last change.
        published: the record in the store, None when there is none.
        writing: whether a record is being written.
        write_at: not before this is the next one written: the last time it failed.
    """

    observer: Observer | None = None
    seen: Mapping[str, tuple[Service, ...]] = field(default_factory=dict)
    published: Health | None = None
    writing: bool = False
    write_at: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What the store says of one VM; None for a record that does not exist.

    Attributes:
        stale: known not to be true any more, and being read again: nothing is decided on it.
    """

    claim: Stored[Claim] | None
    record: Stored[Vm] | None
    stale: bool = False


@dataclass(frozen=True)
class Memory:
    """What the agent remembers of one VM between steps. Losing it costs a repeated attempt, never safety.

    Attributes:
        record_version: version of the desired record that all of this belongs to.
        ended: why its domain ended, not yet reacted to; of interest only when it should run.
        trouble: what went wrong last and was not yet reacted to.
        reason: what went wrong last, reacted to.
        attempts: failures in a row.
        retry_at: not before this is anything tried again.
        restarts: starts after a crash or a failed start since the desired record last changed.
        running_since: since when the domain has been running; None while it is paused after an I/O error.
        stopping_since: since when the guest is being stopped.
        press_at: when it is asked again.
        epoch: of the claim that the failures belong to, -1 for none.
        failures: in a row, that count against the VM's ha.max_local_restarts. failed: all of them under this claim.
        given_up: why it is not tried any more; empty while it is.
        refused: version of the claim whose move has failed, -1 for none. refusal: why.
        moved: the node to which its guest has been moved, and where it waits for the claim; empty for none.
        called_off: whether libvirt was asked to call the move off that is under way.
        origin: the node that it is coming from while it runs. journey: how it came, or why it did not go, in words.
        unclaimed_since: since when a guest that has arrived here waits although it is not to be moved here any more.
        volumes: those known to exist. barrier: Ceph's osdmap epoch that was known then.
        volumes_gone: whether its volumes are known to be removed.
        restarting: Vm.restart for which its guest is being stopped, to be started again; 0 for none.
        snapshots: name and identity of those known to exist, None while that is not known here.
        rollback: Rollback.serial that was carried out here.
        unchanged: why its hardware was not changed while it runs; change_tries: how often in a row; change_at: not before
            this is it tried again. Nothing else waits for that.
        unreleased: why a guest that is held was not let go; release_tries: how often in a row; release_at: not before this is
            it tried again.
        overdue: what takes longer than it should.
        swept: why all domains of the node had to end, when it was last decided on; empty when they had not to.
        said: the last sentence, so that it is not repeated.
    """

    record_version: int = -1
    ended: str = ""
    trouble: str = ""
    reason: str = ""
    attempts: int = 0
    retry_at: float = 0.0
    restarts: int = 0
    running_since: float | None = None
    stopping_since: float | None = None
    press_at: float = 0.0
    epoch: int = -1
    failures: int = 0
    failed: int = 0
    given_up: str = ""
    refused: int = -1
    refusal: str = ""
    moved: str = ""
    called_off: bool = False
    origin: str = ""
    journey: str = ""
    unclaimed_since: float | None = None
    volumes: tuple[Disk, ...] = ()
    barrier: int = 0
    volumes_gone: bool = False
    restarting: int = 0
    snapshots: tuple[tuple[str, str], ...] | None = None
    rollback: int = 0
    unchanged: str = ""
    change_tries: int = 0
    change_at: float = 0.0
    unreleased: str = ""
    release_tries: int = 0
    release_at: float = 0.0
    overdue: str = ""
    swept: str = ""
    said: str = ""


@dataclass(frozen=True)
class Sentence:
    """One decision and its reason, for the journal.

    Attributes:
        vm, node: which it is about; empty for none. A node only when another one decides about it.
        evidence: the kind that proves a node's fence, where the decision rests on it.
    """

    vm: str
    decision: str
    reason: str
    node: str = ""
    evidence: str = ""

    def __str__(self) -> str:
        text = f"{self.decision}: {self.reason}" if self.reason else self.decision
        return f"{self.vm}: {text}" if self.vm else text


@dataclass(frozen=True)
class Outcome:
    """What a step returns.

    Attributes:
        effects: what is to be done now.
        sentences: the decisions that are new, each with its reason.
        memory: what to remember; replaces what was remembered.
        said: what the node's own last sentence was about.
        wake_at: when to step again although nothing happens, None for never.
        decided: decisions that need not be made again while their grounds are the same.
        leaving: replaces what was known of the machine's shutdown.
    """

    effects: tuple[Effect, ...]
    sentences: tuple[Sentence, ...]
    memory: Mapping[str, Memory]
    said: str
    wake_at: float | None
    decided: Mapping[str, Decided]
    leaving: Leaving | None = None


@dataclass(frozen=True)
class View:
    """Everything that a step decides from.

    Attributes:
        node: name of this node.
        seen: what the store says, of each VM assigned to this node or found running on it.
        domains: domains that an agent of this product started, by VM.
        memory: by VM.
        busy: the effect under way, by VM.
        published: the status in the store, None when there is none.
        writing: whether a status is being written.
        write_at: not before this is the next one written: the last time it failed.
        said: what the node's own last sentence was about, so that it is not repeated.
        decided: what the last step has decided, by VM.
        services: of this node, beside the VMs.
        fence: of this node; None while there is none. Without a value: it is there, but damaged.
        shutdown_policy: of the cluster, one of SHUTDOWN_POLICIES, as read last.
        storage: whether Ceph serves this node.
        leaving: set when the machine shuts down.
        loads: processors and MiB that guests on this node use, by VM, as measured last.
    """

    node: str
    settings: Settings = Settings()
    link: Link = Link()
    fence: Stored[Fence] | None = None
    shutdown_policy: str = "migrate"
    storage: Storage = Storage()
    leaving: Leaving | None = None
    hypervisor: Hypervisor = Hypervisor()
    facts: Facts | None = None
    seen: Mapping[str, Seen] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)
    memory: Mapping[str, Memory] = field(default_factory=dict)
    busy: Mapping[str, VmEffect] = field(default_factory=dict)
    published: NodeStatus | None = None
    writing: bool = False
    write_at: float = 0.0
    said: str = ""
    decided: Mapping[str, Decided] = field(default_factory=dict)
    services: Services = Services()
    loads: Mapping[str, tuple[float, int]] = field(default_factory=dict)

    def after(self, outcome: Outcome) -> View:
        """The view once the effects of a step are under way."""
        busy = dict(self.busy)
        writing, services = self.writing, self.services
        for effect in outcome.effects:
            if isinstance(effect, (WriteStatus, Depart)):
                writing = True
            elif isinstance(effect, WriteHealth):
                services = replace(services, writing=True)
            elif not isinstance(effect, CancelMove):
                busy[effect.vm] = effect
        return replace(
            self,
            memory=outcome.memory,
            busy=busy,
            writing=writing,
            said=outcome.said,
            decided=outcome.decided,
            services=services,
            leaving=outcome.leaving,
        )
