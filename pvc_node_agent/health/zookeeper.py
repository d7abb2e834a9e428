# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ZooKeeper: what the server of this node answers to ``srvr``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pvc_state.records import Service

from .ask import NoAnswer, ask


def look(host: str, port: int) -> Iterator[Service]:
    """The server on the plain port, which listens on loopback."""
    yield read(ask((host, port), b"srvr").decode(errors="replace"), f"{host}:{port}")


def read(answer: str, where: str) -> Service:
    """What an answer says. Raises NoAnswer."""
    mode = re.search(r"^Mode: (\w+)$", answer, re.MULTILINE)
    if mode:
        return Service("zookeeper", "zookeeper", "serving", role=mode[1])
    if "not currently serving" in answer:
        why = "it is connected to no majority of the servers, and serves nobody"
        return Service("zookeeper", "zookeeper", "not serving", healthy=False, why=why)
    if "not in the whitelist" in answer:
        raise NoAnswer(f"what answers on {where} does not allow srvr: add it to 4lw.commands.whitelist")
    raise NoAnswer(f"what answers on {where} says nothing to srvr: it may be starting, or no ZooKeeper")
