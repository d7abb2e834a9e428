# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process that fences through Ceph: it keeps a connection to the monitors, since a fence has no time to make one.

One JSON object per line: ``{"id": …, "do": "cut", "restore" or "mark_down", …}`` is answered by ``{"id": …, "result": …}`` or
``{"id": …, "error": a sentence}``, in any order. Requests run side by side: the monitors then commit them together. The
process ends with its standard input. Run as: ceph_child CONF USER KEYRING SECONDS, the time that a monitor is given.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import rados

from .blocklist import Ask, Failed, cut, mark_down, restore

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
