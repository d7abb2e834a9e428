# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One question to a service of this node, one answer, within a deadline."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

#: Seconds to connect, for the handshake of TLS, and for the answer: each.
DEADLINE = 3.0
#: Bytes of an answer at most.
_LIMIT = 8 << 20

#: The path of a Unix socket, or host and port.
Address = str | tuple[str, int]


class NoAnswer(Exception):
    """The service does not answer, or refuses; the text is one sentence that says what and why."""


def ask(
    address: Address,
    request: bytes,
    whole: Callable[[bytes], bool] = lambda _answer: False,
    tls: ssl.SSLContext | None = None,
) -> bytes:
    """The answer to a request: until it is whole, or until the service ends the connection. Raises NoAnswer."""
    where = address if isinstance(address, str) else "{}:{}".format(*address)
    try:
        with _connected(address, tls) as connection:
            connection.sendall(request)
            end = time.monotonic() + DEADLINE
            answer = b""
            while not whole(answer):
                connection.settimeout(max(0.001, end - time.monotonic()))
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
                if len(answer) > _LIMIT:
                    raise NoAnswer(f"what answers on {where} never ends its answer")
            return answer
    except TimeoutError:
        raise NoAnswer(f"nothing answers on {where} within {DEADLINE:g} s") from None
    except OSError as err:
        words = str(err) if isinstance(err, ssl.SSLError) else err.strerror or str(err)
        raise NoAnswer(f"nothing answers on {where}: {words[:1].lower()}{words[1:]}") from None


def _connected(address: Address, tls: ssl.SSLContext | None) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(DEADLINE)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection
    connection = socket.create_connection(address, DEADLINE)
    if tls is None:
        return connection
    try:
        return tls.wrap_socket(connection, server_hostname=address[0])
    except OSError:
        connection.close()
        raise
