# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of fencing: what proves that a node cannot write any more. docs/safety.md is the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

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


def surely_off(fence: Fence) -> bool:
    """Whether a node is known to be off or empty, not merely cut off from its storage: then nothing need be kept from it.

    Where some fence devices prove it and some do not, nobody knows here whether they only count together.
    """
    if any(one.kind in ("signed_off", "declared_dead") and one.state == "proven" for one in fence.evidence):
        return True
    power = [one.state for one in fence.evidence if one.kind == "powered_off"]
    return fence.proven_by == "powered_off" or (bool(power) and set(power) == {"proven"})


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
