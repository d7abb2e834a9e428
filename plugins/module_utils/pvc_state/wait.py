# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until the agents have made a change true, or find all well: by watches, bounded; a timeout says what is missing."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from . import paths
from .codec import Stored, stored
from .errors import StoreUnavailable, WaitTimeout
from .health import Report, judge
from .records import Alive, Claim, NodeStatus
from .snapshot import Snapshot, load, load_leader
from .store import Store, Watch
from .views import settled, vm_status, why_late

S = TypeVar("S")
T = TypeVar("T")


class NotHealthy(WaitTimeout):
    """Time is up, and something is still wrong; ``report`` is the last one."""

    def __init__(self, report: Report, reasons: Sequence[str], timeout: float) -> None:
        self.report = report
        more = f"; and {len(reasons) - 5} more" if len(reasons) > 5 else ""
        super().__init__(
            f"the cluster is not healthy after {timeout:g} s: {'; '.join(reasons[:5])}{more}",
            remedy="repair what is named, or wait longer",
        )


def wait_for(
    store: Store,
    predicate: Callable[[Snapshot], T | None],
    timeout: float,
    *,
    vms: Collection[str],
    missing: Callable[[Snapshot], str],
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """The first answer of ``predicate`` that is not None.

    Between answers only what agents write is read again: status of the nodes that own these VMs, their claims, and
    which VMs exist. What users change meanwhile is seen in VMs' existence only.

    Args:
        vms: names of the VMs that the answer depends on.
        missing: for the timeout's text: what is not there yet.
    """

    def late(snapshot: Snapshot) -> WaitTimeout:
        return WaitTimeout(
            f"not reached within {timeout:g} s: {missing(snapshot)}",
            remedy="the change is committed and the agents go on with it; see why it takes long, or wait longer",
        )

    def read(before: Snapshot | None, wake: Watch) -> Snapshot:
        return _refreshed(store, before or load(store, vms), vms, wake)

    return until(store, read, predicate, timeout, late, clock)


def until(
    store: Store,
    read: Callable[[S | None, Watch], S],
    predicate: Callable[[S], T | None],
    timeout: float,
    late: Callable[[S], WaitTimeout],
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """The first answer that is not None, of what is read again whenever one of its watches wakes us."""
    deadline = clock() + timeout
    changed = threading.Event()

    def wake(_event: object) -> None:
        changed.set()

    store.on_session(wake)
    found: S | None = None
    while True:
        # Cleared before reading: what changes from here on is either read or wakes us.
        changed.clear()
        unavailable: StoreUnavailable | None = None
        try:
            found = read(found, wake)
        except StoreUnavailable as err:
            unavailable = err  # servers may be electing; the session's return wakes us
        else:
            answer = predicate(found)
            if answer is not None:
                return answer
        # changes that never end do not move the end
        remaining = deadline - clock()
        if remaining > 0 and changed.wait(remaining):
            continue
        if unavailable is not None or found is None:
            raise unavailable or StoreUnavailable("the store did not answer")
        raise late(found)


def wait_for_vms(
    store: Store, names: Collection[str], timeout: float, progress: Callable[[int], None] = lambda _settled: None
) -> Snapshot:
    """Wait until each of these VMs is as wanted, or is gone as wanted; fails at once when an agent has given one up.

    Args:
        progress: told, whenever something has changed, how many of them are.
    """

    def reached(snapshot: Snapshot) -> Snapshot | None:
        for name in names:
            observed = vm_status(snapshot, name)
            vm = snapshot.vms[name].value if name in snapshot.vms else None
            if observed and vm and observed.state == "failed" and observed.generation >= vm.generation:
                raise WaitTimeout(
                    f"its agent has given up: {observed.reason}",
                    obj=f"vm {name}",
                    remedy="remove the cause, then change the VM",
                )
        done = sum(settled(snapshot, name) for name in names)
        progress(done)
        return snapshot if done == len(names) else None

    def missing(snapshot: Snapshot) -> str:
        late = sorted(name for name in names if not settled(snapshot, name))
        more = f", and {len(late) - 3} more" if len(late) > 3 else ""
        return "; ".join(f"vm {name}: {why_late(snapshot, name)}" for name in late[:3]) + more

    return wait_for(store, reached, timeout, vms=names, missing=missing)


def wait_for_health(
    store: Store,
    services: Collection[str],
    nodes: Collection[str] | None,
    timeout: float,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Wait until nothing is wrong with these services on these nodes (None: on all) and in the cluster as a whole.

    Raises NotHealthy.
    """

    def late(report: Report) -> NotHealthy:
        return NotHealthy(report, [finding.text for finding in report.about(services, nodes)], timeout)

    return until(
        store,
        lambda _before, wake: _health(store, wake),
        lambda report: None if report.about(services, nodes) else report,
        timeout,
        late,
        clock,
    )


def _health(store: Store, wake: Watch) -> Report:
    """What follows from all that agents tell of their services, with a watch on each of it."""
    nodes = store.children(paths.NODES, wake) or []
    store.children(paths.ALIVE, wake)
    store.children(paths.FENCES, wake)
    for node in nodes:
        store.get(paths.health(node), wake)
    leader = load_leader(store, wake)
    # read after the watches were left, so that nothing changes unseen
    return judge(load(store, ()), leader)


def _refreshed(store: Store, snapshot: Snapshot, names: Collection[str], wake: Watch) -> Snapshot:
    """The snapshot with what agents change about these VMs read again, and watched."""
    existing = set(store.children(paths.VMS, wake) or ())
    vms = {name: vm for name, vm in snapshot.vms.items() if name in existing}
    claims = {name: claim for name, claim in snapshot.claims.items() if name in existing}
    for name in names:
        vm = vms[name].value if name in vms else None
        if vm is not None and vm.node is not None and vm.node != snapshot.owner(name):
            claims |= _read(store, Claim, {name: paths.claim(name)}, wake)
    owned = (claims[name].value for name in names if name in claims)
    owners = {claim.node for claim in owned if claim is not None}
    status = {
        **snapshot.status,
        **_read(store, NodeStatus, {node: paths.status(node) for node in sorted(owners)}, wake),
    }
    alive = {
        **{node: record for node, record in snapshot.alive.items() if node not in owners},
        **_read(store, Alive, {node: paths.alive(node) for node in sorted(owners)}, wake),
    }
    fresh = dataclasses.replace(
        snapshot,
        vms=MappingProxyType(vms),
        claims=MappingProxyType(claims),
        status=MappingProxyType(status),
        alive=MappingProxyType(alive),
    )
    left = {name: paths.claim(name) for name in names if name in claims and _left(snapshot, fresh, name)}
    found = _read(store, Claim, left, wake)
    if all(claims[name] == claim for name, claim in found.items()):
        return fresh
    return _refreshed(store, dataclasses.replace(fresh, claims=MappingProxyType({**claims, **found})), names, wake)


def _left(before: Snapshot, now: Snapshot, name: str) -> bool:
    """Whether a VM may have another owner by now: its owner is dead, or has stopped to speak of it."""
    owner = now.owner(name)
    return owner not in now.alive or (vm_status(before, name) is not None and vm_status(now, name) is None)


def _read(store: Store, cls: type[T], places: Mapping[str, str], wake: Watch) -> dict[str, Stored[T]]:
    found = ((name, store.get(path, wake)) for name, path in places.items())
    return {name: stored(cls, znode) for name, znode in found if znode is not None}
