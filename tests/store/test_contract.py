# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every store does: each test runs against the one in memory and against a real ZooKeeper."""

from __future__ import annotations

import pytest

from pvc_state.connection import digest
from pvc_state.errors import AccessDenied, StoreUnavailable
from pvc_state.store import (
    ANYONE,
    Access,
    Check,
    CommitRefused,
    Create,
    Delete,
    Op,
    Refused,
    SessionState,
    Set,
    Store,
    absent,
)
from tests.store.harness import Harness, Recorder


def refusal(store: Store, *ops: Op) -> tuple[Op, Refused]:
    with pytest.raises(CommitRefused) as info:
        store.commit(ops)
    return info.value.op, info.value.reason


def after_all_watches(store: Store) -> None:
    """Returns once every watch of this client that has been caused so far was called: they come in order."""
    barrier = Recorder()
    store.commit([Create("/barrier")])
    store.get("/barrier", barrier)
    store.commit([Delete("/barrier", 0)])
    barrier.await_call("/barrier")


# --- reading and writing --------------------------------------------------------------------------------------------


def test_create_and_read_back(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a", b"\x00data"), Create("/a/b")])
    znode = store.get("/a")
    assert znode is not None
    assert (znode.data, znode.version, znode.owner) == (b"\x00data", 0, 0)
    assert znode.czxid == znode.mzxid > 0
    assert store.children("/a") == ["b"]
    assert store.children("/a/b") == []


def test_what_does_not_exist(harness: Harness) -> None:
    store = harness.connect()
    assert store.get("/nothing") is None
    assert store.children("/nothing") is None
    assert store.get("/nothing/below") is None


def test_the_root_is_a_znode(harness: Harness) -> None:
    store = harness.connect()
    assert store.get("/") is not None
    assert store.children("/") == []


def test_a_root_that_does_not_exist_can_be_created(harness: Harness) -> None:
    store = harness.connect(root="/absent-" + harness.connect().__class__.__name__)
    assert store.get("/") is None
    store.commit([Create("/"), Create("/a", b"x")])
    assert store.children("/") == ["a"]
    assert refusal(store, Create("/")) == (Create("/"), Refused.NODE_EXISTS)


def test_roots_are_separate(harness: Harness) -> None:
    outer = harness.connect()
    outer.commit([Create("/inner"), Create("/a", b"outer")])
    inner = harness.connect(root=f"{harness.root}/inner")
    inner.commit([Create("/a", b"inner")])
    assert [znode and znode.data for znode in outer.get_many(["/a", "/inner/a"])] == [b"outer", b"inner"]


def test_children_are_sorted(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create(f"/{name}") for name in ("c", "a", "b")])
    assert store.children("/") == ["a", "b", "c"]


