# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of some parts of the tree, kept by watches: what none of them has named is not read again.

It only reads. A watch is left on all that is copied; ``settle()`` lets the store call those that are due (``sync``), reads what
they have named, and does so again until a sync finds nothing to read. What is there then is the tree as it was at that
sync: each record with all that was written before it, and nothing of what was written later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .codec import Stored, stored
from .store import Store


@dataclass(frozen=True)
class Seen:
    """A record as it was read. created: the transaction that created its znode."""

    stored: Stored[Any]
    created: int


class WatchedTree:
    """The copy.

    Args:
        kinds: parents of records, each with the class of the records below it; None where their names are all that is wanted.
        touched: called from any thread when there is something to read.
    """

    def __init__(self, store: Store, kinds: Mapping[str, type | None], touched: Callable[[], None]) -> None:
        self._store = store
        self._kinds = kinds
        self._tell = touched
        self._lock = threading.Lock()
        self._touched: set[str] = set(kinds)
        self._names: dict[str, list[str]] = {parent: [] for parent in kinds}
        self._records: dict[str, dict[str, Seen]] = {parent: {} for parent in kinds}
        #: The latest transaction that has written any record that was read.
        self.zxid = 0

    def settle(self, stopped: Callable[[], bool]) -> bool:
        """Make the copy what the tree is now; False when ``stopped`` said so before that.

        Each turn reads only what has changed since the last one, so it ends when others leave the tree alone for as long as
        one turn takes: milliseconds.

        Raises:
            StoreError: what was not read is read by the next call.
        """
        while not stopped():
            self._store.sync()
            with self._lock:
                touched, self._touched = self._touched, set()
            if not touched:
                return True
            try:
                self._read(touched)
            except BaseException:
                with self._lock:
                    self._touched |= touched
                raise
        return False

    def names(self, parent: str) -> Sequence[str]:
        """What is below a parent, sorted."""
        return self._names[parent]

    def records(self, parent: str) -> Mapping[str, Seen]:
        """The records below a parent, by name."""
        return MappingProxyType(self._records[parent])

    def _fired(self, path: str) -> None:
        with self._lock:
            self._touched.add(path)
        self._tell()

    def _read(self, touched: set[str]) -> None:
        wanted: list[tuple[str, str, type]] = []
        for parent, cls in self._kinds.items():
            if parent in touched:
                self._names[parent] = self._store.children(parent, self._fired) or []
            if cls is not None:
                known = self._records[parent]
                names = self._names[parent]
                for gone in known.keys() - set(names):
                    del known[gone]
                wanted += [(parent, name, cls) for name in names if name not in known or f"{parent}/{name}" in touched]
        znodes = self._store.get_many([f"{parent}/{name}" for parent, name, _cls in wanted], self._fired)
        for (parent, name, cls), znode in zip(wanted, znodes, strict=True):
            if znode is None:
                self._records[parent].pop(name, None)
            else:
                self._records[parent][name] = Seen(stored(cls, znode), znode.czxid)
                self.zxid = max(self.zxid, znode.mzxid)
