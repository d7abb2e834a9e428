# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What fencing asks of Ceph's monitors, and what it takes for an answer: the entries as an osdmap holds them.

Each function takes a way to ask: a command's name and arguments in, its parsed answer out, None when the object that it
names does not exist. It raises Failed.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

#: Seconds until an entry expires, since Ceph has none that does not: ten years. Less than half of it left is refused.
EXPIRY = 315_360_000


class Failed(Exception):
    """The text is one sentence."""


Ask = Callable[..., Any]


def cut(ask: Ask, addresses: Iterable[str]) -> int:
    """Refuse every client on the addresses; the epoch of a committed osdmap that holds all entries. Raises Failed.

    An entry without a port counts for every client of the address, in every release of Ceph; the daemons there are
    none of its clients. It replaces one that is there and may expire sooner. Entries that are there already make no new
    osdmap, so that a cut can be looked at as often as one likes.
    """
    wanted = sorted({entry_of(address) for address in addresses})
    epoch, entries = _blocklist(ask)
    needed = [one for one in wanted if entries.get(one, 0.0) < time.time() + EXPIRY / 2]
    if not needed:
        return epoch
    _together(needed, lambda one: ask("osd blocklist", blocklistop="add", addr=one, expire=float(EXPIRY)))
    epoch, entries = _blocklist(ask)
    missing = [one for one in wanted if one not in entries]
    if missing:
        raise Failed(f"Ceph accepted blocklist entries that osdmap {epoch} does not hold: {', '.join(missing)}")
    short = [one for one in wanted if entries[one] < time.time() + EXPIRY / 2]
    if short:
        raise Failed(f"blocklist entries in osdmap {epoch} expire too soon: {', '.join(short)}")
    return epoch


def restore(ask: Ask, addresses: Iterable[str]) -> None:
    """Remove what cut() adds, and nothing else. Raises Failed."""
    unwanted = sorted({entry_of(address) for address in addresses})
    _epoch, entries = _blocklist(ask)
    present = [one for one in unwanted if one in entries]
    if not present:
        return
    _together(present, lambda one: ask("osd blocklist", blocklistop="rm", addr=one))
    epoch, entries = _blocklist(ask)
    left = [one for one in unwanted if one in entries]
    if left:
        raise Failed(f"Ceph accepted to remove blocklist entries that osdmap {epoch} still holds: {', '.join(left)}")


def mark_down(ask: Ask, node: str) -> str:
    """Mark the OSDs of a host in the CRUSH tree down; in words which. Raises Failed."""
    numbers = ask("osd ls-tree", name=node)
    if not numbers:
        return f"Ceph has no OSDs on {node}"
    names = ", ".join(f"osd.{number}" for number in numbers)
    ask("osd down", ids=[str(number) for number in numbers], definitely_dead=True)
    dump = ask("osd dump")
    up = [f"osd.{osd['osd']}" for osd in dump["osds"] if osd["osd"] in numbers and osd["up"]]
    if up:
        raise Failed(f"Ceph counts {', '.join(up)} on {node} as up although told otherwise: it may still be running")
    return f"{names} on {node} {'is' if len(numbers) == 1 else 'are'} down in osdmap {dump['epoch']}"


def entry_of(address: str) -> str:
    """A blocklist entry for every client of an address, as Ceph writes it."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        raise Failed(f"{address!r} is no IP address, so Ceph cannot refuse it") from None
    return f"[{ip}]:0/0" if ip.version == 6 else f"{ip}:0/0"


def _together(entries: Iterable[str], do: Callable[[str], Any]) -> None:
    """All at once: the monitors commit together what arrives together, and take up to a second for each commit."""
    entries = list(entries)
    if entries:
        with ThreadPoolExecutor(len(entries)) as pool:
            list(pool.map(do, entries))


def _blocklist(ask: Ask) -> tuple[int, Mapping[str, float]]:
    """Epoch of the present osdmap, and when each of its entries expires (seconds since 1970)."""
    dump = ask("osd dump")
    return int(dump["epoch"]), {
        entry: datetime.strptime(until, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()
        for entry, until in dump["blocklist"].items()
    }
