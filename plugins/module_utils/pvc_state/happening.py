# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What events are made of: an event, the tree that tells of it, and the cursor that remembers what was told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from .codec import Stored
from .commit_records import Commit
from .records import Past
from .snapshot import Snapshot

#: Types of events, with what each means.
TYPES: Mapping[str, str] = MappingProxyType(
    {
        "node_dead": "a node is gone: the leader has begun a fence",
        "fenced": "it is proven that the node cannot write any more",
        "recovered": "none of the VMs of a fenced node is without a node any more",
        "node_back": "a fence is over: the node is back, or was removed",
        "waiting": "a VM of a fenced node has no node yet, or nothing is done about a node that is gone",
        "vm_moved": "a VM belongs to another node",
        "vm_failed": "a VM has crashed or did not start, or is not started again",
        "drift": "a VM runs otherwise than its record says, and goes on doing so",
        "health": "a service on a node is not as it should be, or is so again",
        "commit": "users have changed what is wanted",
    }
)


@dataclass(frozen=True)
class Event:
    """Something that has happened.

    Attributes:
        id: the same whoever tells of it, and whenever; nothing else in the cluster's life has it.
        type: one of TYPES.
        zxid: ZooKeeper's transaction that wrote the record in which it was found.
        kind, name: of the object: ``node``, ``vm``, ``service`` or ``commit``.
        node: the node concerned; empty for none.
        at: by the clock of who wrote the record (ISO 8601, UTC); empty where it has no time.
        sentence: what has happened, in a sentence.
        details: what else the record says, by name; docs/events.md lists it for each type.
    """

    id: str
    type: str
    zxid: int
    kind: str
    name: str
    node: str = ""
    at: str = ""
    sentence: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def event_view(event: Event, cluster: str) -> dict[str, Any]:
    """An event as plain data, the same in every tool. cluster: name of the one that it happened in."""
    return {**asdict(event), "details": dict(event.details), "cluster": cluster}


@dataclass(frozen=True)
class VmMark:
    """What was told of a VM.

    Attributes:
        epoch, node: of its claim.
        failures: VmStatus.failures under this claim. given_up: the generation that an agent has given up under it.
        drift: Vm.definition of which a part was said to wait for the next start.
        stays: the node that it was said not to get to under this claim.
    """

    epoch: int
    node: str
    failures: int = 0
    given_up: int = 0
    drift: int = 0
    stays: str = ""


@dataclass(frozen=True)
class Cursor:
    """How far a reader has come: what is to be known of all that was told, to tell the rest and nothing twice.

    Attributes:
        cluster: Schema.id of the one that it belongs to.
        zxid: the latest transaction that was seen. Fences that are over need no more than that: they are written once.
        revision: the latest commit that was told.
        fences: of each fence that stands, what was told of it.
        vms: by Vm.uuid and the transaction that created the VM.
        unhealthy: by node, the services that were said not to be healthy, each with its state and since when.
        told: ids of events behind this cursor that were told already: the reader ended in the middle of a batch.
    """

    cluster: str
    zxid: int = 0
    revision: int = 0
    fences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    vms: Mapping[str, VmMark] = field(default_factory=dict)
    unhealthy: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """The part of the tree that tells of events, as it was at one moment.

    Attributes:
        snapshot: VMs, claims, status, health and fences; what else it could hold is left empty.
        zxid: the latest transaction that has written any of it.
        begun: the transaction that created each node's fence.
        past: fences that are over.
        revision: of the latest commit. commits: those that are new to the reader, by revision.
    """

    snapshot: Snapshot
    zxid: int
    begun: Mapping[str, int]
    past: Mapping[str, Stored[Past]]
    revision: int = 0
    commits: Mapping[int, Stored[Commit]] = field(default_factory=dict)