def test_set_counts_versions_and_transactions(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a", b"0")])
    before = store.get("/a")
    store.commit([Set("/a", b"1", 0)])
    after = store.get("/a")
    assert before is not None
    assert after is not None
    assert (after.data, after.version, after.czxid) == (b"1", 1, before.czxid)
    assert after.mzxid > before.mzxid


def test_a_recreated_znode_is_another_one(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    first = store.get("/a")
    store.commit([Set("/a", b"", 0), Delete("/a", 1), Create("/a")])
    second = store.get("/a")
    assert first is not None
    assert second is not None
    assert second.version == 0
    assert second.czxid > first.czxid


def test_many_are_read_in_order(harness: Harness) -> None:
    store = harness.connect()
    names = [f"/n{index}" for index in range(1500)]
    store.commit([Create(name, name.encode()) for name in names])
    wanted = [*reversed(names), "/nothing"]
    assert [znode and znode.data for znode in store.get_many(wanted)] == [*(n.encode() for n in reversed(names)), None]
    assert store.get_many([]) == []


def test_sync_shows_what_others_committed(harness: Harness) -> None:
    writer, reader = harness.connect(), harness.connect()
    writer.commit([Create("/a")])
    reader.sync()
    assert reader.get("/a") is not None


# --- commits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Create("/a"), Refused.NODE_EXISTS),
        (Create("/nothing/x"), Refused.NO_NODE),
        (Create("/eph/x"), Refused.EPHEMERAL_PARENT),
        (Set("/a", b"", 1), Refused.BAD_VERSION),
        (Set("/nothing", b"", 0), Refused.NO_NODE),
        (Check("/a", 1), Refused.BAD_VERSION),
        (Check("/nothing", 0), Refused.NO_NODE),
        (Delete("/a/b", 1), Refused.BAD_VERSION),
        (Delete("/a", 0), Refused.NOT_EMPTY),
        (Delete("/nothing", 0), Refused.NO_NODE),
    ],
    ids=str,
)
def test_one_refused_operation_refuses_all(harness: Harness, op: Op, reason: Refused) -> None:
    store = harness.connect()
    store.commit([Create("/a", b"kept"), Create("/a/b"), Create("/eph", ephemeral=True)])
    before = store.get("/a")
    ops = [Create("/new"), Check("/a", 0), op, Create("/later")]
    assert refusal(store, *ops) == (op, reason)
    assert store.get("/a") == before
    assert store.children("/") == ["a", "eph"]
    assert store.children("/a") == ["b"]


