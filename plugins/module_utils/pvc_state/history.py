# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fences as they stand and as they were: what no decision needs, and so no snapshot holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from . import paths
from .codec import Stored, stored
from .records import Past
from .store import Store


@dataclass(frozen=True)
class History:
    """What is remembered of fences.

    Attributes:
        standing: of each fence that stands, by node: ZooKeeper's transactions that wrote it first and last.
        past: fences that are over, by id, the newest first.
    """

    standing: Mapping[str, tuple[int, int]]
    past: Mapping[str, Stored[Past]]


def load_history(store: Store) -> History:
    """Read it; a fence that comes or goes meanwhile may be in neither part."""
    nodes, ids = (store.children(path) or [] for path in (paths.FENCES, paths.HISTORY))
    znodes = store.get_many([*map(paths.fence, nodes), *map(paths.history, ids)])
    fences = {node: (znode.czxid, znode.mzxid) for node, znode in zip(nodes, znodes, strict=False) if znode is not None}
    over = [(fence, znode) for fence, znode in zip(ids, znodes[len(nodes) :], strict=True) if znode is not None]
    over.sort(key=lambda each: each[1].czxid, reverse=True)
    past = {fence: stored(Past, znode) for fence, znode in over}
    return History(MappingProxyType(fences), MappingProxyType(past))
