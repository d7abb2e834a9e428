# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""FRR: the BGP neighbours of this node.

bgpd is asked on the socket that vtysh talks to, in vtysh's own way: a command ends with a zero byte, an answer with
three of them and a result. vtysh itself would cost fifty times the processor time, at every look.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pvc_state.records import Service

from .ask import NoAnswer, ask

SOCKET = Path("/run/frr/bgpd.vty")
_COMMAND = "show bgp summary json"
_END = b"\0\0\0"


def look(socket: Path = SOCKET) -> Iterator[Service]:
    """Each neighbour; FRR itself when it has none."""
    answer = ask(str(socket), _COMMAND.encode() + b"\0", lambda part: part[-4:-1] == _END)
    text = answer[:-4].decode(errors="replace").strip()
    if text.startswith("%"):
        raise NoAnswer(f"bgpd does not know `{_COMMAND}`: {text}")
    yield from read(json.loads(text or "{}"))


def read(summary: dict[str, Any]) -> Iterator[Service]:
    """What a summary says; a neighbour has the same state in all families of addresses."""
    peers: dict[str, dict[str, Any]] = {}
    for family in summary.values():
        if isinstance(family, dict):
            peers |= family.get("peers", {})
    if not peers:
        yield Service("frr", "frr", "running")
    for address in sorted(peers):
        yield _neighbour(address, str(peers[address]["state"]))


def _neighbour(address: str, state: str) -> Service:
    if state == "Established":
        return Service("frr", address, "established")
    if "Admin" in state:
        return Service("frr", address, "shut down", healthy=False, why="it is shut down in the configuration")
    # Idle, Connect, Active, ... follow each other all the time: they are one state to us
    why = "no BGP session: it is down, out of reach, or knows nothing of this node"
    return Service("frr", address, "down", healthy=False, why=why)
