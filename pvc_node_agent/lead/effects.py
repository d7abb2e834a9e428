# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a step of the leader may ask for: each effect is data, carried out elsewhere.

Every write to the store is one transaction that holds the leader's epoch and the version of each record that the decision
rests on. Slow effects outside the store (Ceph, fence devices) end in an event and have a deadline; each may be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

from pvc_state.records import Claim, Fence, FenceDevice, Node, Past


@dataclass(frozen=True)
class Write:
    """Common to what is written to the store.

    Attributes:
        subject: ``node NAME`` or ``vm NAME``, which it is about: one write per subject is under way at a time.
        rests_on: paths of records with the versions that the decision rests on, beside those that are written.
    """

    subject: str
    rests_on: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class BeginFence(Write):
    """Create a node's fence.

    Attributes:
        fence: the record.
        alive: version of the ephemeral that is removed in the same transaction, since the node is suspected although its
            session lives; None: the transaction holds that the node has no session.
    """

    fence: Fence
    alive: int | None


@dataclass(frozen=True)
class UpdateFence(Write):
    """Write a node's fence anew.

    Attributes:
        version: of the record that it replaces.
        absent: whether the transaction holds that the node has no session: an agent may start VMs under a fence that is
            merely held, and nobody's word counts against a node that lives.
    """

    fence: Fence
    version: int
    absent: bool = False


@dataclass(frozen=True)
class EndFence(Write):
    """Remove a node's fence, and remember it.

    Attributes:
        version: of the fence. declared: of the operator's declaration that goes with it, None when there is none.
        node: the node's desired record to write, with the version that it replaces, when it is to come back drained: a
            change of desired state, which raises the revision in /journal like any other.
    """

    version: int
    past: Past
    declared: int | None
    node: tuple[Node, int] | None = None


@dataclass(frozen=True)
class Rehome:
    """One claim that gets another owner without the old one's help.

    Attributes:
        before: the claim as it was read, at version. after: with a new owner and the next epoch.
        record_version: of the VM's desired record.
    """

    vm: str
    before: Claim
    version: int
    after: Claim
    record_version: int


@dataclass(frozen=True)
class Recover(Write):
    """Give claims of a fenced node to others, and note that in its fence, in one transaction.

    Attributes:
        fence: with the new moves. version: of the record that it replaces, which is proven.
        absent: whether the transaction holds that the node has no session.
    """

    fence: Fence
    version: int
    claims: tuple[Rehome, ...]
    absent: bool = False


@dataclass(frozen=True)
class ChangeClaim(Write):
    """Write a claim anew for the same owner: where it is to move, what was tried, where its home is.

    Attributes:
        vm: whose. claim: the new one. version: of the one that it replaces.
        old_to: Claim.to of the one that it replaces: the index follows.
        record_version: of the VM's desired record.
    """

    vm: str
    claim: Claim
    version: int
    old_to: str
    record_version: int


@dataclass(frozen=True)
class CutStorage:
    """Have Ceph refuse every client on the addresses, without expiry. Ends in StorageCut."""

    node: str
    fence: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class RestoreStorage:
    """Undo CutStorage; what is not there is fine. Ends in StorageRestored."""

    node: str
    fence: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class PowerOff:
    """Order a fence device to take the node's power, and read back until it says off. Ends in PowerRead."""

    node: str
    fence: str
    device: FenceDevice


@dataclass(frozen=True)
class MarkDown:
    """Tell Ceph that the OSDs of a node that was read powered off are down. Best effort, ends in MarkedDown."""

    node: str
    fence: str


StoreEffect = BeginFence | UpdateFence | EndFence | Recover | ChangeClaim
DeviceEffect = CutStorage | RestoreStorage | PowerOff | MarkDown
LeadEffect = StoreEffect | DeviceEffect


def key(effect: LeadEffect) -> str:
    """One effect per key is under way at a time."""
    match effect:
        case CutStorage():
            return f"cut {effect.node}"
        case RestoreStorage():
            return f"restore {effect.node}"
        case PowerOff():
            return power_key(effect.node, effect.device.name)
        case MarkDown():
            return f"mark down {effect.node}"
    return f"write {effect.subject}"


def power_key(node: str, device: str) -> str:
    """The key of PowerOff."""
    return f"power {node} {device}"
