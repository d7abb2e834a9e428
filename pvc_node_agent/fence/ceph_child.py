# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that fences through Ceph: it keeps a connection to the monitors, since a fence has no time to make one.

One JSON object per line: ``{"id": …, "do": "cut", "restore" or "mark_down", …}`` is answered by ``{"id": …, "result": …}`` or
``{"id": …, "error": a sentence}``, in any order. Requests run side by side: the monitors then commit them together. The
process ends with its standard input. Run as: ceph_child CONF USER KEYRING SECONDS, the time that a monitor is given.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import rados

#: Seconds until an entry expires, since Ceph has none that does not: ten years. Less than half of it left is refused.
EXPIRY = 315_360_000
#: A monitor that died must be noticed within seconds, and another one found at once.
_OPTIONS = {
    "mon_client_ping_interval": "1",
    "mon_client_ping_timeout": "2",
    "mon_client_hunt_interval": "1",
    "mon_client_hunt_interval_backoff": "1",
    "client_mount_timeout": "5",
    "log_to_stderr": "false",
    "err_to_stderr": "false",
}
#: Answers of the operating system's kind that librados gives.
_NOT_ALLOWED, _NO_ENTRY, _TIMED_OUT = 13, 2, 110


class Failed(Exception):
    """The text is one sentence."""


class Monitors:
    """A connection to Ceph's monitors, made in the background and kept."""

    def __init__(self, conf: str, user: str, keyring: str, seconds: float) -> None:
        self._arguments = {
            "conffile": conf,
            "rados_id": user,
            "conf": {**_OPTIONS, "keyring": keyring, "rados_mon_op_timeout": f"{seconds:g}"},
        }
        self._user = user
        self._seconds = seconds
        self._cluster: Any = None
        self._trouble = "they do not answer"
        self._connected = threading.Event()
        threading.Thread(target=self._connect, name="connect", daemon=True).start()

    def _connect(self) -> None:
        while not self._connected.is_set():
            try:
                cluster = rados.Rados(**self._arguments)
                cluster.connect()
            except rados.Error as err:
                self._trouble = str(err)
                time.sleep(0.2)
            else:
                self._cluster = cluster
                self._connected.set()

    def ask(self, prefix: str, **more: Any) -> Any:
        """The answer to a command, parsed; None when the object that it names does not exist. Raises Failed."""
        if not self._connected.wait(self._seconds):
            raise Failed(f"Ceph's monitors do not let user {self._user} in, or do not answer: {self._trouble}")
        command = json.dumps({"prefix": prefix, "format": "json", **more})
        try:
            code, answer, words = self._cluster.mon_command(command, b"")
        except rados.Error as err:
            raise Failed(f"Ceph's monitors did not carry out `{prefix}`: {err}") from err
        if code == -_NO_ENTRY:
            return None
        if code == -_NOT_ALLOWED:
            raise Failed(f"Ceph's user {self._user} may not `{prefix}`: role ceph gives it the capabilities")
        if code == -_TIMED_OUT:
            raise Failed(
                f"Ceph's monitors did not answer `{prefix}` within {self._seconds:g} s: they may have no quorum"
            )
        if code:
            raise Failed(f"Ceph's monitors refused `{prefix}`: {words or os.strerror(-code)}")
        return json.loads(answer) if answer.strip() else None


Ask = Callable[..., Any]


def cut(ask: Ask, addresses: Iterable[str]) -> int:
    """Refuse every client on the addresses; the epoch of a committed osdmap that holds all entries. Raises Failed.

    An entry without a port counts for every client of the address, in every release of Ceph; the daemons there are
    none of its clients. It replaces one that is there and may expire sooner.
    """
    wanted = sorted({entry_of(address) for address in addresses})
    _together(wanted, lambda one: ask("osd blocklist", blocklistop="add", addr=one, expire=float(EXPIRY)))
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


_ACTIONS: Mapping[str, Callable[[Ask, Mapping[str, Any]], Any]] = {
    "cut": lambda ask, request: cut(ask, request["addresses"]),
    "restore": lambda ask, request: restore(ask, request["addresses"]),
    "mark_down": lambda ask, request: mark_down(ask, request["node"]),
}


def main() -> None:
    """Answer requests until there are no more, and end without Ceph's own goodbye, which waits for its answer."""
    conf, user, keyring, seconds = sys.argv[1:]
    monitors = Monitors(conf, user, keyring, float(seconds))
    writing = threading.Lock()

    def answer(request: Mapping[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request["id"]}
        try:
            reply["result"] = _ACTIONS[request["do"]](monitors.ask, request)
        except Failed as err:
            reply["error"] = str(err)
        except (KeyError, TypeError, ValueError) as err:
            reply["error"] = f"Ceph gave an answer that this agent does not understand ({type(err).__name__}: {err})"
        with writing:
            print(json.dumps(reply), flush=True)  # noqa: T201

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
