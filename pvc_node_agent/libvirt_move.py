# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves of running guests, as libvirt carries them out: begun, awaited, called off, and timed at their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import libvirt

from pvc_state.records import Migration

from .domain_mark import remarked
from .env import EffectFailed
from .libvirt_domain import has_ended, is_leaving, mark_of
from .libvirt_guest import set_mark

#: Seconds that a guest may be on its way to another node; then it stays. And between two looks at a move that an agent
#: before this one began.
_MOVED_WITHIN = 600.0
_LOOK_AGAIN = 0.5
#: Seconds that libvirt gets to tell how a domain has ended, and how it tells that it was moved away.
_TOLD_WITHIN = 5.0
_MOVED_AWAY = (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_MIGRATED)
_MOVE = (
    libvirt.VIR_MIGRATE_PEER2PEER
    | libvirt.VIR_MIGRATE_LIVE
    | libvirt.VIR_MIGRATE_TLS
    | libvirt.VIR_MIGRATE_PAUSED
    | libvirt.VIR_MIGRATE_ABORT_ON_ERROR
)


class Moves:
    """What libvirt has told of moves from and to this node."""

    def __init__(self) -> None:
        self._told = threading.Condition()
        self._moved_away: set[str] = set()
        self._suspended: dict[str, float] = {}

    def note(self, uuid: str, event: int, detail: int) -> None:
        """An event in the life of a domain."""
        with self._told:
            if (event, detail) == _MOVED_AWAY:
                self._moved_away.add(uuid)
                self._told.notify_all()
            else:
                self._moved_away.discard(uuid)
            if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
                self._suspended[uuid] = time.monotonic()
            else:
                self._suspended.pop(uuid, None)

    def send(self, domain: Any, to: str, address: str, epoch: int, how: Migration) -> str:
        """Move a guest; it arrives marked with the epoch, and paused. Of a move that is under way the end is awaited.

        From daemon to daemon: that goes on when this agent is restarted meanwhile. So the domain is marked with where it goes.

        Returns:
            The node where it is.
        """
        uuid = domain.UUIDString()
        mark = mark_of(domain)
        if mark is None:
            raise EffectFailed("its domain is not marked as one of this product")
        if _await_move(domain) and has_ended(domain):
            self._check_moved(uuid)
            return mark.going or to
        set_mark(domain, replace(mark, going=to))
        paused = domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
        flags = libvirt.VIR_DOMAIN_XML_MIGRATABLE | libvirt.VIR_DOMAIN_XML_SECURE
        there = remarked(domain.XMLDesc(flags), replace(mark, epoch=epoch, arriving=True, paused=paused, going=""))
        parameters: dict[str, Any] = {libvirt.VIR_MIGRATE_PARAM_DEST_XML: there}
        if how.bandwidth:
            parameters[libvirt.VIR_MIGRATE_PARAM_BANDWIDTH] = how.bandwidth
        domain.migrateSetMaxDowntime(how.max_downtime, 0)
        host = f"[{address}]" if ":" in address else address
        with _bounded(domain):
            slowing = libvirt.VIR_MIGRATE_AUTO_CONVERGE if how.auto_converge else 0
            domain.migrateToURI3(f"qemu+tls://{host}/system", parameters, _MOVE | slowing)
        return to

    def resume(self, domain: Any) -> str:
        """Let it run on. A guest that has been moved here is from now on like any other; returns how it came."""
        mark = mark_of(domain)
        if mark is None or not mark.arriving:
            domain.resume()
            return ""
        if _comes_in(domain):
            raise EffectFailed("its guest has not wholly arrived")
        with self._told:
            arrived = self._suspended.get(domain.UUIDString())
        if not mark.paused:
            domain.resume()
        waited = None if arrived is None else time.monotonic() - arrived
        set_mark(domain, replace(mark, arriving=False, paused=False))
        return _came(domain, waited, mark.paused)

    def _check_moved(self, uuid: str) -> None:
        """A guest that is gone was moved, says libvirt: it may as well have run on and ended."""
        with self._told:
            if not self._told.wait_for(lambda: uuid in self._moved_away, _TOLD_WITHIN):
                raise EffectFailed("its guest ended while it was being moved")


def cancel(domain: Any) -> None:
    """Call a move off that is under way."""
    if is_leaving(domain):
        domain.abortJob()


def _came(domain: Any, waited: float | None, paused: bool) -> str:
    """How a guest came here, in words: what libvirt counts until it had arrived, and how long it has waited then.

    Args:
        waited: seconds; None: nobody has seen when it arrived.
    """
    try:
        stats = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    except libvirt.libvirtError:
        return "while it ran"
    elapsed = stats.get(libvirt.VIR_DOMAIN_JOB_TIME_ELAPSED)
    downtime = stats.get(libvirt.VIR_DOMAIN_JOB_DOWNTIME)
    if elapsed is None:
        return "while it ran"
    text = f"in {elapsed / 1000:.1f} s"
    if paused:
        return f"{text}, paused"
    if downtime is None or waited is None:
        return text
    return f"{text}; its guest stood still for {downtime + round(waited * 1000)} ms"


def _comes_in(domain: Any) -> bool:
    """Whether a guest is still on its way here: its source may have died meanwhile."""
    try:
        return bool(domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE)
    except libvirt.libvirtError as err:
        # so does libvirt answer at the target of a move
        if err.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED:
            return True
        raise


def _await_move(domain: Any) -> bool:
    """Wait for the end of a move that is under way; returns whether there was one."""
    began = time.monotonic()
    found = False
    while is_leaving(domain):
        found = True
        if time.monotonic() > began + _MOVED_WITHIN:
            domain.abortJob()
            raise EffectFailed(f"libvirt did not move it within {_MOVED_WITHIN:g} s")
        time.sleep(_LOOK_AGAIN)
    return found


@contextmanager
def _bounded(domain: Any) -> Iterator[None]:
    """Within it, a move that takes too long is cancelled."""
    late = threading.Event()

    def cancel() -> None:
        late.set()
        with suppress(libvirt.libvirtError):
            domain.abortJob()

    timer = threading.Timer(_MOVED_WITHIN, cancel)
    timer.daemon = True
    timer.start()
    try:
        yield
    except libvirt.libvirtError as err:
        if late.is_set():
            raise EffectFailed(f"libvirt did not move it within {_MOVED_WITHIN:g} s") from err
        raise
    finally:
        timer.cancel()
