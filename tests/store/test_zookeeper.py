# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What only the real store has: TLS, servers that are not there, and what its user is told about it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pvc_state.connection import Connection
from pvc_state.errors import AccessDenied, InvalidRequest, OutcomeUnknown, StoreUnavailable
from pvc_state.kazoo_store import KazooStore, connect
from pvc_state.store import Create, Set
from tests.store.harness import PATIENCE, Recorder, ZooKeeperHarness
from tests.store.server import Server

SOON = 1.5


@pytest.fixture
def real(server: Server) -> Iterator[ZooKeeperHarness]:
    harness = ZooKeeperHarness(server, f"/zk{time.monotonic_ns()}")
    yield harness
    harness.close()


@contextmanager
def connected(*hosts: str, **options: Any) -> Iterator[KazooStore]:
    store = connect(Connection(hosts, **{"connect_timeout": PATIENCE, "session_timeout": 3.0, **options}))
    try:
        yield store
    finally:
        store.close()


def failure(*hosts: str, error: type[Exception] = StoreUnavailable, **options: Any) -> str:
    with pytest.raises(error) as info, connected(*hosts, **{"connect_timeout": SOON, **options}):
        pass
    return str(info.value)


def admin(tls_files: Path, **options: Any) -> dict[str, Any]:
    return {
        "ca_file": str(tls_files / "ca.pem"),
        "cert_file": str(tls_files / "admin.crt"),
        "key_file": str(tls_files / "admin.key"),
        "username": "pvc",
        "password": "secret",
        **options,
    }


# --- TLS ------------------------------------------------------------------------------------------------------------


def test_tls_with_client_certificate_and_digest(tls_server: Server, tls_files: Path) -> None:
    host = f"127.0.0.1:{tls_server.tls_port}"
    with connected(host, **admin(tls_files, root="/secure")) as store:
        store.commit([Create("/"), Create("/a", b"x")])
        assert store.children("/") == ["a"]
    assert failure(host, error=AccessDenied, **admin(tls_files, root="/secure", password="wrong")) == (
        "password: the store refuses user pvc access to /secure; "
        "check username and password: ZooKeeper takes any and says no only afterwards"
    )
    assert failure(host, error=AccessDenied, **admin(tls_files, root="/secure", username="", password="")) == (
        "username: the store refuses access to /secure without credentials; give username and password"
    )


def test_many_large_answers_come_through_tls(tls_server: Server, tls_files: Path) -> None:
    with connected(f"127.0.0.1:{tls_server.tls_port}", **admin(tls_files, root="/large")) as store:
        store.commit([Create("/")])
        names = [f"/n{index}" for index in range(40)]
        for name in names:
            store.commit([Create(name, name.encode() * 5000)])
        assert [znode and znode.data for znode in store.get_many(names)] == [name.encode() * 5000 for name in names]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"cert_file": "", "key_file": ""},
            "it refuses our certificate, or that we give none; "
            "give cert_file and key_file, signed by an authority that the servers accept",
        ),
        (
            {"cert_file": "stranger.crt", "key_file": "stranger.key"},
            "it refuses our certificate, or that we give none; "
            "give cert_file and key_file, signed by an authority that the servers accept",
        ),
        (
            {"ca_file": "other-ca.pem"},
            "its certificate is refused: unable to get local issuer certificate; "
            "check ca_file, and that hosts are named as in the servers' certificates",
        ),
        (
            {"ca_file": ""},
            "its certificate is refused: unable to get local issuer certificate; "
            "check ca_file, and that hosts are named as in the servers' certificates",
        ),
    ],
    ids=["no-certificate", "foreign-certificate", "foreign-authority", "no-authority"],
)
def test_certificates_that_do_not_fit_are_told_at_once(
    tls_server: Server, tls_files: Path, options: dict[str, str], text: str
) -> None:
    host = f"127.0.0.1:{tls_server.tls_port}"
    files = {option: str(tls_files / name) if name else "" for option, name in options.items()}
    begin = time.monotonic()
    told = failure(host, **admin(tls_files, connect_timeout=PATIENCE, **files))
    assert told == f"hosts: no ZooKeeper server lets us in: {host}: {text}"
    assert time.monotonic() - begin < PATIENCE / 2


def test_the_servers_name_is_checked(tls_server: Server, tls_files: Path) -> None:
    told = failure(f"localhost:{tls_server.tls_port}", **admin(tls_files))
    assert "Hostname mismatch, certificate is not valid for 'localhost'" in told


def test_no_tls_on_a_port_for_it(tls_server: Server) -> None:
    host = f"127.0.0.1:{tls_server.tls_port}"
    assert failure(host, tls=False) == (
        f"hosts: no ZooKeeper server lets us in within {SOON} s: {host}: it ended the connection; "
        "check that ZooKeeper has a quorum, and that the port is meant for what tls says"
    )


