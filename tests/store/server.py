# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real ZooKeeper server from Debian's jars: alone, on free ports, its data in a directory that the caller gives."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

JARS = Path("/usr/share/java")

#: zookeeper.jar names most of what it needs in its manifest. It does not name what TLS needs, nor anything that logs.
CLASSES = (
    "zookeeper.jar",
    "slf4j-simple.jar",
    "netty-codec.jar",
    "netty-resolver.jar",
    "netty-transport-native-unix-common.jar",
)

TICK = 0.2
STARTING = 60.0


class Server:
    """One server process.

    Args:
        directory: for its data, configuration and log.
        tls: directory with ``node.pem`` (key and certificate) and ``ca.pem``; None for a plain port only.
    """

    def __init__(self, directory: Path, tls: Path | None = None) -> None:
        self._directory = directory
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()
        self.tls_port = _free_port() if tls else 0
        self.log = directory / "log"

    def start(self) -> None:
        """Start it and wait until it serves."""
        java = shutil.which("java")
        missing = [name for name in CLASSES if not (JARS / name).exists()] + ([] if java else ["java"])
        if missing or java is None:
            what = ", ".join(missing)
            raise RuntimeError(f"no real ZooKeeper can be started without {what}: `make venv` installs what is missing")
        self._configure()
        heap = ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        classes = ":".join(str(JARS / name) for name in CLASSES)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    # it dies with the tests, also when they are killed
                    *("setpriv", "--pdeathsig", "KILL"),
                    java,
                    *heap,
                    "-cp",
                    classes,
                    "org.apache.zookeeper.server.ZooKeeperServerMain",
                    self._directory / "zoo.cfg",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._await_service()

    def stop(self) -> None:
        """End the process, this one and no other."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _configure(self) -> None:
        settings = {
            "dataDir": self._directory / "data",
            "tickTime": int(TICK * 1000),
            "clientPortAddress": "127.0.0.1",
            "clientPort": self.port,
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "ruok,srvr,stat",
            # a test's server need not survive a power cut
            "forceSync": "no",
            "maxClientCnxns": 0,
        }
        if self._tls is not None:
            settings |= {
                "secureClientPort": self.tls_port,
                "secureClientPortAddress": "127.0.0.1",
                "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
                "ssl.keyStore.location": self._tls / "node.pem",
                "ssl.trustStore.location": self._tls / "ca.pem",
                "ssl.clientAuth": "need",
            }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        (self._directory / "zoo.cfg").write_text(text, encoding="utf-8")

    def _await_service(self) -> None:
        deadline = time.monotonic() + STARTING
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            if _asked(self.port) == b"imok" and (not self.tls_port or _listens(self.tls_port)):
                return
            time.sleep(0.05)  # a server tells nobody that it has started
        self.stop()
        raise RuntimeError(f"ZooKeeper did not start: {self.log.read_text(errors='replace')[-2000:]}")


def _asked(port: int) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as sock:
            sock.sendall(b"ruok")
            return sock.recv(16)
    except OSError:
        return b""


def _listens(port: int) -> bool:
    """Whether there is anybody: the port for TLS opens after the other, on a busy machine seconds later."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
