# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fence devices: whether this coordinator can read a node's power from them, long before it has to.

Every coordinator reads the devices of all nodes, since each may be the one that has to fence: one that lacks a password, or
a way to the devices, shows itself here. A device is read when it was declared, and again every few minutes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from pvc_state import codec, paths
from pvc_state.errors import StoreError
from pvc_state.fence_devices import DECLARATION, POWER, SERVICE, declaration
from pvc_state.records import FenceDevice, Node, Service
from pvc_state.store import Store

from ..env import EffectFailed
from ..workers import Workers

#: Seconds between two reads of a device that is as it should be, and of one that is not.
STEADY = 180.0
UNEASY = 20.0
#: Seconds after which the nodes are read again although no watch has told of a change.
_REREAD = 60.0
#: Seconds that a look waits for reads that are under way, and how many are at a time.
_PATIENCE = 2.0
_AT_A_TIME = 4


class Reader(Protocol):
    """What the look needs of fence.device.Devices."""

    def read(self, device: FenceDevice) -> str:
        """``on`` or ``off``. Raises EffectFailed."""


@dataclass(frozen=True)
class _Declared:
    """A device with what its node says of it."""

    name: str
    node: str
    device: FenceDevice
    together: bool


@dataclass
class _Known:
    """What is known of a device; under the lock.

    Attributes:
        due: when it is to be read again. reading: whether it is now.
        doubts: reads in a row that say off of a node that lives.
    """

    declared: _Declared
    service: Service | None = None
    due: float = 0.0
    doubts: int = 0
    reading: bool = False


class Fences:
    """Remembers what was read of each device.

    Args:
        store: returns the store that the agent is enrolled with; raises StoreUnavailable when there is none.
        now: seconds of a clock that only goes forward.
    """

    def __init__(self, store: Callable[[], Store], devices: Reader, now: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._devices = devices
        self._now = now
        self._workers = Workers("fence-read", _AT_A_TIME)
        self._lock = threading.Condition()
        self._known: dict[str, _Known] = {}
        self._changed = threading.Event()
        self._changed.set()
        self._reread_at = 0.0

    def look(self) -> Iterator[Service]:
        """Read the devices that are due. One that has not answered yet shows as it was read last, a new one not at all."""
        now = self._now()
        if self._changed.is_set() or now >= self._reread_at:
            self._take(now)
        with self._lock:
            for one in self._known.values():
                if not one.reading and now >= one.due:
                    one.reading = True
                    self._workers.submit(partial(self._read, one))
            self._lock.wait_for(lambda: not any(one.reading for one in self._known.values()), _PATIENCE)
            seen = [one.service for _name, one in sorted(self._known.items()) if one.service is not None]
        yield from seen

    def _take(self, now: float) -> None:
        """What is declared now; while the store does not answer, what was."""
        self._changed.clear()
        try:
            declared = self._declared()
        except StoreError:
            self._changed.set()
            return
        self._reread_at = now + _REREAD
        # only this thread changes which devices are known
        self._known = {
            name: known if (known := self._known.get(name)) and known.declared == one else _Known(one)
            for name, one in declared.items()
        }

    def _declared(self) -> Mapping[str, _Declared]:
        store = self._store()
        names = store.children(paths.NODES, self._touched) or []
        znodes = store.get_many([paths.node(name) for name in names], self._touched)
        found = {}
        for name, znode in zip(names, znodes, strict=True):
            node = codec.stored(Node, znode).value if znode is not None else None
            for device in node.fence if node is not None else ():
                full = f"{name}/{device.name}"
                found[full] = _Declared(full, name, device, node is not None and node.fence_together)
        return found

    def _touched(self, _path: str) -> None:
        self._changed.set()

    def _read(self, one: _Known) -> None:
        declared = one.declared
        lived = self._lives(declared.node)
        power, why = "", ""
        try:
            power = self._devices.read(declared.device)
        except EffectFailed as err:
            why = str(err)
        # one of several power supplies may be off
        off_alive = power == "off" and lived and not declared.together and self._lives(declared.node)
        with self._lock:
            # a session outlives its node by seconds, so that one such read says nothing yet
            one.doubts = one.doubts + 1 if off_alive else 0
            if one.doubts > 1:
                why = "it reads off while the agent of its node lives: it is another machine's device, or it lies"
            details = {DECLARATION: declaration(declared.device), POWER: power}
            one.service = Service(
                SERVICE,
                declared.name,
                "wrong" if one.doubts > 1 else "answers" if power else "no answer",
                healthy=not why,
                why=why,
                details={name: value for name, value in details.items() if value},
            )
            one.due = self._now() + (UNEASY if why or off_alive else STEADY)
            one.reading = False
            self._lock.notify_all()

    def _lives(self, node: str) -> bool:
        try:
            return self._store().get(paths.alive(node)) is not None
        except StoreError:
            return False
