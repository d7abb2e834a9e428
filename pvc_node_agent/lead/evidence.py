# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What proves that a node cannot write any more: which evidence is wanted, what has come in, and whether it suffices. Pure."""

from __future__ import annotations

from dataclasses import replace

from pvc_state.plan_recovery import ALWAYS, powered_off
from pvc_state.records import Evidence, Fence, FenceDevice, Node, Settings
from pvc_state.snapshot import Snapshot

from .effects import power_key
from .events import PowerRead, StorageCut
from .view import LeadView


def addresses(snapshot: Snapshot, node: str) -> tuple[str, ...]:
    """All addresses that a node's clients of Ceph may come from: those it has in any network, and the one Ceph has seen."""
    status = snapshot.report(node)
    if status is None:
        return ()
    return tuple(sorted({*status.addresses.values(), status.storage_address} - {""}))


def shared(snapshot: Snapshot, node: str, where: tuple[str, ...]) -> str:
    """Which of a node's addresses a living node has, too, in words; empty: none. To refuse those would hit that one."""
    for other in sorted(snapshot.alive):
        both = sorted(set(where) & set(addresses(snapshot, other))) if other != node else []
        if both:
            return f"node {other}, which lives, has the address {both[0]}, too"
    return ""


def wanted(policy: Settings, node: Node | None, where: tuple[str, ...], against: str = "") -> tuple[Evidence, ...]:
    """The evidence to collect for a node. against: why its addresses may not be refused."""
    found: list[Evidence] = []
    if "storage_cut" in policy.evidence:
        if against:
            found.append(Evidence("storage_cut", "failed", against))
        elif where:
            found.append(Evidence("storage_cut", "collecting", f"to be refused by Ceph: {', '.join(where)}"))
        else:
            found.append(Evidence("storage_cut", "failed", "the node has never told its addresses"))
    if "powered_off" in policy.evidence and node is not None:
        found += [
            Evidence("powered_off", "collecting", f"{device.kind} at {device.address}", device.name)
            for device in node.fence
        ]
    return tuple(found)


def gathered(view: LeadView, snapshot: Snapshot, node: str, fence: Fence, policy: Settings) -> tuple[Evidence, ...]:
    """The evidence of a fence, with all that has come in since it was written, and all that is wanted since.

    A person's word counts while the node has no session: no longer for one that is back.
    """
    stored = snapshot.nodes.get(node)
    against = shared(snapshot, node, fence.addresses)
    known = {(one.kind, one.device) for one in fence.evidence}
    more = wanted(policy, stored.value if stored is not None else None, fence.addresses, against)
    asked = (*fence.evidence, *(one for one in more if (one.kind, one.device) not in known))
    found = tuple(_latest(view, node, fence, one) for one in asked)
    if node in snapshot.alive:
        return found
    declared = snapshot.declared.get(node)
    word = declared.value if declared is not None else None
    told = any(one.kind == "declared_dead" for one in found)
    if word is not None and word.fence == fence.id and not told:
        found += (Evidence("declared_dead", "proven", f"{word.by} vouches for it: {word.why}", at=view.wall),)
    return found


def _latest(view: LeadView, node: str, fence: Fence, one: Evidence) -> Evidence:
    if one.state == "proven":
        return one
    if one.kind == "storage_cut":
        cut = view.results.get(f"cut {node}")
        if not isinstance(cut, StorageCut) or cut.fence != fence.id:
            return one
        if cut.error:
            return _failed(view, one, cut.error)
        why = f"Ceph refuses {', '.join(fence.addresses)} since osdmap epoch {cut.epoch}"
        return replace(one, state="proven", why=why, epoch=cut.epoch, at=view.wall)
    if one.kind == "powered_off":
        read = view.results.get(power_key(node, one.device))
        if not isinstance(read, PowerRead) or read.fence != fence.id:
            return one
        return replace(one, state="proven", why=read.why, at=view.wall) if read.off else _failed(view, one, read.why)
    return one


def _failed(view: LeadView, one: Evidence, why: str) -> Evidence:
    return one if (one.state, one.why) == ("failed", why) else replace(one, state="failed", why=why, at=view.wall)


def holds_by_itself(fence: Fence) -> bool:
    """Whether the fence rests on more than somebody's word, which counts for nothing once the node is back."""
    return any(one.kind in ("storage_cut", "powered_off") and one.state == "proven" for one in fence.evidence)


def proof(policy: Settings, node: Node | None, evidence: tuple[Evidence, ...]) -> str:
    """The kind of the first evidence that suffices for the fence; empty: none yet."""
    for one in evidence:
        if one.state != "proven":
            continue
        if one.kind in ALWAYS:
            return one.kind
        if one.kind == "storage_cut" and one.kind in policy.evidence:
            return one.kind
        if one.kind == "powered_off" and one.kind in policy.evidence and powered_off(node, evidence):
            return one.kind
    return ""


def next_devices(
    node: Node | None, evidence: tuple[Evidence, ...], view: LeadView, name: str
) -> tuple[FenceDevice, ...]:
    """The fence devices to be ordered now: all where they only count together, otherwise the next after those that failed."""
    if node is None:
        return ()
    by_name = {one.device: one.state for one in evidence if one.kind == "powered_off"}
    left = [device for device in node.fence if by_name.get(device.name, "proven") != "proven"]
    if node.fence_together or not left:
        return tuple(left)
    attempts = {device.name: view.attempts.get(power_key(name, device.name)) for device in left}
    failures = {device: attempt.failures if attempt is not None else 0 for device, attempt in attempts.items()}
    return (min(left, key=lambda device: failures[device.name]),)