def test_the_first_refused_operation_is_named(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    assert refusal(store, Check("/a", 0), Check("/a", 7), Create("/a")) == (Check("/a", 7), Refused.BAD_VERSION)


def test_operations_of_a_commit_see_those_before(harness: Harness) -> None:
    store = harness.connect()
    store.commit(
        [Create("/a"), Set("/a", b"1", 0), Check("/a", 1), Create("/a/b"), Delete("/a/b", 0), Set("/a", b"2", 1)]
    )
    znode = store.get("/a")
    assert znode is not None
    assert (znode.data, znode.version) == (b"2", 2)


def test_a_refused_commit_undoes_everything(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a", b"0"), Create("/b"), Create("/mine", ephemeral=True)])
    before = store.get_many(["/a", "/b", "/mine"])
    refusal(
        store,
        Set("/a", b"1", 0),
        Delete("/b", 0),
        Create("/b", b"again"),
        Delete("/mine", 0),
        Create("/mine", b"persistent"),
        Check("/nothing", 0),
    )
    assert store.get_many(["/a", "/b", "/mine"]) == before


def test_absent_holds_for_what_is_not_there_and_leaves_nothing(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/gone", ephemeral=True), Create("/a")])
    other.sync()
    assert refusal(other, *absent("/gone"), Set("/a", b"1", 0)) == (Create("/gone"), Refused.NODE_EXISTS)
    store.close()
    other.commit([*absent("/gone"), Set("/a", b"1", 0)])
    assert other.children("/") == ["a"]
    # a second time: what the first one made and removed does not count
    other.commit([*absent("/gone"), Set("/a", b"2", 1)])


def test_absent_and_then_create_in_one_commit(harness: Harness) -> None:
    store = harness.connect()
    store.commit([*absent("/a"), Create("/a", b"x", ephemeral=True)])
    znode = store.get("/a")
    assert znode is not None
    assert (znode.data, znode.version, znode.owner) == (b"x", 0, store.session_id)


def test_an_empty_commit_is_nothing(harness: Harness) -> None:
    harness.connect().commit([])


def test_one_transaction_has_one_id(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a"), Create("/b")])
    a, b = store.get_many(["/a", "/b"])
    assert a is not None
    assert b is not None
    assert a.czxid == b.czxid


def test_only_one_of_two_writers_wins(harness: Harness) -> None:
    one, two = harness.connect(), harness.connect()
    one.commit([Create("/a")])
    one.commit([Set("/a", b"one", 0)])
    assert refusal(two, Set("/a", b"two", 0))[1] is Refused.BAD_VERSION


# --- watches --------------------------------------------------------------------------------------------------------


def test_a_data_watch_is_called_once(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    store.commit([Set("/a", b"1", 0)])
    calls.await_calls("/a")
    store.commit([Set("/a", b"2", 1)])
    after_all_watches(store)
    assert calls.calls == ["/a"]


def test_a_data_watch_is_called_on_deletion(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    store.commit([Delete("/a", 0)])
    calls.await_calls("/a")


def test_a_watch_on_nothing_is_called_on_creation(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    data, children = Recorder(), Recorder()
    assert store.get("/a", data) is None
    assert store.children("/a", children) is None
    other.commit([Create("/a")])
    data.await_calls("/a")
    children.await_calls("/a")


def test_a_children_watch_sees_names_not_data(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a"), Create("/a/b")])
    calls = Recorder()
    store.children("/a", calls)
    store.commit([Set("/a", b"1", 0), Set("/a/b", b"1", 0)])
    after_all_watches(store)
    assert calls.calls == []
    store.commit([Create("/a/c")])
    calls.await_calls("/a")
    again = Recorder()
    store.children("/a", again)
    store.commit([Delete("/a/c", 0)])
    again.await_calls("/a")
    after_all_watches(store)
    assert calls.calls == ["/a"]


def test_a_children_watch_is_called_on_deletion(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.children("/a", calls)
    store.commit([Delete("/a", 0)])
    calls.await_calls("/a")


def test_a_data_watch_does_not_see_children(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    store.commit([Create("/a/b")])
    after_all_watches(store)
    assert calls.calls == []


def test_the_same_watch_left_twice_is_called_once(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    store.get("/a", calls)
    store.commit([Set("/a", b"1", 0)])
    after_all_watches(store)
    assert calls.calls == ["/a"]


def test_many_are_read_with_a_watch_on_each_that_exists(harness: Harness) -> None:
    store = harness.connect()
    names = [f"/n{index}" for index in range(700)]
    store.commit([Create(name) for name in names])
    calls = Recorder()
    assert store.get_many([*names, "/nothing"], calls)[-1] is None
    store.commit([Create("/nothing"), Set("/n3", b"1", 0), Delete("/n698", 0), Set("/n699", b"1", 0)])
    store.commit([Set("/n3", b"2", 1), Set("/nothing", b"1", 0)])
    store.sync()
    assert calls.calls == ["/n3", "/n698", "/n699"]


def test_sync_returns_after_the_watches_that_were_set_off_before(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    names = [f"/n{index}" for index in range(300)]
    other.commit([Create(name) for name in names])
    store.sync()
    calls = Recorder()
    store.get_many(names, calls)
    store.children("/", calls)
    other.commit([Delete(name, 0) for name in names])
    store.sync()
    assert sorted(calls.calls) == sorted(["/", *names])


def test_a_refused_commit_calls_no_watch(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    store.children("/a", calls)
    refusal(store, Set("/a", b"1", 0), Create("/a/b"), Check("/a", 9))
    after_all_watches(store)
    assert calls.calls == []


def test_watches_see_what_other_clients_do(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/a")])
    calls = Recorder()
    store.get("/a", calls)
    other.commit([Set("/a", b"1", 0)])
    calls.await_calls("/a")
    znode = store.get("/a")
    assert znode is not None
    assert znode.data == b"1"


def test_a_watch_may_read_and_write(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    done = Recorder()

    def react(path: str) -> None:
        znode = store.get(path)
        store.commit([Create("/reaction", znode.data if znode else b"")])
        done(path)

    store.get("/a", react)
    store.commit([Set("/a", b"1", 0)])
    done.await_calls("/a")
    znode = store.get("/reaction")
    assert znode is not None
    assert znode.data == b"1"


def test_a_lost_connection_calls_all_watches(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a")])
    data, missing, children = Recorder(), Recorder(), Recorder()
    store.get("/a", data)
    store.get("/nothing", missing)
    store.children("/", children)
    harness.cut(store)
    data.await_calls("/a")
    missing.await_calls("/nothing")
    children.await_calls("/")


# --- sessions -------------------------------------------------------------------------------------------------------


def test_an_ephemeral_belongs_to_its_session(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/mine", b"x", ephemeral=True)])
    other.sync()
    znode = other.get("/mine")
    assert znode is not None
    assert znode.owner == store.session_id != 0
    assert other.session_id not in (0, store.session_id)


def test_closing_ends_the_session_at_once(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/mine", ephemeral=True)])
    gone, names, states = Recorder(), Recorder(), Recorder()
    store.on_session(states)
    other.sync()
    other.get("/mine", gone)
    other.children("/", names)
    store.close()
    store.close()
    gone.await_calls("/mine")
    names.await_calls("/")
    states.await_calls(SessionState.LOST)
    assert other.get("/mine") is None
    assert store.session_id == 0
    with pytest.raises(StoreUnavailable):
        store.get("/")


def test_a_closed_store_calls_no_watch(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    other.commit([Create("/a")])
    store.sync()
    calls = Recorder()
    store.get("/a", calls)
    store.close()
    other.commit([Set("/a", b"", 0)])
    after_all_watches(other)
    assert calls.calls == []


def test_an_ephemeral_can_be_deleted_and_made_by_another(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/alive", b"old", ephemeral=True)])
    other.sync()
    other.commit([Delete("/alive", 0), Create("/alive", b"new", ephemeral=True)])
    store.sync()
    store.close()
    znode = other.get("/alive")
    assert znode is not None
    assert (znode.data, znode.owner) == (b"new", other.session_id)


def test_an_expired_session_is_lost_and_replaced(harness: Harness) -> None:
    store, other = harness.connect(), harness.connect()
    store.commit([Create("/mine", ephemeral=True)])
    first, states, gone = store.session_id, Recorder(), Recorder()
    store.on_session(states)
    other.sync()
    other.get("/mine", gone)
    harness.expire(store)
    gone.await_calls("/mine")
    states.await_calls(SessionState.SUSPENDED, SessionState.LOST, SessionState.CONNECTED)
    assert store.session_id not in (0, first)
    assert store.get("/mine") is None


def test_a_cut_connection_suspends_and_fails_at_once(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/a", ephemeral=True)])
    first, states = store.session_id, Recorder()
    store.on_session(states)
    harness.cut(store)
    states.await_calls(SessionState.SUSPENDED)
    assert store.session_id == first
    for call in (
        lambda: store.get("/a"),
        lambda: store.get_many(["/a"]),
        lambda: store.children("/"),
        lambda: store.commit([Create("/b")]),
        store.sync,
    ):
        with pytest.raises(StoreUnavailable):
            call()
    harness.heal(store)
    states.await_calls(SessionState.SUSPENDED, SessionState.CONNECTED)
    assert store.session_id == first
    assert store.children("/") == ["a"]


def test_a_session_that_ends_while_cut_off_is_lost_only_once_healed(harness: Harness) -> None:
    store, other = harness.connect(session_timeout=0.6), harness.connect()
    store.commit([Create("/mine", ephemeral=True)])
    first, states = store.session_id, Recorder()
    store.on_session(states)
    harness.cut(store)
    harness.outlive(store)
    other.sync()
    assert other.get("/mine") is None
    assert states.calls == [SessionState.SUSPENDED]
    harness.heal(store)
    states.await_calls(SessionState.SUSPENDED, SessionState.LOST, SessionState.CONNECTED)
    assert store.session_id not in (0, first)
    store.commit([Create("/mine", ephemeral=True)])


# --- access ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("intruder", [{}, {"username": "pvc", "password": "wrong"}], ids=["nobody", "wrong-password"])
def test_what_a_user_creates_is_for_that_user_alone(harness: Harness, intruder: dict[str, str]) -> None:
    owner = harness.connect(username="pvc", password="right")
    owner.commit([Create("/tree", b"x"), Create("/tree/below")])
    again = harness.connect(username="pvc", password="right")
    again.sync()
    again.commit([Set("/tree", b"y", 0)])
    other = harness.connect(**intruder)
    other.sync()
    for call in (
        lambda: other.get("/tree"),
        lambda: other.get_many(["/", "/tree"]),
        lambda: other.children("/tree"),
        lambda: other.commit([Set("/tree", b"z", 1)]),
        lambda: other.commit([Check("/tree", 1)]),
        lambda: other.commit([Create("/tree/new")]),
        lambda: other.commit([Delete("/tree/below", 0)]),
    ):
        with pytest.raises(AccessDenied):
            call()
    # whether it exists is nobody's secret
    assert other.children("/") == ["tree"]


def test_what_is_created_without_credentials_is_open(harness: Harness) -> None:
    harness.connect().commit([Create("/tree", b"x")])
    user = harness.connect(username="pvc", password="right")
    user.sync()
    user.commit([Set("/tree", b"y", 0), Create("/tree/closed")])
    with pytest.raises(AccessDenied):
        harness.connect().get("/tree/closed")


def test_what_an_owner_creates_has_the_access_of_the_root(harness: Harness) -> None:
    owner = harness.connect(username="pvc", password="right", root=f"{harness.root}/tree")
    owner.commit([Create("/"), Create("/old")])
    mine, reading = frozenset({digest("pvc", "right")}), frozenset({digest("reader", "looks")})
    assert owner.identity in mine
    assert owner.everything() == ["/", "/old"]
    assert owner.access(["/", "/old", "/missing"]) == [Access(mine), Access(mine), None]
    owner.grant(["/", "/missing"], Access(mine, reading))
    owner.commit([Set("/", b"", 0)])
    owner.commit([Create("/new", b"x"), Create("/new/below"), Create("/mine", ephemeral=True)])
    assert owner.access(["/", "/old", "/new", "/new/below", "/mine"]) == [
        Access(mine, reading),
        Access(mine),
        *[Access(mine, reading)] * 3,
    ]

    reader = harness.connect(username="reader", password="looks", root=f"{harness.root}/tree")
    reader.sync()
    found = reader.get("/new")
    assert found is not None
    assert found.data == b"x"
    assert reader.children("/new") == ["below"]
    assert reader.get_many(["/new/below", "/mine"])[0] is not None
    reader.commit([Check("/new", 0)])
    for call in (
        lambda: reader.get("/old"),
        lambda: reader.commit([Set("/new", b"z", 0)]),
        lambda: reader.commit([Create("/new/more")]),
        lambda: reader.commit([Create("/more", ephemeral=True)]),
        lambda: reader.commit([Delete("/new/below", 0)]),
        lambda: reader.grant(["/new"], Access(frozenset({reader.identity}))),
    ):
        with pytest.raises(AccessDenied):
            call()
    with pytest.raises(AccessDenied):
        harness.connect(username="reader", password="guesses", root=f"{harness.root}/tree").get("/new")


def test_who_has_read_the_access_before_creates_with_the_present_one(harness: Harness) -> None:
    owner, other = (harness.connect(username="pvc", password="right", root=f"{harness.root}/tree") for _one in range(2))
    owner.commit([Create("/")])
    other.sync()
    other.commit([Create("/before")])
    both = Access(frozenset({owner.identity}), frozenset({digest("reader", "looks")}))
    owner.grant(["/"], both)
    owner.commit([Set("/", b"", 0)])
    other.commit([Create("/after")])
    assert other.access(["/before", "/after"]) == [Access(both.owners), both]


def test_what_was_created_without_credentials_says_so(harness: Harness) -> None:
    store = harness.connect()
    store.commit([Create("/tree")])
    assert store.identity == ""
    assert store.access(["/tree"]) == [Access(frozenset({ANYONE}))]
