# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redfish service with one system, as far as switching its power needs it."""

from __future__ import annotations

import base64
import hmac
import json
import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

ROOT = "/redfish/v1"
ORDERS = {"On": "on", "ForceOff": "off"}


class Machine(Protocol):
    """What the service needs of the controller that it belongs to."""

    @property
    def name(self) -> str:
        """The system's name."""

    @property
    def password(self) -> str:
        """The user's."""

    @property
    def directory(self) -> Path:
        """The folder with cert.pem and key.pem."""

    def behaviour(self) -> str:
        """How orders are treated."""

    def power(self) -> str:
        """on or off."""

    def order(self, word: str) -> bool:
        """Give an order; tells whether it was accepted."""


class Service(ThreadingHTTPServer):
    """The service on an address."""

    daemon_threads = True
    user = "fence"

    def __init__(self, address: tuple[str, int], machine: Machine) -> None:
        self.machine = machine
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(machine.directory / "cert.pem", machine.directory / "key.pem")
        self.closed = threading.Event()
        super().__init__(address, Handler)

    def server_close(self) -> None:
        self.closed.set()
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away in the middle is nothing to tell of."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Service
    protocol_version = "HTTP/1.1"
    timeout = 30

    def setup(self) -> None:
        if self.server.machine.behaviour() == "dead":
            self.server.closed.wait()
        # here, in the connection's own thread: a handshake that does not come must not keep others waiting
        self.request.settimeout(self.timeout)
        self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self) -> None:
        resource = self.resources().get(self.path.rstrip("/"))
        if self.path.rstrip("/") != ROOT and not self.may():
            self.complain(HTTPStatus.UNAUTHORIZED, "The user name or the password is wrong.")
        elif resource is None:
            self.complain(HTTPStatus.NOT_FOUND, f"There is no {self.path}.")
        else:
            self.answer(HTTPStatus.OK, {"@odata.id": self.path.rstrip("/"), **resource})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self.may():
            self.complain(HTTPStatus.UNAUTHORIZED, "The user name or the password is wrong.")
            return
        if self.path != self.reset():
            self.complain(HTTPStatus.NOT_FOUND, f"There is no {self.path}.")
            return
        try:
            word = ORDERS[json.loads(body)["ResetType"]]
        except (ValueError, LookupError, TypeError):
            self.complain(HTTPStatus.BAD_REQUEST, f"ResetType must be one of {', '.join(ORDERS)}.")
            return
        if self.server.machine.order(word):
            self.answer(HTTPStatus.NO_CONTENT, None)
        else:
            self.complain(HTTPStatus.INTERNAL_SERVER_ERROR, "The request failed due to an internal service error.")

    def system(self) -> str:
        return f"{ROOT}/Systems/{self.server.machine.name}"

    def reset(self) -> str:
        return f"{self.system()}/Actions/ComputerSystem.Reset"

    def resources(self) -> dict[str, dict[str, Any]]:
        """All that can be read."""
        reset = {"target": self.reset(), "ResetType@Redfish.AllowableValues": list(ORDERS)}
        return {
            ROOT: {"RedfishVersion": "1.6.0", "Systems": {"@odata.id": f"{ROOT}/Systems"}},
            f"{ROOT}/Systems": {"Members": [{"@odata.id": self.system()}], "Members@odata.count": 1},
            self.system(): {
                "Id": self.server.machine.name,
                "PowerState": self.server.machine.power().capitalize(),
                "Actions": {"#ComputerSystem.Reset": reset},
            },
        }

    def may(self) -> bool:
        """Whether the request carries the right password."""
        wanted = base64.b64encode(f"{self.server.user}:{self.server.machine.password}".encode()).decode()
        return hmac.compare_digest(self.headers.get("Authorization", ""), f"Basic {wanted}")

    def answer(self, status: HTTPStatus, value: dict[str, Any] | None) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def complain(self, status: HTTPStatus, text: str) -> None:
        self.answer(status, {"error": {"code": "Base.1.0.GeneralError", "@Message.ExtendedInfo": [{"Message": text}]}})

    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""
