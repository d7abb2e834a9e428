# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for what follows from a change of nodes: that they are empty, and that their fence devices can be used."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import paths
from .drain_report import drains, why_held
from .errors import WaitTimeout
from .plan_moves import plan_moves
from .records import Claim, FenceDevice
from .snapshot import Snapshot, load, load_leader
from .store import Store, Watch
from .views import device_reads
from .wait import until

# --- until nodes are empty, and until VMs have returned -------------------------------------------------------------------

NOBODY_LEADS = "no agent leads, so nothing is moved"

#: Told of each VM that has gone: its name, the node that it has left, the one where it is now, and how many are left.
Progress = Callable[[str, str, str, int], None]


class NotDrained(WaitTimeout):
    """VMs are left on nodes that are to be empty; ``snapshot`` is the last one that was seen, ``gone`` what has left them."""

    snapshot: Snapshot
    gone: Sequence[Gone]


@dataclass(frozen=True)
class Gone:
    """A VM that has left a node. seconds: since the wait began."""

    vm: str
    node: str
    to: str
    seconds: float


@dataclass(frozen=True)
class _Scene:
    """The cluster while nodes are drained."""

    snapshot: Snapshot
    leader: str


class _Departures:
    """Notes what leaves nodes, as it is seen."""

    def __init__(self, before: Snapshot, nodes: Collection[str], told: Progress, clock: Callable[[], float]) -> None:
        there = drains(before, nodes).nodes
        self._there = {(one.vm, node) for node, drain in there.items() for one in drain.left}
        self._told = told
        self._clock = clock
        self._began = clock()
        self.gone: list[Gone] = []

    def see(self, snapshot: Snapshot) -> None:
        for name, node in sorted(self._there):
            stored = snapshot.claims.get(name)
            if name not in snapshot.vms:
                self._there.discard((name, node))  # deleted
            elif stored is not None and stored.value is not None and not _touches(stored.value, node):
                self._there.discard((name, node))
                self.gone.append(Gone(name, node, stored.value.node, round(self._clock() - self._began, 1)))
                self._told(name, node, stored.value.node, len(self._there))


def _touches(claim: Claim | None, node: str) -> bool:
    return claim is not None and node in (claim.node, claim.to)


def _nobody(_vm: str, _node: str, _to: str, _left: int) -> None:
    """Tells nobody."""


def wait_until_drained(
    store: Store,
    before: Snapshot,
    nodes: Collection[str],
    timeout: float,
    told: Progress = _nobody,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Snapshot, Sequence[Gone]]:
    """Wait until these nodes are empty; returns the cluster as it is then, and what has left them.

    Raises:
        NotDrained: time is up; or, at once, nothing moves any more and VMs are left. Each is named with its reason.
    """
    departures = _Departures(before, nodes, told, clock)

    def failed(scene: _Scene, problem: str, remedy: str) -> NotDrained:
        reasons = [
            f"vm {one.vm} has yet to reach {one.to}" if one.to else f"vm {one.vm}: {one.why}"
            for one in drains(scene.snapshot, nodes).left
        ]
        # what is stuck is so whoever leads
        nobody = [] if scene.leader or drains(scene.snapshot, nodes).stuck else [NOBODY_LEADS]
        error = NotDrained(
            f"{problem}: {_listed([*nobody, *reasons])}",
            obj=f"node {', '.join(sorted(nodes))}",
            option="state",
            remedy=remedy,
        )
        error.snapshot, error.gone = scene.snapshot, departures.gone
        return error

    def reached(scene: _Scene) -> Snapshot | None:
        departures.see(scene.snapshot)
        found = drains(scene.snapshot, nodes)
        if not found.left:
            return scene.snapshot
        if found.stuck:
            remedy = "remove what is in the way: what remains moves by itself then"
            raise failed(scene, "not all can be moved", remedy)
        return None

    def late(scene: _Scene) -> WaitTimeout:
        remedy = "the change is committed and the agents go on with it; see why it takes long, or wait longer"
        return failed(scene, f"not empty within {timeout:g} s", remedy)

    return until(store, _reading(store), reached, timeout, late, clock), departures.gone


def wait_until_returned(store: Store, nodes: Collection[str], timeout: float) -> tuple[Snapshot, Mapping[str, str]]:
    """Wait until the VMs whose home is one of these nodes are there; returns why some cannot be, by VM.

    Those that their users have sent away stay away.
    """

    def away(snapshot: Snapshot) -> Mapping[str, str]:
        moves, held = plan_moves(snapshot), why_held(snapshot)
        wishes = {wish.vm for wish in moves.wishes} if not held else set()
        otherwise = held or "nothing draws it back now"
        return {
            name: "" if name in wishes or stored.value.to else moves.blocked.get(name, otherwise)
            for name, stored in sorted(snapshot.claims.items())
            if stored.value is not None
            and ((stored.value.home in nodes and not stored.value.away) or stored.value.to in nodes)
        }

    def reached(scene: _Scene) -> tuple[Snapshot, Mapping[str, str]] | None:
        found = away(scene.snapshot)
        return (scene.snapshot, found) if all(found.values()) else None

    def late(scene: _Scene) -> WaitTimeout:
        nobody = [] if scene.leader else [NOBODY_LEADS]
        left = [f"vm {vm}: {why or 'it is on its way'}" for vm, why in away(scene.snapshot).items()]
        return WaitTimeout(
            f"not all VMs have returned within {timeout:g} s: {_listed([*nobody, *left])}",
            obj=f"node {', '.join(sorted(nodes))}",
            option="state",
            remedy="the change is committed and the agents go on with it; see why it takes long, or wait longer",
        )

    return until(store, _reading(store), reached, timeout, late)


def _reading(store: Store) -> Callable[[_Scene | None, Watch], _Scene]:
    """Reads all that moves depend on, with a watch on what tells of their progress."""

    def read(_before: _Scene | None, wake: Watch) -> _Scene:
        nodes, fences, claims = (store.children(path, wake) or [] for path in (paths.NODES, paths.FENCES, paths.CLAIMS))
        store.children(paths.ALIVE, wake)
        leader = load_leader(store, wake)
        watched = [*map(paths.node, nodes), *map(paths.status, nodes), *map(paths.fence, fences), paths.SETTINGS]
        store.get_many([*watched, *map(paths.claim, claims)], wake)
        # read after the watches were left, so that nothing changes unseen
        return _Scene(load(store), leader)

    return read


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