def test_tls_on_a_port_without(server: Server, tls_files: Path) -> None:
    host = f"127.0.0.1:{server.port}"
    assert failure(host, **admin(tls_files)) == (
        f"hosts: no ZooKeeper server lets us in within {SOON} s: {host}: "
        "it does not speak TLS there, or ended the connection; "
        "check that ZooKeeper has a quorum, and that the port is meant for what tls says"
    )


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ca_file": "nothing"}, "ca_file: {dir}/nothing is no readable file; give the path of a PEM file"),
        ({"ca_file": "admin.key"}, "ca_file: {dir}/admin.key holds no certificates: "),
        ({"key_file": "stranger.key"}, "cert_file: {dir}/admin.crt and {dir}/stranger.key are no certificate and its"),
        ({"key_file": ""}, "key_file: it is missing; give cert_file and key_file, or neither"),
    ],
    ids=["missing", "no-certificate", "foreign-key", "no-key"],
)
def test_files_that_are_wrong_are_named(tls_files: Path, options: dict[str, str], text: str) -> None:
    files = {option: str(tls_files / name) if name else "" for option, name in options.items()}
    told = failure("127.0.0.1:1", error=InvalidRequest, **admin(tls_files, **files))
    assert told.startswith(text.format(dir=tls_files))


# --- servers that are not there -------------------------------------------------------------------------------------


def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))  # bound, but not listening
        host = f"127.0.0.1:{sock.getsockname()[1]}"
        assert failure(host, tls=False) == (
            f"hosts: no ZooKeeper server lets us in within {SOON} s: {host}: connection refused; "
            "check hosts, the network between, and that ZooKeeper runs there"
        )


def test_somebody_listens_and_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        told = failure(host, tls=False)
        assert time.monotonic() - begin < SOON + 2
        assert told.startswith(f"hosts: no ZooKeeper server lets us in within {SOON} s: {host}: ")


def test_a_name_that_does_not_resolve() -> None:
    told = failure("nowhere.invalid", tls=False)
    assert "nowhere.invalid:2181: the name does not resolve to an address; check hosts" in told


def test_one_server_of_several_is_enough(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        others = ("127.0.0.1:1", f"127.0.0.1:{silent.getsockname()[1]}")
        with connected(*others, f"127.0.0.1:{server.port}", tls=False, root="/") as store:
            assert store.session_id


def test_every_server_is_named_with_its_own_failure(server: Server) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{sock.getsockname()[1]}"
        told = failure(closed, "nowhere.invalid:7", tls=False)
    assert f"{closed}: connection refused; nowhere.invalid:7: the name does not resolve" in told


def test_nothing_is_printed_about_a_server_that_is_not_there(capfd: pytest.CaptureFixture[str]) -> None:
    failure("127.0.0.1:1", tls=False)
    assert capfd.readouterr() == ("", "")


def test_kazoos_words_go_where_its_logger_leads(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kazoo.client"):
        failure("127.0.0.1:1", tls=False)
    assert any("Connection dropped" in record.getMessage() for record in caplog.records)


# --- connections that break -----------------------------------------------------------------------------------------


def test_it_is_told_who_does_not_answer(real: ZooKeeperHarness) -> None:
    store = real.connect()
    real.cut(store)
    with pytest.raises(StoreUnavailable, match=r"^hosts: no ZooKeeper server lets us in: 127\.0\.0\.1:\d+: "):
        store.get("/")


def test_it_tries_again_every_second_however_long_the_cut(real: ZooKeeperHarness) -> None:
    # to see it takes as long as the cut: kazoo's own limit is an hour
    store = real.connect()
    assert store._client._conn_retry.max_delay <= 1.0
    assert store._client._conn_retry.max_tries == -1


def test_patience_outlasts_a_cut(real: ZooKeeperHarness) -> None:
    store = real.connect(patience=PATIENCE)
    store.commit([Create("/a", b"x")])
    real.cut(store)
    healer = threading.Timer(0.3, real.heal, [store])
    healer.start()
    znode = store.get("/a")
    healer.join()
    assert znode is not None
    store.commit([Set("/a", b"y", 0)])


def test_patience_ends(real: ZooKeeperHarness) -> None:
    store = real.connect(patience=0.3)
    real.cut(store)
    with pytest.raises(StoreUnavailable, match=r"within 0\.3 s"):
        store.get("/")


def test_a_commit_whose_answer_is_lost_says_so(real: ZooKeeperHarness) -> None:
    store, other = real.connect(), real.connect()
    # what the client sends arrives; the answer does not
    real.proxy(store).deafen()
    waiting = Recorder()

    def commit() -> None:
        try:
            store.commit([Create("/a")])
        except OutcomeUnknown as err:
            waiting(str(err))

    thread = threading.Thread(target=commit)
    thread.start()
    seen = Recorder()
    if other.get("/a", seen) is None:
        seen.await_call("/a")
    real.cut(store)
    thread.join()
    assert "took effect as a whole or not at all" in waiting.calls[0]


def test_passwords_are_in_no_text(server: Server) -> None:
    connection = Connection((f"127.0.0.1:{server.port}",), tls=False, username="pvc", password="hush-hush")
    assert "hush-hush" not in repr(connection)
    store = connect(connection)
    try:
        assert "hush-hush" not in repr(store)
    finally:
        store.close()
