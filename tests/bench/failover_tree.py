# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When what changed in the cluster's tree while a node was dead: one look after the other, from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.errors import PvcError
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import Snapshot, load

from tests.bench.failover_lab import Cluster

#: Seconds between two looks: how exact the moments are.
PAUSE = 0.05


@dataclass
class Moments:
    """When it was first seen, by the monotonic clock; what has not been seen is missing.

    Attributes:
        events: ``session``: the victim's agent has none any more; ``fence``: its fence is there; ``proven``.
        claimed, running: by VM: another node has its claim; that node's agent says that it runs.
    """

    events: dict[str, float] = field(default_factory=dict)
    claimed: dict[str, float] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)

    def look(self, snapshot: Snapshot, victim: str, vms: list[str]) -> None:
        """Note what is new."""
        now = time.monotonic()
        if victim not in snapshot.alive:
            self.events.setdefault("session", now)
        fence = snapshot.fences.get(victim)
        if fence is not None and fence.value is not None:
            self.events.setdefault("fence", now)
            if fence.value.proven_by:
                self.events.setdefault("proven", now)
        for vm in vms:
            owner = snapshot.owner(vm)
            if owner is None or owner == victim:
                continue
            self.claimed.setdefault(vm, now)
            self.owners[vm] = owner
            report = snapshot.report(owner)
            status = report.vms.get(vm) if report else None
            if status is not None and status.state == "running":
                self.running.setdefault(vm, now)


@contextmanager
def watching(cluster: Cluster, victim: str, vms: list[str]) -> Iterator[Callable[[], Moments]]:
    """Look all the time in a thread; gives a function that returns what has been seen so far."""
    moments, ended = Moments(), threading.Event()

    def look() -> None:
        with cluster.store() as store:
            while not ended.wait(PAUSE):
                try:
                    moments.look(load(store), victim, vms)
                except PvcError:
                    continue  # ZooKeeper elects a leader

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield lambda: moments
    finally:
        ended.set()
        thread.join(30)
