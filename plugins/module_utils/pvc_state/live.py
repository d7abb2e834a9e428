# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is shown while it changes: read again whenever a watch says so, never by the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TypeVar, Union

from . import paths
from .errors import StoreUnavailable
from .snapshot import Snapshot, load
from .store import Store, Watch

S = TypeVar("S")

#: Seconds between two readings at least, however much changes.
REST = 0.5


class Waker:
    """Wakes who follows: because something has changed, or to end."""

    def __init__(self) -> None:
        self.changed = threading.Event()
        self.ended = threading.Event()

    def wake(self, _what: object = None) -> None:
        """Something may have changed."""
        self.changed.set()

    def end(self) -> None:
        """Follow no longer."""
        self.ended.set()
        self.changed.set()


def follow(
    store: Store, read: Callable[[Watch], S], waker: Waker, rest: float = REST
) -> Iterator[Union[S, StoreUnavailable]]:
    """What is read, again and again until the waker ends it; the error while the store is out of reach."""
    store.on_session(waker.wake)
    while not waker.ended.is_set():
        # Cleared before reading: what changes from here on is either read or wakes us.
        waker.changed.clear()
        try:
            found: S | StoreUnavailable = read(waker.wake)
        except StoreUnavailable as err:
            found = err
        yield found
        waker.changed.wait()
        waker.ended.wait(rest)


def load_watched(store: Store, wake: Watch) -> Snapshot:
    """The cluster, with watches on what nodes report, on which are there and live, and on what users commit."""
    store.children(paths.ALIVE, wake)
    store.get(paths.JOURNAL, wake)
    for node in store.children(paths.NODES, wake) or []:
        store.get(paths.status(node), wake)
    # read after the watches were left, so that nothing changes unseen
    return load(store)
