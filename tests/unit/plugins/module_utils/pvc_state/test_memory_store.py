# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only the store in memory has, for simulators: a queue of callbacks and a clock. The rest is in tests/store."""

from __future__ import annotations

import pytest

from pvc_state.errors import StoreUnavailable
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.store import Create, SessionState, Set


def test_queued_callbacks_wait_until_they_are_delivered() -> None:
    ensemble = MemoryEnsemble(queued=True)
    store = ensemble.connect()
    store.commit([Create("/a"), Create("/b")])
    calls: list[str] = []
    store.get("/a", calls.append)
    store.get("/b", calls.append)
    store.commit([Set("/b", b"1", 0), Set("/a", b"1", 0)])
    assert calls == []
    assert ensemble.deliver(limit=1) == 1
    assert calls == ["/b"]
    assert ensemble.deliver() == 1
    assert calls == ["/b", "/a"]
    assert ensemble.deliver() == 0


def test_callbacks_that_change_the_tree_do_not_nest() -> None:
    store = MemoryEnsemble().connect()
    store.commit([Create("/a")])
    order: list[str] = []

    def first(_path: str) -> None:
        order.append("begin")
        store.get("/a", second)
        store.commit([Set("/a", b"2", 1)])
        order.append("end")

    def second(_path: str) -> None:
        order.append("second")

    store.get("/a", first)
    store.commit([Set("/a", b"1", 0)])
    assert order == ["begin", "end", "second"]


def test_the_clock_ends_sessions_of_clients_that_are_cut_off() -> None:
    now = 0.0
    ensemble = MemoryEnsemble(lambda: now)
    store, other = ensemble.connect(session_timeout=6.0), ensemble.connect()
    store.commit([Create("/mine", ephemeral=True)])
    now = 100.0
    ensemble.tick()
    assert other.get("/mine"), "a client that is connected is heard of all the time"
    ensemble.cut(store)
    now = 105.9
    ensemble.tick()
    assert other.get("/mine")
    now = 106.0
    ensemble.tick()
    assert other.get("/mine") is None


def test_an_outage_of_the_ensemble_ends_no_session() -> None:
    now = 0.0
    ensemble = MemoryEnsemble(lambda: now)
    store = ensemble.connect()
    states: list[SessionState] = []
    store.on_session(states.append)
    store.commit([Create("/mine", ephemeral=True)])
    session = store.session_id
    ensemble.cut(store)
    ensemble.down()
    now = 1000.0
    ensemble.tick()
    with pytest.raises(StoreUnavailable):
        ensemble.connect()
    ensemble.up()
    ensemble.tick()
    ensemble.heal(store)
    assert states == [SessionState.SUSPENDED, SessionState.CONNECTED]
    assert store.session_id == session
    assert store.get("/mine")


def test_all_clients_see_an_outage() -> None:
    ensemble = MemoryEnsemble()
    one, two = ensemble.connect(), ensemble.connect()
    ensemble.down()
    for store in (one, two):
        with pytest.raises(StoreUnavailable):
            store.sync()
    ensemble.up()
    for store in (one, two):
        store.sync()


def test_a_client_that_closes_while_cut_off_cannot_say_goodbye() -> None:
    now = 0.0
    ensemble = MemoryEnsemble(lambda: now)
    store, other = ensemble.connect(session_timeout=6.0), ensemble.connect()
    store.commit([Create("/mine", ephemeral=True)])
    ensemble.cut(store)
    store.close()
    assert other.get("/mine")
    now = 6.0
    ensemble.tick()
    assert other.get("/mine") is None


def test_the_same_history_gives_the_same_tree() -> None:
    def history() -> list[object]:
        ensemble = MemoryEnsemble()
        store, other = ensemble.connect(), ensemble.connect()
        seen: list[object] = []
        for name in ("c", "a", "b"):
            store.commit([Create(f"/{name}", ephemeral=True)])
            other.get(f"/{name}", seen.append)
        seen += other.get_many(["/a", "/b", "/c"])
        store.close()
        return [*seen, store.session_id, other.session_id]

    assert history() == history()
