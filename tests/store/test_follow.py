# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following goes on through lost connections and sessions, on both stores, and ends when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from pvc_state import paths
from pvc_state.codec import encode
from pvc_state.errors import AccessDenied, InvalidRequest
from pvc_state.follow import Follower
from pvc_state.happening import Event
from pvc_state.records import Schema
from pvc_state.store import Set
from tests.store.harness import LONG, PATIENCE, Harness
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request


@pytest.fixture
def cluster(harness: Harness) -> Iterator[Cluster]:
    cluster = Cluster(2, store=harness.connect())
    cluster.apply(request("web1"), request("web2"))
    yield cluster
    cluster.store.close()


def move(cluster: Cluster, name: str) -> None:
    owner = cluster.snapshot.owner(name)
    cluster.agents[owner or ""].hand_over(name, "node2" if owner == "node1" else "node1")


def moves(follower: Follower, count: int) -> list[str]:
    """So many moves, however many batches they come in."""
    found: list[Event] = []
    while len(found) < count:
        batch = follower.read()
        assert batch is not None
        found += [event for event in batch[0] if event.type == "vm_moved"]
    return [f"{event.name} {event.details['epoch']}" for event in found]


def test_what_happens_while_it_is_cut_off_is_told_afterwards(harness: Harness, cluster: Cluster) -> None:
    store = harness.connect(session_timeout=LONG)
    follower = Follower(store)
    follower.read()
    harness.cut(store)
    move(cluster, "web1")
    harness.heal(store)
    assert moves(follower, 1) == ["web1 2"]
    move(cluster, "web2")
    assert moves(follower, 1) == ["web2 2"]
    store.close()


def test_a_session_that_ends_is_replaced_and_nothing_is_lost(harness: Harness, cluster: Cluster) -> None:
    store = harness.connect()
    follower = Follower(store)
    follower.read()
    harness.expire(store)
    move(cluster, "web1")
    assert moves(follower, 1) == ["web1 2"]
    move(cluster, "web1")
    assert moves(follower, 1) == ["web1 3"]
    store.close()


def test_it_waits_without_asking_and_is_woken_by_what_happens(harness: Harness, cluster: Cluster) -> None:
    store = harness.connect()
    follower = Follower(store)
    follower.read()
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.extend(moves(follower, 2)))
    reader.start()
    move(cluster, "web1")
    move(cluster, "web2")
    reader.join(PATIENCE)
    assert sorted(found) == ["web1 2", "web2 2"]
    store.close()


def test_it_ends_when_it_is_told_to(harness: Harness, cluster: Cluster) -> None:
    store = harness.connect()
    follower = Follower(store)
    follower.read()
    batches: list[object] = []
    reader = threading.Thread(target=lambda: batches.append(follower.read()))
    reader.start()
    follower.stop()
    reader.join(PATIENCE)
    assert batches == [None]
    store.close()


def test_a_tree_that_is_replaced_is_not_taken_for_the_same(harness: Harness, cluster: Cluster) -> None:
    store = harness.connect()
    follower = Follower(store)
    follower.read()
    cluster.store.commit([Set(paths.SCHEMA, encode(Schema(1, "lab", "other")), 0)])
    move(cluster, "web1")
    with pytest.raises(InvalidRequest, match="the store holds lab with id other"):
        follower.read()
    store.close()


def test_who_may_not_read_is_told_so(harness: Harness) -> None:
    owner = harness.connect(username="pvc", password="secret")
    Cluster(1, store=owner)
    stranger = harness.connect()
    with pytest.raises(AccessDenied):
        Follower(stranger)
    owner.close()
    stranger.close()
