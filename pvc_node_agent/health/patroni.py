# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patroni: what the REST API of this node's member answers. Only GET is used, which asks for no password."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pvc_state.records import Service

from .ask import NoAnswer, ask

#: Patroni's words for the member that takes writes; 3.0 says master, 4.0 primary.
_LEADS = ("master", "primary")
#: A lag is told as 0, or as a power of two of bytes from here on: it changes all the time, and the record must not.
_LAG_FROM = 1 << 20


@dataclass(frozen=True)
class Api:
    """Where the REST API of this node's member is, and with what to go there.

    Attributes:
        url: such as ``https://10.0.1.11:8008``.
        ca_file, cert_file, key_file: for https.
    """

    url: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at a path. Raises NoAnswer, ValueError."""
        url = urlsplit(self.url)
        host, port = url.hostname or "", url.port or 8008
        request = f"GET {path} HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode()
        tls = self._tls() if url.scheme == "https" else None
        head, _blank, body = ask((host, port), request, tls=tls).partition(b"\r\n\r\n")
        status = head.partition(b"\r\n")[0].decode(errors="replace")
        if status.split(" ")[1:2] != ["200"]:
            raise NoAnswer(f"{self.url}{path} answers {status or 'nothing'!r}")
        answer = json.loads(body)
        if not isinstance(answer, dict):
            raise ValueError(f"{path} holds no object")
        return answer

    def _tls(self) -> ssl.SSLContext:
        """Made anew for each question: the certificate may have been renewed."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as err:
            raise NoAnswer(f"{self.cert_file} or {self.ca_file} is of no use: {err}") from None
        return context


def look(api: Api) -> Iterator[Service]:
    """The member of this node; its lag is known from the cluster as the member sees it."""
    member = api.get("/patroni")
    yield read(member, {} if member["role"] in _LEADS else api.get("/cluster"), api.url)


def read(member: dict[str, Any], cluster: dict[str, Any], url: str) -> Service:
    """What the answers to /patroni and to /cluster say."""
    leads = member["role"] in _LEADS
    state = str(member.get("replication_state") or member["state"])
    details = {
        "timeline": str(member.get("timeline") or ""),
        "system": str(member.get("database_system_identifier") or ""),
        "lag": "" if leads else _lag(cluster, url),
        "streaming": " ".join(_streaming(member)),
        "pending_restart": "yes" if member.get("pending_restart") else "",
        "paused": "yes" if member.get("pause") else "",
    }
    why = _why(member, state)
    return Service(
        "patroni",
        "patroni",
        state,
        role="leader" if leads else str(member["role"]),
        healthy=not why,
        why=why,
        details={name: value for name, value in details.items() if value},
    )


def _why(member: dict[str, Any], state: str) -> str:
    if state not in ("running", "streaming"):
        return f"PostgreSQL is not running as it should: {state}"
    if member.get("cluster_unlocked"):
        return "no member holds the leader's lock"
    if member.get("failsafe_mode_is_active"):
        return "ZooKeeper is out of reach; the leader is kept in Patroni's failsafe mode only"
    return ""


def _streaming(member: dict[str, Any]) -> list[str]:
    """The members that stream from this one, by name."""
    senders = member.get("replication") or []
    return sorted({str(one["application_name"]) for one in senders if one["state"] == "streaming"})


def _lag(cluster: dict[str, Any], url: str) -> str:
    """Bytes, coarsely; empty when the cluster does not know this member yet."""
    for one in cluster.get("members", []):
        if str(one.get("api_url", "")).startswith(f"{url.rstrip('/')}/"):
            lag = one.get("lag")
            return coarse(lag) if isinstance(lag, int) else "unknown"
    return ""


def coarse(lag: int) -> str:
    """The largest power of two that is not above it, in bytes; 0 below 1 MiB."""
    return str(1 << (lag.bit_length() - 1) if lag >= _LAG_FROM else 0)
