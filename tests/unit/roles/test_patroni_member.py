# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told to Patroni, and when its cluster is well."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store import certificates
from tests.unit.roles.scripts import script

member = script("patroni", "member")

NAMES = st.sampled_from(["loop_wait", "pause", "parameters", "postgresql", "max_connections"])
CONFIGURATION = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def patched(current: Any, patch: Any) -> Any:
    """What Patroni makes of a PATCH: objects are merged, null removes a key, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(current) if isinstance(current, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = patched(result.get(key), value)
    return result


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return value


@given(st.dictionaries(NAMES, CONFIGURATION, max_size=4), st.dictionaries(NAMES, CONFIGURATION, max_size=4))
def test_a_configuration_that_was_patched_needs_no_other_patch(current: Any, wanted: Any) -> None:
    current, wanted = without_nulls(current), without_nulls(wanted)
    assert member.difference(patched(current, member.difference(current, wanted)), wanted) == {}


def test_only_what_differs_is_told() -> None:
    current = {"loop_wait": 2, "postgresql": {"use_slots": True, "parameters": {"jit": "off"}}}
    wanted = {"loop_wait": 3, "postgresql": {"use_slots": True, "parameters": {"jit": "off"}}}
    assert member.difference(current, wanted) == {"loop_wait": 3}


def test_a_pause_of_the_administrator_stays() -> None:
    assert member.difference({"pause": True, "loop_wait": 2}, {"loop_wait": 2}) == {}


def test_a_parameter_that_is_no_longer_declared_gets_its_default_back() -> None:
    current = {"postgresql": {"parameters": {"jit": "off", "work_mem": "8MB"}, "pg_ctl_timeout": 5}}
    wanted = {"postgresql": {"parameters": {"jit": "off"}}}
    assert member.difference(current, wanted) == {"postgresql": {"parameters": {"work_mem": None}}}


LEADER = {"name": "node1", "role": "leader", "state": "running", "timeline": 2}
REPLICA = {"name": "node2", "role": "replica", "state": "streaming", "timeline": 2, "lag": 0}


@pytest.mark.parametrize(
    ("members", "expected", "problems"),
    [
        ([LEADER, REPLICA], ["node1", "node2"], []),
        ([LEADER], ["node1"], []),
        # Patroni 3 does not tell a replica that streams from one that only runs
        ([LEADER, {**REPLICA, "state": "running"}], ["node1", "node2"], []),
        ([LEADER, {**REPLICA, "role": "sync_standby"}], ["node1", "node2"], []),
        ([LEADER], ["node1", "node2"], ["node2 is not a member"]),
        ([REPLICA], ["node2"], ["there is no leader"]),
        ([LEADER, {**REPLICA, "state": "starting"}], [], ["node2 is starting"]),
        ([LEADER, {**REPLICA, "state": "in archive recovery"}], [], ["node2 is in archive recovery"]),
        ([LEADER, {**REPLICA, "timeline": 1}], [], ["node2 is on timeline 1, the leader on 2"]),
        ([LEADER, {**REPLICA, "lag": "unknown"}], [], ["node2 does not follow the leader yet"]),
    ],
)
def test_why_a_cluster_is_not_well(members: list[dict[str, Any]], expected: list[str], problems: list[str]) -> None:
    assert member.judge(members, expected) == problems


class Api(BaseHTTPRequestHandler):
    """A member's REST API as far as it is used; its loop goes round once for each time that it is asked for itself."""

    server: Server

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""

    def answer(self, code: int, body: Any) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/cluster":
            url = f"https://127.0.0.1:{self.server.server_port}/patroni"
            self.answer(200, {"members": [{**LEADER, "api_url": url, "pending_restart": True}]})
        elif self.path == "/config":
            self.answer(200, self.server.config)
        else:
            self.server.turns += 1
            self.answer(200, {"dcs_last_seen": self.server.turns // 2})

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.told.append((self.headers["Authorization"], body))
        self.answer(200, patched(self.server.config, body))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(503, "switchover: demote already in progress")


class Server(HTTPServer):
    config: dict[str, Any]
    told: list[tuple[str, Any]]
    turns: int


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A member's API with TLS that wants a certificate, and the configuration file that describes it."""
    certificates.write(tmp_path)
    server = Server(("127.0.0.1", 0), Api)
    server.config, server.told, server.turns = {"loop_wait": 2}, [], 0
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(tmp_path / "node.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    config = {
        "restapi": {
            "connect_address": f"127.0.0.1:{server.server_port}",
            "cafile": str(tmp_path / "ca.pem"),
            "certfile": str(tmp_path / "admin.pem"),
            "keyfile": str(tmp_path / "admin.key"),
            "authentication": {"username": "patroni", "password": "secret"},
        },
        "bootstrap": {"dcs": {"loop_wait": 1}},
    }
    path = tmp_path / "config.yml"
    path.write_text(json.dumps(config))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server, str(path)
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_changed_configuration_is_told_with_the_secret_and_awaited(api: tuple[Server, str]) -> None:
    server, path = api
    assert member.main([path, "configure", '{"loop_wait": 3}']) == {"patch": {"loop_wait": 3}}
    assert server.told == [("Basic cGF0cm9uaTpzZWNyZXQ=", {"loop_wait": 3})]
    # a whole turn of the member's loop was seen to begin and to end after that
    assert server.turns // 2 >= 2


def test_an_equal_configuration_is_not_told(api: tuple[Server, str]) -> None:
    server, path = api
    assert member.main([path, "configure", '{"loop_wait": 2}']) == {"patch": {}}
    assert server.told == []


def test_who_leads_and_who_waits_for_a_restart(api: tuple[Server, str]) -> None:
    _server, path = api
    status = member.main([path, "status", '["node1", "node2"]'])
    assert not status["paused"]
    assert (status["leader"], status["restart"], status["problems"]) == ("node1", ["node1"], ["node2 is not a member"])


def test_a_refusal_says_what_patroni_said(api: tuple[Server, str]) -> None:
    _server, path = api
    with pytest.raises(member.Failed, match="POST /restart with 503 switchover: demote already in progress"):
        member.main([path, "restart"])


def test_a_patroni_that_does_not_run_is_an_error_and_not_a_trace(api: tuple[Server, str]) -> None:
    server, path = api
    server.shutdown()
    server.server_close()
    with pytest.raises(member.Failed, match="does not answer"):
        member.main([path, "status", "[]"])
