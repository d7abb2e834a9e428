# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that speak as the daemons of a node do, each in a thread: what is asked is looked up in a table."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

#: Reads one request from a connection and returns the whole answer.
Serve = Callable[[socket.socket], bytes]


@contextlib.contextmanager
def serving(listener: socket.socket, serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[None]:
    """Within it, whoever connects is answered, one after the other."""

    def accept() -> None:
        while True:
            try:
                connection, _peer = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                if tls is None:
                    connection.sendall(serve(connection))
                else:
                    with tls.wrap_socket(connection, server_side=True) as encrypted:
                        encrypted.sendall(serve(encrypted))

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def unix(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def _until(connection: socket.socket, end: bytes) -> bytes:
    request = b""
    while not request.endswith(end):
        part = connection.recv(65536)
        if not part:
            raise OSError("the request ended early")
        request += part
    return request[: -len(end)]


def ceph(answers: Mapping[str, Any]) -> Serve:
    """A daemon of Ceph: a JSON command up to a zero byte, the length of the answer, and the answer."""

    def serve(connection: socket.socket) -> bytes:
        asked = json.loads(_until(connection, b"\0"))["prefix"]
        unknown = f"ERROR: (22) Invalid argument\nunknown command prefix {asked}\n"
        answer = (json.dumps(answers[asked], indent=4) if asked in answers else unknown).encode()
        return len(answer).to_bytes(4, "big") + answer

    return serve


def frr(answers: Mapping[str, str]) -> Serve:
    """A daemon of FRR: a command up to a zero byte; the answer, three zero bytes and the result."""

    def serve(connection: socket.socket) -> bytes:
        asked = _until(connection, b"\0").decode()
        if asked in answers:
            return answers[asked].encode() + b"\0\0\0\0"
        return f"% [BGP] Unknown command: {asked}\n".encode() + b"\0\0\0\2"

    return serve


def patroni(answers: Mapping[str, Any]) -> Serve:
    """The REST API of Patroni, which ends the connection after each answer."""

    def serve(connection: socket.socket) -> bytes:
        path = _until(connection, b"\r\n\r\n").decode().split(" ")[1]
        if path not in answers:
            return b"HTTP/1.0 404 Not Found\r\nServer: BaseHTTP/0.6\r\n\r\n"
        body = json.dumps(answers[path]).encode()
        return b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body

    return serve
