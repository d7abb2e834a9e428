# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the daemons of a node answer, and what it is taken for: over real sockets, in the daemons' own protocols."""

from __future__ import annotations

import contextlib
import copy
import json
import queue
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pvc_node_agent.events import Event, ServicesSeen
from pvc_node_agent.health import ask, ceph, frr, lookout, patroni, zookeeper
from pvc_state import kazoo_store
from pvc_state.connection import Connection
from pvc_state.records import Service
from tests.agent import daemons
from tests.store import certificates
from tests.store.server import Server

PATIENCE = 20.0


def only(kind: str, look: lookout.Look) -> Service:
    (service,) = lookout.seen(kind, kind, look)
    return service


# --- ZooKeeper ----------------------------------------------------------------------------------------------------------


def test_a_real_zookeeper(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    try:
        # it answers before it serves: it serves once it has given somebody a session
        kazoo_store.connect(Connection((f"127.0.0.1:{server.port}",), root="/", tls=False)).close()
        service = only("zookeeper", lambda: zookeeper.look("127.0.0.1", server.port))
        assert service == Service("zookeeper", "zookeeper", "serving", role="standalone")
    finally:
        server.stop()
    service = only("zookeeper", lambda: zookeeper.look("127.0.0.1", server.port))
    assert (service.state, service.healthy) == ("no answer", False)
    assert service.why == f"nothing answers on 127.0.0.1:{server.port}: connection refused"


@pytest.mark.parametrize(
    ("answer", "state", "role", "why"),
    [
        ("Zookeeper version: 3.9.3\nZxid: 0x2b\nMode: leader\nNode count: 30\n", "serving", "leader", ""),
        ("Zookeeper version: 3.8.0\nMode: follower\nNode count: 30\n", "serving", "follower", ""),
        (
            "This ZooKeeper instance is not currently serving requests\n",
            "not serving",
            "",
            "it is connected to no majority of the servers, and serves nobody",
        ),
        (
            "srvr is not executed because it is not in the whitelist.\n",
            "no answer",
            "",
            "what answers on here does not allow srvr: add it to 4lw.commands.whitelist",
        ),
        ("", "no answer", "", "what answers on here says nothing to srvr: it may be starting, or no ZooKeeper"),
    ],
)
def test_answers_of_zookeeper(answer: str, state: str, role: str, why: str) -> None:
    service = only("zookeeper", lambda: [zookeeper.read(answer, "here")])
    assert (service.state, service.role, service.why) == (state, role, why)
    assert service.healthy == (not why)


# --- Ceph ---------------------------------------------------------------------------------------------------------------

MON = {
    "name": "node1",
    "rank": 0,
    "state": "leader",
    "quorum": [0, 1],
    "monmap": {"mons": [{"rank": rank, "name": f"node{rank + 1}"} for rank in range(2)]},
}
COUNTED = {
    "num_osd": 3,
    "num_osd_up": 3,
    "num_osd_in": 3,
    "num_pg": 32,
    "num_pg_active_clean": 32,
    "num_object_unfound": 0,
}
ALL_OF_CEPH = {
    "mon.node1": {"mon_status": MON, "perf dump": {"cluster": COUNTED}},
    "mgr.node1": {"mgr_status": {"mgrmap_epoch": 3, "initialized": True}},
    "osd.0": {"status": {"whoami": 0, "state": "active"}},
    "osd.11": {"status": {"whoami": 11, "state": "active"}},
}


@contextlib.contextmanager
def ceph_node(directory: Path, answers: Mapping[str, Mapping[str, Any]]) -> Iterator[lookout.Look]:
    """A node whose units of these daemons are enabled, and that run when there are answers of them."""
    units, sockets = directory / "units", directory / "run"
    with contextlib.ExitStack() as stack:
        for name, table in answers.items():
            kind, ident = name.split(".", 1)
            wants = units / f"ceph-{kind}.target.wants"
            wants.mkdir(parents=True, exist_ok=True)
            (wants / f"ceph-{kind}@{ident}.service").touch()
            if table:
                listener = daemons.unix(sockets / f"ceph-{name}.asok")
                stack.enter_context(daemons.serving(listener, daemons.ceph(table)))
        yield lambda: ceph.look(units, sockets)


def seen_of_ceph(directory: Path, answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Service]:
    with ceph_node(directory, answers) as look:
        return {service.name: service for service in lookout.seen("ceph", "ceph", look)}


def test_all_of_ceph_on_one_node(tmp_path: Path) -> None:
    seen = seen_of_ceph(tmp_path, ALL_OF_CEPH)
    assert seen["mon.node1"] == Service("ceph", "mon.node1", "in quorum", role="leader")
    assert seen["mgr.node1"] == Service("ceph", "mgr.node1", "running", role="active")
    assert seen["osd.0"] == Service("ceph", "osd.0", "up")
    assert seen["osd.11"] == Service("ceph", "osd.11", "up")
    assert (seen["cluster"].state, seen["cluster"].healthy) == ("clean", True)
    assert seen["cluster"].details["pgs_active_clean"] == "32"
    assert len(seen) == 5


def test_a_node_that_leads_nothing(tmp_path: Path) -> None:
    peon = {"mon_status": {**MON, "state": "peon"}, "perf dump": {"cluster": COUNTED}}
    seen = seen_of_ceph(tmp_path, {"mon.node1": peon, "mgr.node1": {"status": {}}})
    assert {name: service.role for name, service in seen.items()} == {"mon.node1": "peon", "mgr.node1": "standby"}
    assert all(service.healthy for service in seen.values())


def test_a_daemon_that_is_dead_hides_no_other(tmp_path: Path) -> None:
    seen = seen_of_ceph(tmp_path, {**ALL_OF_CEPH, "osd.0": {}})
    socket_path = tmp_path / "run" / "ceph-osd.0.asok"
    assert seen["osd.0"].why == f"nothing answers on {socket_path}: no such file or directory"
    assert [name for name, service in seen.items() if not service.healthy] == ["osd.0"]


def test_daemons_that_do_not_take_part(tmp_path: Path) -> None:
    seen = seen_of_ceph(
        tmp_path,
        {
            "mon.node1": {"mon_status": {**MON, "state": "probing"}},
            "osd.0": {"status": {"state": "waiting_for_healthy"}},
        },
    )
    assert seen["mon.node1"].why == "it is not in the monitors' quorum (probing)"
    assert seen["osd.0"].why == "it runs, but the cluster does not use it (waiting_for_healthy)"


def test_a_node_without_ceph(tmp_path: Path) -> None:
    service = only("ceph", lambda: ceph.look(tmp_path, tmp_path))
    assert service.why == f"no unit of a monitor, manager or OSD is enabled on this node (below {tmp_path})"


@pytest.mark.parametrize(
    ("status", "counted", "why"),
    [
        ({}, {}, ""),
        ({"quorum": [0]}, {}, "out of the monitors' quorum: node2"),
        ({}, {"num_osd_up": 1}, "2 of 3 OSDs are down"),
        ({}, {"num_pg_active_clean": 30}, "2 of 32 placement groups are not active and clean"),
        ({}, {"num_object_unfound": 7}, "7 objects are not found on any OSD that is up"),
        (
            {"quorum": [1]},
            {"num_osd_up": 2, "num_pg_active_clean": 0},
            "out of the monitors' quorum: node1; 1 of 3 OSDs are down; 32 of 32 placement groups are not active and clean",
        ),
    ],
)
def test_what_the_leading_monitor_counts(status: dict[str, Any], counted: dict[str, int], why: str) -> None:
    service = ceph.read_cluster({**MON, **status}, {**COUNTED, **counted})
    assert (service.why, service.healthy) == (why, not why)


def test_a_daemon_that_does_not_hang_up_after_its_answer(tmp_path: Path) -> None:
    answer = daemons.ceph({"status": {"state": "active"}})

    def serve(connection: socket.socket) -> bytes:
        connection.sendall(answer(connection))
        return connection.recv(1)

    path = tmp_path / "ceph-osd.0.asok"
    with daemons.serving(daemons.unix(path), serve):
        assert ceph.command(path, "status") == {"state": "active"}


# --- FRR ----------------------------------------------------------------------------------------------------------------


def summary(states: Mapping[str, str]) -> dict[str, Any]:
    peers = {address: {"remoteAs": 65000, "state": state, "idType": "ipv4"} for address, state in states.items()}
    return {"l2VpnEvpn": {"routerId": "10.0.0.1", "as": 65000, "peers": peers, "dynamicPeers": 0}}


@contextlib.contextmanager
def frr_node(directory: Path, answers: Mapping[str, str]) -> Iterator[lookout.Look]:
    path = directory / "bgpd.vty"
    with daemons.serving(daemons.unix(path), daemons.frr(answers)):
        yield lambda: frr.look(path)


def test_neighbours_over_the_socket(tmp_path: Path) -> None:
    answer = json.dumps(summary({"10.0.0.3": "Active", "10.0.0.2": "Established"}))
    with frr_node(tmp_path, {"show bgp summary json": answer}) as look:
        up, down = lookout.seen("frr", "frr", look)
    assert up == Service("frr", "10.0.0.2", "established")
    assert (down.name, down.state, down.healthy) == ("10.0.0.3", "down", False)


def test_an_frr_that_does_not_know_the_question(tmp_path: Path) -> None:
    with frr_node(tmp_path, {}) as look:
        service = only("frr", look)
    assert service.why == ("bgpd does not know `show bgp summary json`: % [BGP] Unknown command: show bgp summary json")


def test_an_frr_that_does_not_run(tmp_path: Path) -> None:
    service = only("frr", lambda: frr.look(tmp_path / "bgpd.vty"))
    assert service.why == f"nothing answers on {tmp_path}/bgpd.vty: no such file or directory"


@pytest.mark.parametrize("state", ["Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Clearing"])
def test_the_states_of_a_neighbour_in_search_of_us_are_one(state: str) -> None:
    (service,) = frr.read({"ipv4Unicast": {"peers": {"10.0.0.2": {"state": state}}}})
    assert (service.state, service.healthy) == ("down", False)


def test_a_neighbour_that_was_shut_down() -> None:
    (service,) = frr.read({"ipv4Unicast": {"peers": {"10.0.0.2": {"state": "Idle (Admin)"}}}})
    assert (service.state, service.why) == ("shut down", "it is shut down in the configuration")


@pytest.mark.parametrize("answer", [{}, {"l2VpnEvpn": {"peers": {}}}, {"warning": "no BGP"}])
def test_an_frr_without_neighbours(answer: dict[str, Any]) -> None:
    assert list(frr.read(answer)) == [Service("frr", "frr", "running")]


# --- Patroni ------------------------------------------------------------------------------------------------------------

LEADER = {
    "state": "running",
    "role": "primary",
    "timeline": 3,
    "replication": [
        {"application_name": "node3", "state": "streaming"},
        {"application_name": "node2", "state": "streaming"},
        {"application_name": "pg_basebackup", "state": "backup"},
    ],
    "database_system_identifier": "7712178392677690949",
    "patroni": {"version": "4.0.7", "scope": "17-main", "name": "node1"},
}
REPLICA = {
    "state": "running",
    "role": "replica",
    "replication_state": "streaming",
    "timeline": 3,
    "database_system_identifier": "7712178392677690949",
    "patroni": {"version": "4.0.7", "scope": "17-main", "name": "node2"},
}


def members(url: str, lag: object = 0) -> dict[str, Any]:
    return {
        "members": [
            {"name": "node1", "role": "leader", "api_url": "https://10.0.0.1:8008/patroni"},
            {"name": "node2", "role": "replica", "api_url": f"{url}/patroni", "lag": lag},
        ]
    }


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    certificates.write(directory)
    return directory


@contextlib.contextmanager
def rest_api(tls: Path, answers: dict[str, Any], client: str = "admin") -> Iterator[patroni.Api]:
    """A member that wants a certificate of the cluster's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "node.pem")
    context.load_verify_locations(tls / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    # as with TLS 1.2, so that a client learns of a refusal while it connects
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    files = (str(tls / "ca.pem"), str(tls / f"{client}.crt"), str(tls / f"{client}.key"))
    answers.setdefault("/cluster", members(url))
    with daemons.serving(listener, daemons.patroni(answers), context):
        yield patroni.Api(url, *files)


def test_a_leader_over_tls(tls: Path) -> None:
    with rest_api(tls, {"/patroni": LEADER}) as api:
        service = only("patroni", lambda: patroni.look(api))
    assert service == Service(
        "patroni",
        "patroni",
        "running",
        role="leader",
        details={"timeline": "3", "system": "7712178392677690949", "streaming": "node2 node3"},
    )


def test_a_replica_over_tls(tls: Path) -> None:
    with rest_api(tls, {"/patroni": REPLICA}) as api:
        service = only("patroni", lambda: patroni.look(api))
    assert service == Service(
        "patroni",
        "patroni",
        "streaming",
        role="replica",
        details={"timeline": "3", "system": "7712178392677690949", "lag": "0"},
    )


def test_a_member_that_refuses_our_certificate(tls: Path) -> None:
    with rest_api(tls, {"/patroni": LEADER}, client="stranger") as api:
        service = only("patroni", lambda: patroni.look(api))
    assert service.state == "no answer"
    assert "nothing answers on 127.0.0.1:" in service.why


def test_certificates_that_are_missing(tmp_path: Path) -> None:
    files = [str(tmp_path / name) for name in ("ca.pem", "cert.pem", "key.pem")]
    service = only("patroni", lambda: patroni.look(patroni.Api("https://127.0.0.1:1", *files)))
    assert "cert.pem or " in service.why


def test_an_answer_with_an_error(tls: Path) -> None:
    with rest_api(tls, {}) as api:
        service = only("patroni", lambda: patroni.look(api))
    assert service.why == f"{api.url}/patroni answers 'HTTP/1.0 404 Not Found'"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"state": "starting", "replication_state": None}, "PostgreSQL is not running as it should: starting"),
        ({"replication_state": "in archive recovery"}, "PostgreSQL is not running as it should: in archive recovery"),
        ({"cluster_unlocked": True}, "no member holds the leader's lock"),
        (
            {"failsafe_mode_is_active": True},
            "ZooKeeper is out of reach; the leader is kept in Patroni's failsafe mode only",
        ),
        ({"pause": True, "pending_restart": True}, ""),
    ],
)
def test_states_of_a_member(change: dict[str, Any], why: str) -> None:
    service = patroni.read({**REPLICA, **change}, {}, "https://10.0.0.2:8008")
    assert (service.why, service.healthy) == (why, not why)
    assert service.details.get("paused") == ("yes" if "pause" in change else None)


def test_patroni_3_says_master_and_not_what_streams() -> None:
    url = "https://10.0.0.2:8008"
    assert patroni.read({**LEADER, "role": "master"}, {}, url).role == "leader"
    old = copy.deepcopy(REPLICA)
    del old["replication_state"]
    service = patroni.read(old, members(url, 5 << 20), url)
    assert (service.state, service.healthy, service.details["lag"]) == ("running", True, str(4 << 20))


@pytest.mark.parametrize(
    ("lag", "shown"),
    [(0, "0"), ((1 << 20) - 1, "0"), (1 << 20, "1048576"), ((2 << 20) - 1, "1048576"), (5 << 30, str(4 << 30))],
)
def test_lags_are_coarse(lag: int, shown: str) -> None:
    assert patroni.coarse(lag) == shown


def test_a_lag_that_is_not_known() -> None:
    url = "https://10.0.0.2:8008"
    assert patroni.read(REPLICA, members(url, "unknown"), url).details["lag"] == "unknown"
    assert "lag" not in patroni.read(REPLICA, {"members": []}, url).details


# --- looking ------------------------------------------------------------------------------------------------------------


def test_a_daemon_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "DEADLINE", 0.1)
    path = tmp_path / "bgpd.vty"
    with daemons.unix(path):
        service = only("frr", lambda: frr.look(path))
    assert service.why == f"nothing answers on {path} within 0.1 s"


def test_a_daemon_that_talks_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "_LIMIT", 1000)
    path = tmp_path / "bgpd.vty"
    with frr_node(tmp_path, {"show bgp summary json": "x" * 5000}):
        service = only("frr", lambda: frr.look(path))
    assert service.why == f"what answers on {path} never ends its answer"


@pytest.mark.parametrize("answer", ["[]", "nonsense", '{"a": {"peers": {"b": {}}}}', '{"a": {"peers": [1]}}'])
def test_an_answer_that_nobody_understands_is_no_defect(tmp_path: Path, answer: str) -> None:
    with frr_node(tmp_path, {"show bgp summary json": answer}) as look:
        service = only("frr", look)
    assert (service.state, service.healthy) == ("unclear", False)
    assert service.why.startswith("it gives an answer that this agent does not understand (")


def test_changes_are_posted_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "STEADY", 0.0)
    monkeypatch.setattr(lookout, "UNEASY", 0.0)
    well, ill = Service("frr", "a", "established"), Service("frr", "a", "down", healthy=False, why="x")
    stopped = threading.Event()
    states = iter([well, well, ill, ill, well])

    def look() -> list[Service]:
        try:
            return [next(states)]
        except StopIteration:
            stopped.set()
            return [well]

    posted: queue.SimpleQueue[Event] = queue.SimpleQueue()
    lookout.watch({"frr": look}, posted.put, stopped)
    events = [posted.get(timeout=PATIENCE) for _turn in range(3)]
    assert stopped.wait(PATIENCE)
    assert posted.empty()
    assert [event.services[0] for event in events if isinstance(event, ServicesSeen)] == [well, ill, well]
