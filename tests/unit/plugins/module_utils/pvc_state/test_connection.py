# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings that are wrong by themselves, and the words for a store that cannot be reached."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import pvc_state
from pvc_state.connection import Connection, Failure, tls_context, unavailable, unreached
from pvc_state.errors import InvalidRequest


@pytest.mark.parametrize(
    ("tls", "host", "address"),
    [
        (True, "10.0.0.1:2281", ("10.0.0.1", 2281)),
        (True, "zk1", ("zk1", 2281)),
        (False, "zk1.example.org", ("zk1.example.org", 2181)),
        (True, "[fd00::1]", ("fd00::1", 2281)),
        (True, " [fd00::1]:99 ", ("fd00::1", 99)),
    ],
)
def test_servers_with_and_without_port(tls: bool, host: str, address: tuple[str, int]) -> None:
    assert Connection((host,), tls=tls).addresses() == [address]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hosts": ()}, "hosts: it is empty; name at least one ZooKeeper server as host:port"),
        ({"hosts": ("a b",)}, "hosts: 'a b' is no server; give host:port, or [address]:port for IPv6"),
        ({"hosts": ("a:0",)}, "hosts: 'a:0' is no server; give host:port, or [address]:port for IPv6"),
        ({"hosts": ("a:70000",)}, "hosts: 'a:70000' is no server; give host:port, or [address]:port for IPv6"),
        ({"hosts": ("fd00::1",)}, "hosts: 'fd00::1' is no server; give host:port, or [address]:port for IPv6"),
        ({"hosts": ("a,b",)}, "hosts: 'a,b' is no server; give host:port, or [address]:port for IPv6"),
        ({"root": "pvc"}, "root: 'pvc' is no path; give a path such as /pvc"),
        ({"root": "/pvc/"}, "root: '/pvc/' is no path; give a path such as /pvc"),
        ({"root": "/a//b"}, "root: '/a//b' is no path; give a path such as /pvc"),
        ({"root": "/.."}, "root: '/..' is no path; give a path such as /pvc"),
        ({"root": ""}, "root: '' is no path; give a path such as /pvc"),
        ({"username": "pvc"}, "password: it is missing; give username and password, or neither"),
        ({"password": "x"}, "username: it is missing; give username and password, or neither"),
        ({"username": "a:b", "password": "x"}, "username: it contains a colon; ZooKeeper's users have none"),
        ({"connect_timeout": 0}, "connect_timeout: 0 is not possible; give seconds above 0"),
        ({"session_timeout": -1}, "session_timeout: -1 is not possible; give seconds above 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_right(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as info:
        Connection(**{"hosts": ("zk1",), **options}).check()
    assert str(info.value) == text


@pytest.mark.parametrize("root", ["/", "/pvc", "/a/b-c_d.e/..f"])
def test_roots_that_are_fine(root: str) -> None:
    Connection(("zk1",), root=root).check()


def test_without_tls_no_file_is_looked_at() -> None:
    assert tls_context(Connection(("zk1",), tls=False, ca_file="/nothing")) is None


def test_the_worst_failure_gives_the_remedy() -> None:
    connection = Connection(("a", "b"))
    failures = {
        "a:2281": unreached("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required"),
        "b:2281": unreached("Connection refused"),
    }
    assert str(unavailable(connection, failures, 0)) == (
        "hosts: no ZooKeeper server lets us in: a:2281: it refuses our certificate, or that we give none; "
        "b:2281: connection refused; give cert_file and key_file, signed by an authority that the servers accept"
    )
    assert unavailable(connection, {}, 3).remedy == Failure.NETWORK.value


def test_a_server_that_is_restarting_is_worth_waiting_for() -> None:
    assert not any(
        unreached(words).kind.lasting for words in ("Connection refused", "socket connection broken", "timed out")
    )


def test_only_the_store_itself_needs_kazoo() -> None:
    """On a target without kazoo every module of the library imports, and connecting says what is missing."""
    library = Path(pvc_state.__path__[0])
    names = sorted(path.stem for path in library.glob("*.py") if path.stem != "__init__")
    program = f"""
import sys
sys.modules["kazoo"] = None
sys.path.insert(0, {str(library.parent)!r})
import importlib
for name in {names!r}:
    importlib.import_module("pvc_state." + name)
from pvc_state.connection import Connection
from pvc_state.kazoo_store import HAS_KAZOO, KAZOO_IMPORT_ERROR, connect
assert not HAS_KAZOO and "kazoo" in KAZOO_IMPORT_ERROR
try:
    connect(Connection(("zk1",)))
except Exception as err:
    print(err)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ("the Python library kazoo is missing; install kazoo 2.8 or later (Debian: python3-kazoo)\n")
