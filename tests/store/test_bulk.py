# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans, large and many at once, against both stores."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pvc_state import paths, staging
from pvc_state.commit import commit
from pvc_state.plan_vm import plan_vms
from pvc_state.requests import VmRequest
from pvc_state.snapshot import load
from pvc_state.store import Create
from tests.store.harness import Harness
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request

TIB = 1 << 20  # MiB


def in_threads(*jobs: Callable[[], None]) -> None:
    """Run all at once; the first failure fails the test."""
    failures: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as err:
            failures.append(err)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_a_thousand_vms_are_one_change(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    requests = [request(f"vm{index:04}", memory=64, description="x" * 200) for index in range(1000)]
    before = cluster.snapshot.journal
    made = cluster.apply(*requests)
    assert staging.size(made.plan.ops) > staging.LIMIT, "too little to be staged"
    reader = harness.connect()
    snapshot = load(reader)
    assert len(snapshot.vms) == len(snapshot.claims) == 1000
    assert snapshot.journal - before >= 3, "pointed at, and moved past two chunks at least"
    assert reader.children(paths.STAGED) == []
    assert not cluster.apply(*requests).plan.changed
    assert len(cluster.apply(*(VmRequest(one.name, vcpus=2) for one in requests)).plan.changes) == 1000
    assert len(cluster.apply(*(VmRequest(one.name, state="absent") for one in requests)).plan.changes) == 1000


def test_writers_at_once_all_succeed_and_readers_see_whole_commits(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    stop = threading.Event()

    def write(writer: int) -> None:
        store = harness.connect()
        for index in range(5):
            pair = [request(f"{side}-{writer}-{index}", memory=64) for side in ("left", "right")]
            assert commit(store, lambda snapshot, pair=pair: plan_vms(snapshot, pair)).plan.changed  # type: ignore[misc]

    def read() -> None:
        store = harness.connect()
        while not stop.is_set():
            names = set(load(store).vms)
            assert {name.replace("left", "right") for name in names} == {n for n in names if n.startswith("right")}

    def all_writers() -> None:
        try:
            in_threads(*(lambda writer=writer: write(writer) for writer in range(6)))  # type: ignore[misc]
        finally:
            stop.set()

    in_threads(all_writers, read)
    snapshot = cluster.snapshot
    assert len(snapshot.vms) == 60
    assert sum(snapshot.reserved.values()) == 60 * 64


def test_what_a_dead_stager_left_is_swept(harness: Harness) -> None:
    cluster = Cluster(store=harness.connect(), memory=TIB)
    stager = harness.connect()
    stager.commit([Create(paths.staged("t")), Create(f"{paths.staged('t')}/owner", ephemeral=True)])
    stager.commit([Create(paths.staged("t", 0), b"[]")])
    staging._sweep(cluster.store)
    assert cluster.store.children(paths.STAGED) == ["t"]
    stager.close()
    cluster.store.sync()
    staging._sweep(cluster.store)
    assert cluster.store.children(paths.STAGED) == []
