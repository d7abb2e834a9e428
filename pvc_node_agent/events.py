# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can happen outside: each event is data, folded into the view by ``absorb``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from pvc_state.codec import Stored
from pvc_state.records import Fence, Health, NodeStatus, Service

from .effects import Effect, VmEffect
from .view import Domain, Facts, Processor, Seen


@dataclass(frozen=True)
class Enrolled:
    """The session is this agent's, its ephemeral exists, and everything that concerns the node has been read."""

    session: int
    published: NodeStatus | None
    seen: Mapping[str, Seen]
    health: Health | None = None
    fence: Stored[Fence] | None = None
    enrolment: int = 0
    shutdown_policy: str = "migrate"


@dataclass(frozen=True)
class FenceSeen:
    """The fence of this node was made, changed or removed (None)."""

    fence: Stored[Fence] | None


@dataclass(frozen=True)
class PolicySeen:
    """The settings of the cluster were changed, as far as they concern an agent."""

    shutdown_policy: str


@dataclass(frozen=True)
class StorageSeen:
    """Ceph answers, or has not answered for a while.

    Attributes:
        address: that Ceph sees its client on this node come from; empty while that is not known.
        slow: why it does not answer, in words; empty when it does.
    """

    address: str
    slow: str = ""


@dataclass(frozen=True)
class StorageCutSeen:
    """Ceph refuses this node: on a connection that had worked, and on a fresh one, too. The reason in words."""

    reason: str


@dataclass(frozen=True)
class LeaveSeen:
    """The machine shuts down. reboot: and comes back by itself."""

    reboot: bool


@dataclass(frozen=True)
class Blinded:
    """The store is out of reach, or refuses; or the agent cannot be sure that it is not.

    Attributes:
        detail: what differs from one attempt to the next; alone it is not worth saying again.
    """

    reason: str
    detail: str = ""


@dataclass(frozen=True)
class VmSeen:
    """One VM was read anew from the store. None: it no longer concerns this node."""

    vm: str
    seen: Seen | None


@dataclass(frozen=True)
class HypervisorUp:
    """libvirt answers, and these are the domains, and the processor that it finds.

    Attributes:
        left: VMs whose last domain here was moved away while it ran, as libvirt has noted it.
    """

    domains: Mapping[str, Domain]
    processor: Processor | None = None
    left: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HypervisorDown:
    """libvirt does not answer."""

    reason: str


@dataclass(frozen=True)
class DomainSeen:
    """A domain started, or its state changed."""

    vm: str
    domain: Domain


@dataclass(frozen=True)
class DomainGone:
    """A domain ended; the cause in words."""

    vm: str
    cause: str


@dataclass(frozen=True)
class FactsSeen:
    """The machine changed."""

    facts: Facts


@dataclass(frozen=True)
class LoadsSeen:
    """What guests on this node use, of each that was measured: processors, and MiB."""

    loads: Mapping[str, tuple[float, int]]


@dataclass(frozen=True)
class ServicesSeen:
    """The services of one kind were looked at, and differ from what was seen last.

    Attributes:
        at: the node's own wall clock, for people.
    """

    kind: str
    services: tuple[Service, ...]
    at: str


class Failure(Enum):
    """Why an effect was not carried out."""

    REFUSED = "the store does not confirm the right to it"
    BLIND = "the store did not answer"
    FAILED = "it did not work"
    AWAY = "what it needs does not answer"


@dataclass(frozen=True)
class Done:
    """An effect has ended. ``failure`` is None when it worked; ``reason`` says in words why it did not, or how it went."""

    effect: Effect
    failure: Failure | None = None
    reason: str = ""


@dataclass(frozen=True)
class Overdue:
    """An effect is still under way after its deadline."""

    effect: VmEffect
    reason: str


Event = (
    Enrolled
    | Blinded
    | FenceSeen
    | PolicySeen
    | StorageSeen
    | StorageCutSeen
    | LeaveSeen
    | VmSeen
    | HypervisorUp
    | HypervisorDown
    | DomainSeen
    | DomainGone
    | FactsSeen
    | LoadsSeen
    | ServicesSeen
    | Done
    | Overdue
)
