# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP proxy that one client's connections go through, so that a test can cut off that client alone."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading


class Proxy:
    """Forwards connections on ``port`` to a server on this machine while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._open = True
        self._deaf = False
        self._closing = False
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._servers: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(self._listener, selectors.EVENT_READ)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """End all connections and accept no more of them."""
        with self._lock:
            self._open = False
            for sock in list(self._pairs):
                self._end(sock)

    def deafen(self) -> None:
        """Let everything through to the server, and nothing back."""
        with self._lock:
            self._deaf = True

    def heal(self) -> None:
        """Forward again."""
        with self._lock:
            self._open = True
            self._deaf = False

    def close(self) -> None:
        """End everything, the thread too."""
        self._closing = True
        self.cut()
        # wakes the thread
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        self._thread.join()
        self._listener.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._closing:
            for key, _events in self._selector.select():
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket):
                        self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        if not self._open:
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        self._pairs |= {client: server, server: client}
        self._servers.add(server)
        for sock in (client, server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(sock, selectors.EVENT_READ)

    def _forward(self, sock: socket.socket) -> None:
        if sock not in self._pairs:
            return
        try:
            data = sock.recv(1 << 16)
            if data:
                if not (self._deaf and sock in self._servers):
                    self._pairs[sock].sendall(data)
                return
        except OSError:
            pass
        self._end(sock)

    def _end(self, sock: socket.socket) -> None:
        peer = self._pairs.pop(sock, None)
        if peer is None:
            return
        del self._pairs[peer]
        self._servers -= {sock, peer}
        for each in (sock, peer):
            self._selector.unregister(each)
            each.close()
