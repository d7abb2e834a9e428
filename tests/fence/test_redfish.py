# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redfish services that are odd: each is an error that says what is the matter, within its time, and never a power state."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.fence.credentials import Credentials
from pvc_node_agent.fence.redfish import Redfish
from pvc_state.records import FenceDevice

from .conftest import Bmc

Answer = tuple[int, dict[str, str], bytes]


class Odd(ThreadingHTTPServer):
    """Answers every request as told, over TLS."""

    daemon_threads = True

    def __init__(self, bmc: Bmc) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(bmc.certificate, bmc.directory / "key.pem")
        self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.answers: dict[str, Answer] = {}
        self.drips = threading.Event()
        self.asked: list[str] = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The client has gone away."""


class Handler(BaseHTTPRequestHandler):
    server: Odd

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if status == 299:
            while not self.server.drips.wait(0.1):
                self.wfile.write(b" ")
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def bmc(tmp_path_factory: pytest.TempPathFactory) -> Bmc:
    """One that does not run: for its certificate."""
    bmc = Bmc("node1", tmp_path_factory.mktemp("bmc"), "127.0.0.1", 0, 0, "secret", [], "")
    bmc.prepare()
    return bmc


@pytest.fixture
def odd(bmc: Bmc) -> Iterator[Odd]:
    odd = Odd(bmc)
    yield odd
    odd.drips.set()
    odd.shutdown()
    odd.server_close()


@pytest.fixture
def device(bmc: Bmc, odd: Odd, write_credential: Callable[[str, str], Path]) -> FenceDevice:
    write_credential("right", "secret")
    address = f"https://127.0.0.1:{odd.server_address[1]}"
    return FenceDevice("bmc", "redfish", address, "fence", "right", {"ca_file": str(bmc.certificate)})


@pytest.fixture
def redfish(device: FenceDevice, tmp_path: Path) -> Redfish:
    return Redfish(device, Credentials(tmp_path / "fence.d"), deadline=1.0)


SYSTEMS = b'{"Members": [{"@odata.id": "/redfish/v1/Systems/1"}]}'


@pytest.mark.parametrize(
    ("systems", "words"),
    [
        (
            (302, {"Location": "https://elsewhere/redfish"}, b""),
            "redirects to https://elsewhere/redfish, which is not followed",
        ),
        ((299, {}, b""), r"nothing answers on 127.0.0.1 port \d+ within 1 s"),
        ((200, {}, b"<html>"), "answers GET /redfish/v1/Systems with something that is no object in JSON"),
        ((200, {}, b"[]"), "something that is no object in JSON"),
        ((503, {}, b"busy\n\x1b[31m"), r"refuses GET /redfish/v1/Systems: Service Unavailable \(HTTP status 503\)"),
        ((403, {}, b""), r"does not let fence do this: check username, credential right, and the user's role"),
        ((200, {}, b'{"Members": []}'), r"has more than one system, or none \(none\): give option system"),
        ((200, {}, b'{"Members": 1}'), "give option system"),
        (
            (200, {}, b'{"Members": [{"@odata.id": "/a/1/"}, {"@odata.id": "/a/2"}]}'),
            r"or none \(1, 2\): give option system",
        ),
    ],
)
def test_the_list_of_systems_is_odd(odd: Odd, redfish: Redfish, systems: Answer, words: str) -> None:
    odd.answers["/redfish/v1/Systems"] = systems
    with pytest.raises(EffectFailed, match=words):
        redfish.read()


@pytest.mark.parametrize(
    ("system", "words"),
    [
        (b"{}", "the system has no PowerState"),
        (b'{"PowerState": 1}', "the system has no PowerState"),
        (b'{"PowerState": ""}', "the system has no PowerState"),
    ],
)
def test_the_system_does_not_tell_its_power(odd: Odd, redfish: Redfish, system: bytes, words: str) -> None:
    odd.answers = {"/redfish/v1/Systems": (200, {}, SYSTEMS), "/redfish/v1/Systems/1": (200, {}, system)}
    with pytest.raises(EffectFailed, match=words):
        redfish.read()
    with pytest.raises(EffectFailed, match="offers no reset"):
        redfish.order_off()


def test_powering_off_is_not_off(odd: Odd, redfish: Redfish) -> None:
    system = b'{"PowerState": "PoweringOff"}'
    odd.answers = {"/redfish/v1/Systems": (200, {}, SYSTEMS), "/redfish/v1/Systems/1": (200, {}, system)}
    assert redfish.read() == "poweringoff"


def test_one_of_several_systems(odd: Odd, device: FenceDevice, tmp_path: Path) -> None:
    many = b'{"Members": [{"@odata.id": "/redfish/v1/Systems/1"}, {"@odata.id": "/redfish/v1/Systems/2"}]}'
    odd.answers = {"/redfish/v1/Systems": (200, {}, many), "/redfish/v1/Systems/2": (200, {}, b'{"PowerState": "Off"}')}

    def at(system: str) -> Redfish:
        options = {**device.options, "system": system}
        return Redfish(dataclasses.replace(device, options=options), Credentials(tmp_path / "fence.d"))

    assert at("2").read() == "off"
    with pytest.raises(EffectFailed, match="it has no system 3: option system may be 1, 2"):
        at("3").read()


def test_no_password_goes_to_whom_it_is_not_for(
    odd: Odd, device: FenceDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    stranger = Redfish(dataclasses.replace(device, options={}), Credentials(tmp_path / "fence.d"))
    with pytest.raises(
        EffectFailed, match=r"its certificate is not trusted \(.*\): give option ca_file, or verify: false"
    ):
        stranger.read()
    assert odd.asked == []
    trusting = Redfish(dataclasses.replace(device, options={"verify": "false"}), Credentials(tmp_path / "fence.d"))
    odd.answers["/redfish/v1/Systems"] = (200, {}, b"{}")
    with pytest.raises(EffectFailed, match="give option system"):
        trusting.read()


def test_what_does_not_speak_tls(device: FenceDevice, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def answer() -> None:
            with plain.accept()[0] as connection:
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        at = dataclasses.replace(device, address=f"https://127.0.0.1:{plain.getsockname()[1]}")
        with pytest.raises(EffectFailed, match="does not speak TLS as it should"):
            Redfish(at, Credentials(tmp_path / "fence.d"), deadline=2.0).read()


def test_nobody_listens(odd: Odd, device: FenceDevice, redfish: Redfish) -> None:
    odd.shutdown()
    odd.server_close()
    with pytest.raises(EffectFailed, match=r"nothing answers on 127.0.0.1 port \d+: Connection refused"):
        redfish.read()


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.1", "ftp://10.0.0.1", "https://", "https://10.0.0.1/x", "https://u:p@10.0.0.1", "https://a:b"],
)
def test_addresses_that_are_none(device: FenceDevice, tmp_path: Path, address: str) -> None:
    with pytest.raises(EffectFailed, match="is no address of a Redfish service"):
        Redfish(dataclasses.replace(device, address=address), Credentials(tmp_path))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sistem": "1"}, "option sistem is unknown for redfish: it knows system, ca_file, verify"),
        ({"verify": "no"}, "option verify cannot be 'no': it is false takes any certificate"),
        ({"ca_file": "/nowhere.pem"}, "option ca_file: /nowhere.pem is of no use: No such file or directory"),
    ],
)
def test_options_that_are_wrong(device: FenceDevice, tmp_path: Path, options: dict[str, str], words: str) -> None:
    with pytest.raises(EffectFailed, match=words):
        Redfish(dataclasses.replace(device, options=options), Credentials(tmp_path / "fence.d")).read()
