# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to a guest that runs, beside starting and stopping it: each function is given libvirt's domain, and may block.

What must outlive this process is written into the domain's mark.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import fromstring

import libvirt

from pvc_state.records import Disk

from .domain_mark import NAMESPACE, Mark, mark_xml
from .env import EffectFailed
from .libvirt_domain import mark_of

#: Seconds that the guest's own agent gets to freeze, and to thaw. What it did not thaw is tried again.
_FREEZES_WITHIN = 5
_THAWS_WITHIN = 10
_THAW_ATTEMPTS = 3
#: Seconds between two attempts.
_THAW_AGAIN = 1.0

FROZEN, PAUSED = "frozen", "paused"


def set_mark(domain: Any, new: Mark) -> None:
    """libvirt keeps it with the running domain, its own restart included."""
    kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    domain.setMetadata(kind, mark_xml(new), "pvc", NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def reset(domain: Any, serial: int) -> None:
    """The mark comes after the reset: a process that ends between the two resets once more, rather than never."""
    known = _marked(domain)
    if known.reset < serial:
        domain.reset(0)
        # what was frozen is no more; what was paused still is
        set_mark(domain, replace(known, reset=serial, held="" if known.held == FROZEN else known.held))


def grow(domain: Any, disks: Sequence[Disk]) -> None:
    """QEMU makes the volume larger itself, and tells the guest. The same size again changes nothing."""
    devices = _devices(domain)
    for disk in disks:
        volume = f"{disk.pool}/{disk.volume}"
        if volume in devices and disk.size is not None:
            domain.blockResize(devices[volume], disk.size, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)
            known = _marked(domain)
            set_mark(domain, replace(known, sizes=tuple({**dict(known.sizes), volume: disk.size}.items())))


@contextmanager
def held(domain: Any, several: bool) -> Iterator[None]:
    """Within it the guest is frozen by its own agent or, with several disks, paused. A single disk needs neither."""
    how = FROZEN if _freeze(domain) else PAUSED if several and _pause(domain) else ""
    try:
        yield
    except BaseException:
        with suppress(EffectFailed):
            _let_go(domain, how)
        raise
    _let_go(domain, how)


def release(domain: Any) -> None:
    """Let go what a process before this one has held. The guest may have been let go since."""
    how = _marked(domain).held
    with suppress(EffectFailed):
        _let_go(domain, how)
    if _marked(domain).held:
        raise EffectFailed(
            "its guest was held for a snapshot, and cannot be let go: its own agent does not thaw its file systems"
        )


def _freeze(domain: Any) -> bool:
    """Whether the guest's own agent has frozen its file systems."""
    before = _marked(domain)
    if not _has_agent(domain):
        return False
    set_mark(domain, replace(before, held=FROZEN))
    try:
        domain.agentSetResponseTimeout(_FREEZES_WITHIN, 0)
        frozen = domain.fsFreeze(None, 0)
    except libvirt.libvirtError:
        # it may have frozen some of them all the same
        with suppress(libvirt.libvirtError):
            domain.fsThaw(None, 0)
        set_mark(domain, before)
        return False
    if frozen == 0:
        # it has nothing that can be frozen, and nothing could tell afterwards whether it was held
        with suppress(libvirt.libvirtError):
            domain.fsThaw(None, 0)
        set_mark(domain, before)
        return False
    return True


def _pause(domain: Any) -> bool:
    """Whether the guest has been paused; one that stands still already needs it not, and is not let run on either."""
    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
        return False
    set_mark(domain, replace(_marked(domain), held=PAUSED))
    domain.suspend()
    return True


def _let_go(domain: Any, how: str) -> None:
    """Raises EffectFailed when the guest was not held any more, or cannot be let go."""
    lost = ""
    if how == FROZEN:
        lost = "its file systems were thawed while the snapshot was made" if not _thaw(domain) else ""
    elif how == PAUSED:
        lost = "it was resumed while the snapshot was made" if not _resume(domain) else ""
    if how:
        set_mark(domain, replace(_marked(domain), held=""))
    if lost:
        raise EffectFailed(f"its guest was not held still all the time: {lost}")


def _thaw(domain: Any) -> bool:
    """Whether something was still frozen. Raises EffectFailed when the guest's agent does not answer any more."""
    for turn in range(_THAW_ATTEMPTS):
        try:
            domain.agentSetResponseTimeout(_THAWS_WITHIN, 0)
            return bool(domain.fsThaw(None, 0) > 0)
        except libvirt.libvirtError as err:
            problem = str(err.get_error_message())
            if turn < _THAW_ATTEMPTS - 1:
                time.sleep(_THAW_AGAIN)
    raise EffectFailed(f"its file systems cannot be thawed: {problem}")


def _resume(domain: Any) -> bool:
    state, reason = domain.state()
    if state != libvirt.VIR_DOMAIN_PAUSED:
        return False
    if reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        # its storage failed meanwhile: what is done about that is decided elsewhere
        return False
    domain.resume()
    return True


def _marked(domain: Any) -> Mark:
    found = mark_of(domain)
    if found is None:
        raise EffectFailed("its domain is not marked as one of this product")
    return found


def _has_agent(domain: Any) -> bool:
    """Whether an agent of the guest has opened its channel."""
    channels = fromstring(domain.XMLDesc(0)).iterfind("devices/channel/target")  # noqa: S314 - libvirt's own words
    return any(one.get("name") == "org.qemu.guest_agent.0" and one.get("state") == "connected" for one in channels)


def _devices(domain: Any) -> dict[str, str]:
    """Names of the disks' devices, by the volume that they are of."""
    found = {}
    for disk in fromstring(domain.XMLDesc(0)).iterfind("devices/disk"):  # noqa: S314 - libvirt's own words
        source, target = disk.find("source"), disk.find("target")
        if source is not None and target is not None:
            found[source.get("name", "")] = target.get("dev", "")
    return found
