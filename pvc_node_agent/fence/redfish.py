# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redfish: two reads and one order, by Python's own HTTP client.

Basic authentication, which every Redfish service offers: a session would be one more thing to open in a hurry, and to
leave behind. Only over TLS; a redirection is never followed, since the password would go along.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from pvc_state.records import FenceDevice

from ..env import EffectFailed
from .credentials import Credentials
from .power import Refused, clean, options_of

#: Seconds that one request may take in all, from the connection to the end of the answer.
DEADLINE = 8.0
#: Bytes of an answer at most.
_LIMIT = 1 << 20
_SYSTEMS = "/redfish/v1/Systems"


class Redfish:
    """One device. Args: deadline: other than the usual one is given to tests only."""

    def __init__(self, device: FenceDevice, credentials: Credentials, deadline: float = DEADLINE) -> None:
        self._options = options_of(device)
        address = device.address if "://" in device.address else f"https://{device.address}"
        url = urlsplit(address)
        try:
            host, port = url.hostname, url.port
        except ValueError:
            host = None
        if url.scheme != "https" or not host or url.path.strip("/") or url.query or url.username:
            raise EffectFailed(
                f"{device.address!r} is no address of a Redfish service: give https://HOST, or with a port"
            )
        self._host, self._port = host, port or 443
        self._device = device
        self._credentials = credentials
        self._deadline = deadline
        self._path = ""

    def order_off(self) -> None:
        system = self._system()
        action = _at(system, "Actions", "#ComputerSystem.Reset", "target")
        if not isinstance(action, str) or not action.startswith("/"):
            raise Refused("it offers no reset of the system")
        self._call("POST", action, {"ResetType": "ForceOff"})

    def read(self) -> str:
        state = self._system().get("PowerState")
        if not isinstance(state, str) or not state:
            raise EffectFailed("it does not tell its power: the system has no PowerState")
        return clean(state, 40).lower()

    def _system(self) -> dict[str, Any]:
        if not self._path:
            self._path = self._find()
        return self._call("GET", self._path)

    def _find(self) -> str:
        """Where the system is."""
        members = self._call("GET", _SYSTEMS).get("Members")
        links = [_at(one, "@odata.id") for one in members] if isinstance(members, list) else []
        paths = [link for link in links if isinstance(link, str) and link.startswith("/")]
        names = [path.rstrip("/").rpartition("/")[2] for path in paths]
        wanted = self._options.get("system")
        found = [path for path, name in zip(paths, names, strict=True) if wanted in (None, name)]
        if len(found) == 1:
            return found[0]
        has = clean(", ".join(names)) or "none"
        if wanted is not None:
            raise EffectFailed(f"it has no system {wanted}: option system may be {has}")
        raise EffectFailed(f"it has more than one system, or none ({has}): give option system")

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        """The object that a request is answered by. Raises EffectFailed."""
        where = f"{self._host} port {self._port}"
        password = self._credentials.password(self._device.credential)
        login = base64.b64encode(f"{self._device.username}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "application/json", "Connection": "close"}
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            with _connected(self._host, self._port, self._tls(), self._deadline) as connection:
                connection.request(method, path, content, headers)
                response = connection.getresponse()
                answer = response.read(_LIMIT)
        except TimeoutError:
            raise EffectFailed(f"nothing answers on {where} within {self._deadline:g} s") from None
        except ssl.SSLCertVerificationError as err:
            raise EffectFailed(
                f"its certificate is not trusted ({err.verify_message}): give option ca_file, or verify: false"
            ) from None
        except ssl.SSLError as err:
            raise EffectFailed(
                f"what answers on {where} does not speak TLS as it should ({err.reason or 'no reason'})"
            ) from None
        except OSError as err:
            raise EffectFailed(f"nothing answers on {where}: {err.strerror or type(err).__name__}") from None
        except http.client.HTTPException as err:
            raise EffectFailed(f"what answers on {where} does not speak HTTP ({type(err).__name__})") from None
        return self._judge(method, path, response, answer)

    def _judge(self, method: str, path: str, response: http.client.HTTPResponse, answer: bytes) -> dict[str, Any]:
        status = response.status
        try:
            parsed = json.loads(answer) if answer.strip() else {}
        except ValueError:
            parsed = None
        if status in (401, 403):
            user = self._device.username or "a user without a name"
            raise EffectFailed(
                f"it answers, but does not let {user} {'in' if status == 401 else 'do this'}: check username, "
                f"credential {self._device.credential}, and the user's role (HTTP status {status})"
            )
        if 300 <= status < 400:
            to = clean(response.getheader("Location") or "nowhere")
            raise EffectFailed(f"it redirects to {to}, which is not followed: give the address of the device itself")
        if status >= 400:
            words = clean(_complaint(parsed)) or clean(response.reason or "") or "no reason"
            kind = Refused if method == "POST" else EffectFailed
            raise kind(f"it refuses {method} {path}: {words} (HTTP status {status})")
        if not isinstance(parsed, dict):
            raise EffectFailed(
                f"it answers {method} {path} with something that is no object in JSON: no Redfish service?"
            )
        return parsed

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self._options.get("ca_file"))
        except OSError as err:
            words = err.strerror or "no certificates in it"
            raise EffectFailed(f"option ca_file: {self._options.get('ca_file')} is of no use: {words}") from None
        if self._options.get("verify") == "false":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@contextmanager
def _connected(host: str, port: int, tls: ssl.SSLContext, seconds: float) -> Iterator[http.client.HTTPSConnection]:
    """A connection that is ended after a time, since a device that sends a byte now and then never runs into a time-out.

    Raises TimeoutError then, whatever was going on.
    """
    raw = socket.create_connection((host, port), seconds)
    # the line stays in reach, whatever TLS and HTTP do to their end of it
    line = raw.dup()
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    connection = http.client.HTTPSConnection(host, port)
    try:
        connection.sock = tls.wrap_socket(raw, server_hostname=host)
        yield connection
    except (OSError, http.client.HTTPException):
        if not expired.is_set():
            raise
    finally:
        timer.cancel()
        connection.close()
        raw.close()
        line.close()
    if expired.is_set():
        raise TimeoutError


def _complaint(parsed: Any) -> str:
    """The first message of a Redfish error."""
    messages = _at(parsed, "error", "@Message.ExtendedInfo")
    first = messages[0] if isinstance(messages, list) and messages else None
    return str(_at(first, "Message") or _at(parsed, "error", "message") or "")


def _at(value: Any, *keys: str) -> Any:
    """What is inside of objects; None if it is not."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
