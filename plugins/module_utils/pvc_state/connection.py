# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How to reach the store, and what to say when it cannot be reached. No client library is needed here."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from .errors import AccessDenied, InvalidRequest, StoreUnavailable

_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class Connection:
    """Where the store is and who we are.

    Attributes:
        hosts: ZooKeeper servers, each ``host:port``; the port may be left out.
        root: path of the cluster's tree in the ensemble.
        username, password: digest credentials; what is created then is for them alone. Empty: no credentials.
        tls: encrypt, and check the servers' certificates and names.
        ca_file: certificates of the authorities that may have signed theirs; empty: those of the operating system.
        cert_file, key_file: our own certificate and key in PEM.
        connect_timeout: seconds until the first connection, and for one call.
        session_timeout: seconds without contact after which the servers end the session.
        patience: seconds that a call waits for a lost connection to come back; 0 fails at once, as an agent wants it.
    """

    hosts: tuple[str, ...]
    root: str = "/pvc"
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = True
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    connect_timeout: float = 10.0
    session_timeout: float = 6.0
    patience: float = 0.0

    def addresses(self) -> list[tuple[str, int]]:
        """The servers as host and port; raises InvalidRequest when they, or the root, are not possible."""
        if not self.hosts:
            raise InvalidRequest(
                "it is empty", option="hosts", remedy="name at least one ZooKeeper server as host:port"
            )
        return [self._address(host) for host in self.hosts]

    def _address(self, host: str) -> tuple[str, int]:
        match = _HOST.fullmatch(host.strip())
        port = int((match and match["port"]) or (2281 if self.tls else 2181))
        if match is None or not 0 < port < 65536:
            raise InvalidRequest(
                f"{host!r} is no server", option="hosts", remedy="give host:port, or [address]:port for IPv6"
            )
        return match["v6"] or match["name"], port

    def check(self) -> None:
        """Raises InvalidRequest for what cannot be right wherever the store is."""
        self.addresses()
        if not re.fullmatch(r"/|(/[A-Za-z0-9_.-]*[A-Za-z0-9_-][A-Za-z0-9_.-]*)+", self.root):
            raise InvalidRequest(f"{self.root!r} is no path", option="root", remedy="give a path such as /pvc")
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise InvalidRequest("it is missing", option=missing, remedy="give username and password, or neither")
        if ":" in self.username:
            raise InvalidRequest("it contains a colon", option="username", remedy="ZooKeeper's users have none")
        for option in ("connect_timeout", "session_timeout"):
            if getattr(self, option) <= 0:
                raise InvalidRequest(
                    f"{getattr(self, option)} is not possible", option=option, remedy="give seconds above 0"
                )


def tls_context(connection: Connection) -> ssl.SSLContext | None:
    """The TLS settings of a connection, None for a plain one; raises InvalidRequest naming the file that is wrong.

    The servers' names are checked: with the operating system's authorities trusted and names unchecked, anybody with
    any certificate could pose as a server and be told the password.
    """
    if not connection.tls:
        return None
    for option in ("ca_file", "cert_file", "key_file"):
        path = getattr(connection, option)
        if path and not Path(path).is_file():
            raise InvalidRequest(f"{path} is no readable file", option=option, remedy="give the path of a PEM file")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if connection.ca_file:
            context.load_verify_locations(connection.ca_file)
        else:
            context.load_default_certs()
    except OSError as err:
        raise InvalidRequest(
            f"{connection.ca_file} holds no certificates: {err}", option="ca_file", remedy="give a PEM file"
        ) from err
    if bool(connection.cert_file) != bool(connection.key_file):
        missing = "key_file" if connection.cert_file else "cert_file"
        raise InvalidRequest("it is missing", option=missing, remedy="give cert_file and key_file, or neither")
    if connection.cert_file:
        try:
            context.load_cert_chain(connection.cert_file, connection.key_file)
        except OSError as err:
            raise InvalidRequest(
                f"{connection.cert_file} and {connection.key_file} are no certificate and its key: {err}",
                option="cert_file",
                remedy="give a certificate and the key that belongs to it, both in PEM and readable",
            ) from err
    return context


def digest(username: str, password: str) -> str:
    """A user as ZooKeeper's access lists name it: ``name:digest``; empty without a name."""
    if not username:
        return ""
    sha = hashlib.sha1(f"{username}:{password}".encode(), usedforsecurity=False).digest()
    return f"{username}:{base64.b64encode(sha).decode()}"


class Failure(Enum):
    """Why a server was not reached, as far as one can tell, and what to do about it."""

    NETWORK = "check hosts, the network between, and that ZooKeeper runs there"
    CLOSED = "check that ZooKeeper has a quorum, and that the port is meant for what tls says"
    AUTHORITY = "check ca_file, and that hosts are named as in the servers' certificates"
    CLIENT_CERTIFICATE = "give cert_file and key_file, signed by an authority that the servers accept"

    @property
    def lasting(self) -> bool:
        """Whether waiting is of no use."""
        return self in (Failure.AUTHORITY, Failure.CLIENT_CERTIFICATE)


@dataclass(frozen=True)
class Unreached:
    """One server's failure, in words and in kind."""

    words: str
    kind: Failure


def unreached(words: str) -> Unreached:
    """Make sense of what the operating system, OpenSSL or the client library says of a failed connection."""
    if "CERTIFICATE_VERIFY_FAILED" in words:
        reason = words.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or "it is not valid"
        return Unreached(f"its certificate is refused: {reason.rstrip('.')}", Failure.AUTHORITY)
    if "ALERT" in words and ("CERT" in words or "UNKNOWN_CA" in words):
        return Unreached("it refuses our certificate, or that we give none", Failure.CLIENT_CERTIFICATE)
    if "SSL" in words:
        return Unreached("it does not speak TLS there, or ended the connection", Failure.CLOSED)
    if "connection broken" in words or "reset by peer" in words:
        return Unreached("it ended the connection", Failure.CLOSED)
    return Unreached(words[:1].lower() + words[1:], Failure.NETWORK)


def unavailable(connection: Connection, failures: Mapping[str, Unreached], waited: float) -> StoreUnavailable:
    """The error for a store that is not reached: each server with what happened there."""
    servers = [label(*address) for address in connection.addresses()]
    each = "; ".join(f"{server}: {failures[server].words if server in failures else 'no answer'}" for server in servers)
    kinds = [failures[server].kind for server in servers if server in failures]
    # what needs a change of the settings first: the servers that are merely down come back by themselves
    remedy = max(kinds, key=list(Failure).index, default=Failure.NETWORK).value
    within = f" within {waited:g} s" if waited else ""
    return StoreUnavailable(f"no ZooKeeper server lets us in{within}: {each}", option="hosts", remedy=remedy)


def read_only(user: str) -> AccessDenied:
    """The error for a change by somebody who may only look."""
    return AccessDenied(
        f"user {user} may read the cluster and change nothing",
        option="username",
        remedy="give the user that owns the tree, and its password",
    )


def denied(connection: Connection, path: str) -> AccessDenied:
    """The error for a znode that our credentials do not open."""
    where = connection.root if path == "/" else f"{connection.root.rstrip('/')}{path}"
    if connection.username:
        return AccessDenied(
            f"the store refuses user {connection.username} access to {where}",
            option="password",
            remedy="check username and password: ZooKeeper takes any and says no only afterwards",
        )
    return AccessDenied(
        f"the store refuses access to {where} without credentials",
        option="username",
        remedy="give username and password",
    )


def label(host: str, port: int) -> str:
    """host:port as errors name it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
