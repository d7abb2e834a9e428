# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""If a node of the running cluster died now: which VM would go where, in what order, what would not fit, and why."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pvc_state.errors import InvalidRequest
from pvc_state.failover_report import Failover, failovers
from pvc_state.snapshot import Snapshot, load


def snapshot(path: Path) -> Snapshot:
    """The running cluster, read as the agent with this configuration reads it; nothing is written.

    Raises ConfigError, and what a store raises.
    """
    # the bindings to the node's daemons are needed for this only
    from pvc_state.kazoo_store import connect

    from .. import config
    from ..daemon import connection

    store = connect(connection(config.load(path).zookeeper, session_timeout=6.0))
    try:
        return load(store)
    finally:
        store.close()


def reports(found: Snapshot, nodes: Collection[str]) -> list[Failover]:
    """For each of these nodes, or for all when none is named, as if it alone died."""
    unknown = sorted(set(nodes) - found.nodes.keys())
    if unknown:
        remedy = f"give some of {', '.join(sorted(found.nodes))}"
        raise InvalidRequest("it is not part of the cluster", obj=f"node {unknown[0]}", option="--node", remedy=remedy)
    return list(failovers(found, nodes or None))


def text(report: Failover) -> str:
    """The report for people, a line for each VM."""
    lines = [report.sentence]
    lines += [f"  {number:>3}. {move.vm} -> {move.to}: {move.why}" for number, move in enumerate(report.moves, 1)]
    lines += [f"       {vm} waits: {why}" for vm, why in report.waiting]
    lines += [f"       {vm} stays: {why}" for vm, why in report.staying]
    return "\n".join(lines)
