# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that their neighbours cannot reach any more, although ZooKeeper has not given their session up yet. Pure.

FRR tells of a lost neighbour within a second (BFD), ZooKeeper after the whole session time-out. A wrong suspicion costs a
restart of that node's VMs, never data: what follows it is a fence like any other. It is off by default.
"""

from __future__ import annotations

from collections.abc import Mapping

from pvc_state.records import Service
from pvc_state.snapshot import Snapshot


def suspected(snapshot: Snapshot) -> Mapping[str, str]:
    """By node with a session that a majority of the other living coordinators has lost: why, in words.

    Two witnesses are the least: one that has lost everybody else has lost itself.
    """
    witnesses = {
        name: _lost(snapshot, name)
        for name, node in snapshot.nodes.items()
        if node.value is not None and node.value.coordinator and name in snapshot.alive
    }
    found: dict[str, str] = {}
    for name in snapshot.alive:
        own = _addresses(snapshot, name)
        others = {witness: lost for witness, lost in witnesses.items() if witness != name and lost is not None}
        against = sorted(witness for witness, lost in others.items() if lost & own)
        if len(against) >= 2 and 2 * len(against) > len(witnesses.keys() - {name}):
            found[name] = f"{' and '.join(against)} have lost their connections with it"
    return found


def _lost(snapshot: Snapshot, witness: str) -> frozenset[str] | None:
    """Addresses of the neighbours that a node has lost; None when it says nothing, or not any more."""
    health, alive = snapshot.health.get(witness), snapshot.alive[witness]
    if health is None or health.value is None or alive.value is None:
        return None
    if health.value.instance != alive.value.instance:
        return None
    return frozenset(service.name for service in health.value.services if _is_lost(service))


def _is_lost(service: Service) -> bool:
    return service.kind == "frr" and service.state == "down"


def _addresses(snapshot: Snapshot, node: str) -> frozenset[str]:
    status = snapshot.report(node)
    return frozenset(status.addresses.values()) if status is not None else frozenset()
