# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""If a node of the running cluster died now: which VM would go where, in what order, what would not fit, and why."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pvc_state.connection import Connection
from pvc_state.errors import InvalidRequest
from pvc_state.failover_report import Failover, failovers
from pvc_state.snapshot import Snapshot, load

from .. import config


def snapshot(path: Path) -> Snapshot:
    """The running cluster, read as the agent with this configuration reads it; nothing is written.

    Raises ConfigError, and what a store raises.
    """
    # needed for this only, and not where a case is played
    from pvc_state.kazoo_store import connect

    known = config.load(path).zookeeper
    connection = Connection(
        hosts=known.hosts,
        root=known.root,
        username=known.username,
        password=known.password,
        tls=known.tls,
        ca_file=known.ca_file,
        cert_file=known.cert_file,
        key_file=known.key_file,
        connect_timeout=known.connect_timeout,
    )
    store = connect(connection)
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
