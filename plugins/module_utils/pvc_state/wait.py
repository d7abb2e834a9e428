# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until the agents have made a change true: by watches, bounded, and a timeout says what is missing."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import TypeVar

from . import paths
from .codec import Stored, stored
from .errors import StoreUnavailable, WaitTimeout
from .placement import why_down
from .records import Alive, Claim, NodeStatus
from .snapshot import Snapshot, load
from .store import Store, Watch
from .views import reports_now, settled, vm_status

T = TypeVar("T")


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
    deadline = clock() + timeout
    changed = threading.Event()

    def wake(_event: object) -> None:
        changed.set()

    store.on_session(wake)
    snapshot: Snapshot | None = None
    while True:
        # Cleared before reading: what changes from here on is either read or wakes us.
        changed.clear()
        unavailable: StoreUnavailable | None = None
        try:
            snapshot = _refreshed(store, snapshot or load(store, vms), vms, wake)
        except StoreUnavailable as err:
            unavailable = err  # servers may be electing; the session's return wakes us
        else:
            answer = predicate(snapshot)
            if answer is not None:
                return answer
        if changed.wait(max(deadline - clock(), 0)):
            continue
        if unavailable is not None or snapshot is None:
            raise unavailable or StoreUnavailable("the store did not answer")
        raise WaitTimeout(
            f"not reached within {timeout:g} s: {missing(snapshot)}",
            remedy="the change is committed and the agents go on with it; see why it takes long, or wait longer",
        )


def wait_for_vms(store: Store, names: Collection[str], timeout: float) -> Snapshot:
    """Wait until each of these VMs is as wanted, or is gone as wanted; fails at once when an agent has given one up."""

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
        return snapshot if all(settled(snapshot, name) for name in names) else None

    def missing(snapshot: Snapshot) -> str:
        late = sorted(name for name in names if not settled(snapshot, name))
        more = f", and {len(late) - 3} more" if len(late) > 3 else ""
        return "; ".join(_late(snapshot, name) for name in late[:3]) + more

    return wait_for(store, reached, timeout, vms=names, missing=missing)


def _late(snapshot: Snapshot, name: str) -> str:
    owner, observed = snapshot.owner(name), vm_status(snapshot, name)
    down = why_down(snapshot, owner) if owner else ""
    if down:
        return f"vm {name}: {owner} {down}"
    vm = snapshot.vms.get(name)
    if vm is not None and vm.value is None:
        return f"vm {name} has a damaged record ({vm.invalid})"
    if owner and not reports_now(snapshot, owner):
        return f"vm {name}: {owner} has not reported since it was last powered on"
    if observed is None:
        return f"vm {name}: the agent of {owner} has not reported it yet"
    return f"vm {name} is {observed.state} on {owner}" + (f" ({observed.reason})" if observed.reason else "")


def _refreshed(store: Store, snapshot: Snapshot, names: Collection[str], wake: Watch) -> Snapshot:
    """The snapshot with what agents change about these VMs read again, and watched."""
    existing = set(store.children(paths.VMS, wake) or ())
    vms = {name: vm for name, vm in snapshot.vms.items() if name in existing}
    claims = {name: claim for name, claim in snapshot.claims.items() if name in existing}
    for name in names:
        vm = vms[name].value if name in vms else None
        # A stopped VM that is bound to another node changes hands; no other claim moves while one waits.
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
    return dataclasses.replace(
        snapshot,
        vms=MappingProxyType(vms),
        claims=MappingProxyType(claims),
        status=MappingProxyType(status),
        alive=MappingProxyType(alive),
    )


def _read(store: Store, cls: type[T], places: Mapping[str, str], wake: Watch) -> dict[str, Stored[T]]:
    found = ((name, store.get(path, wake)) for name, path in places.items())
    return {name: stored(cls, znode) for name, znode in found if znode is not None}
