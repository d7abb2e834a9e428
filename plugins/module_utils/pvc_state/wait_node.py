# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for what follows from a change of nodes: that they are empty, and that their fence devices can be used."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import paths
from .errors import WaitTimeout
from .node_limits import why_down
from .plan_moves import MOVABLE, plan_moves
from .records import FenceDevice
from .snapshot import Snapshot, load, load_leader
from .store import Store, Watch
from .views import device_reads
from .wait import until

# --- until nodes are empty ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scene:
    """The cluster while nodes are drained."""

    snapshot: Snapshot
    leader: str


def drained(snapshot: Snapshot, node: str) -> bool:
    """Whether nothing is on a node, or on its way to or from it, that is to be moved away."""
    return not any(_leaving(snapshot, node))


def staying(snapshot: Snapshot, node: str) -> Mapping[str, str]:
    """VMs that are left on a node that is drained, each with its state: they are nobody's to move."""
    return {
        name: stored.value.state
        for name, stored in sorted(snapshot.vms.items())
        if stored.value is not None and stored.value.state not in (*MOVABLE, "absent") and snapshot.owner(name) == node
    }


def wait_until_drained(store: Store, nodes: Collection[str], timeout: float) -> Snapshot:
    """Wait until these nodes are empty. When nothing moves any more but VMs are left, fails at once with the reasons."""

    def reached(scene: _Scene) -> Snapshot | None:
        left = _left(scene.snapshot, nodes)
        if not left:
            return scene.snapshot
        moves = plan_moves(scene.snapshot)
        under_way = moves.wishes or any(claim.value and claim.value.to for claim in scene.snapshot.claims.values())
        if not under_way and left <= moves.blocked.keys():
            raise WaitTimeout(
                f"not all can be moved: {_listed([f'vm {name}: {moves.blocked[name]}' for name in sorted(left)])}",
                obj=f"node {', '.join(sorted(nodes))}",
                option="state",
                remedy="remove what is in the way: what remains moves by itself then",
            )
        return None

    def late(scene: _Scene) -> WaitTimeout:
        return WaitTimeout(
            f"not empty within {timeout:g} s: {_listed(_missing(scene, nodes))}",
            obj=f"node {', '.join(sorted(nodes))}",
            option="state",
            remedy="the change is committed and the agents go on with it; see why it takes long, or wait longer",
        )

    return until(store, lambda _before, wake: _scene(store, nodes, wake), reached, timeout, late)


def _scene(store: Store, nodes: Collection[str], wake: Watch) -> _Scene:
    """All that moves depend on, with a watch on what tells of their progress."""
    for node in store.children(paths.NODES, wake) or []:
        store.get(paths.status(node), wake)
    store.children(paths.ALIVE, wake)
    store.children(paths.FENCES, wake)
    leader = load_leader(store, wake)
    for node in sorted(nodes):
        for name in store.children(paths.assigned(node), wake) or []:
            store.get(paths.claim(name), wake)
    # read after the watches were left, so that nothing changes unseen
    return _Scene(load(store), leader)


def _leaving(snapshot: Snapshot, node: str) -> Iterator[str]:
    for name, stored in snapshot.vms.items():
        claim = snapshot.claims.get(name)
        if claim is None or claim.value is None or node not in (claim.value.node, claim.value.to):
            continue
        if stored.value is None or stored.value.state in (*MOVABLE, "absent"):
            yield name


def _left(snapshot: Snapshot, nodes: Collection[str]) -> set[str]:
    return {name for node in nodes for name in _leaving(snapshot, node)}


def _missing(scene: _Scene, nodes: Collection[str]) -> Iterator[str]:
    snapshot = scene.snapshot
    if not scene.leader:
        yield "no agent leads, so nothing is moved"
    blocked = plan_moves(snapshot).blocked
    for name in sorted(_left(snapshot, nodes)):
        claim = snapshot.claims[name].value
        owner = claim.node if claim else ""
        if name in blocked:
            yield f"vm {name}: {blocked[name]}"
        elif claim is not None and claim.to:
            yield f"vm {name} is on its way from {claim.node} to {claim.to}"
        elif down := why_down(snapshot, owner):
            yield f"vm {name}: {owner} {down}"
        else:
            yield f"vm {name} is on {owner} still"


# --- until fence devices were read --------------------------------------------------------------------------------------

#: Devices by node and name.
Devices = Mapping[tuple[str, str], FenceDevice]


@dataclass(frozen=True)
class Reads:
    """What is known of devices as they are declared now.

    Attributes:
        failed: reasons, one for each coordinator that cannot use a device.
        unread: devices, and by whom they were not read.
    """

    failed: tuple[str, ...]
    unread: tuple[str, ...]


def reads(snapshot: Snapshot, devices: Devices) -> Reads:
    """What the coordinators have read of these devices so far."""
    readers = [
        name
        for name, node in sorted(snapshot.nodes.items())
        if node.value and node.value.coordinator and name in snapshot.alive
    ]
    failed, unread = [], []
    for (node, name), device in sorted(devices.items()):
        found = device_reads(snapshot, node, device)
        failed += [
            f"{reader} cannot use device {name} of {node}: {service.why or service.state}"
            for reader, service in found.items()
            if not service.healthy
        ]
        missing = [reader for reader in readers if reader not in found]
        if missing or not readers:
            unread.append(
                f"device {name} of {node} by {', '.join(missing) or 'anybody, since no coordinator runs an agent'}"
            )
    return Reads(tuple(failed), tuple(unread))


def wait_for_reads(store: Store, devices: Devices, timeout: float) -> Reads:
    """What the coordinators have read of these devices, once each of them has, or one has failed, or time is up."""
    last = Reads((), ())

    def read(_before: Snapshot | None, wake: Watch) -> Snapshot:
        store.children(paths.ALIVE, wake)
        for node in store.children(paths.NODES, wake) or []:
            store.get(paths.health(node), wake)
        return load(store, ())

    def reached(snapshot: Snapshot) -> Reads | None:
        nonlocal last
        last = reads(snapshot, devices)
        nobody = not any(node.value and node.value.coordinator for node in snapshot.nodes.values())
        return last if last.failed or not last.unread or nobody else None

    try:
        return until(store, read, reached, timeout, lambda _snapshot: _Late())
    except _Late:
        return last


class _Late(WaitTimeout):
    """Time is up: what was read until then is the answer."""

    def __init__(self) -> None:
        super().__init__("not all devices were read in time")


def _listed(texts: Sequence[str] | Iterator[str]) -> str:
    found = list(texts)
    return "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
