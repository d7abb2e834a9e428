# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that asks Ceph something every second, and says when that changes: what Ceph thinks of this node.

``python -m pvc_node_agent.ceph_watch CONF USER`` prints a JSON object a line: ``{"state": …, "address": …, "why": …}``,
when one of them changes, and every few seconds anyway, so that silence means something. States: ``ok``; ``slow``: no
answer for a while; ``cut``: Ceph refuses this node's clients, a fresh one, too. It ends when its input does.

It asks for objects that need not exist, under the name that the node's guests use. An idle guest would never notice that
it is cut off; and a guest that does must not be the first to know.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import threading
import time
from typing import Any

import rados

#: Seconds between two questions, after which no answer counts as slow, and after which a line is repeated.
_EVERY = 1.0
_SLOW = 5.0
_REPEAT = 3.0
#: Seconds that a fresh connection gets, and its answer.
_FRESH = 5.0
#: Names of the objects that are asked for, so that they lie in different placement groups; how many at a time.
_NAMES = tuple(f"pvc-watch-{number}" for number in range(16))
_AT_ONCE = 3
#: Pools come and go: after so many questions they are looked for again.
_LOOK_FOR_POOLS = 60
#: A small client: it has no traffic.
_OPTIONS = {
    "client_mount_timeout": "5",
    "rados_mon_op_timeout": "5",
    "ms_async_op_threads": "1",
    "librados_thread_count": "1",
    "log_max_recent": "1",
    "perf": "false",
}
_ADDRESS = re.compile(r"(?:v\d:)?(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):\d+/\d+")
#: What Ceph answers to a client that it refuses.
_REFUSED = errno.ESHUTDOWN


class Client:
    """One connection, and the questions that are open on it."""

    def __init__(self, conf: str, user: str) -> None:
        self._cluster = rados.Rados(conffile=conf, rados_id=user, conf=_OPTIONS)
        self._cluster.connect(timeout=int(_FRESH))
        self._changed = threading.Condition()
        self._answers: list[int] = []
        self._open: set[tuple[str, str]] = set()
        self._pools: dict[str, Any] = {}
        self._asked = 0

    def address(self) -> str:
        """The address that Ceph sees; empty when it is in a notation that is not known."""
        match = _ADDRESS.search(self._cluster.get_addrs())
        return (match.group(1) or match.group(2)) if match else ""

    def ask(self) -> bool:
        """Ask some more, but never twice for what has not been answered; returns whether there is anything to ask for."""
        if self._asked % _LOOK_FOR_POOLS == 0:
            self._pools = {name: self._cluster.open_ioctx(name) for name in self._cluster.list_pools()}
        self._asked += 1
        with self._changed:
            pools = tuple(self._pools.items())
        for pool, context in pools:
            for step in range(_AT_ONCE):
                name = _NAMES[(self._asked * _AT_ONCE + step) % len(_NAMES)]
                with self._changed:
                    if (pool, name) in self._open:
                        continue
                    self._open.add((pool, name))
                context.aio_stat(name, lambda done, _size, _time, key=(pool, name): self._answered(key, done))
        with self._changed:
            return bool(self._pools or self._answers)

    def answers(self, timeout: float) -> list[int]:
        """What was answered, as error numbers; waits for the first one."""
        with self._changed:
            if not self._answers:
                self._changed.wait(timeout)
            answers, self._answers = self._answers, []
        return answers

    def close(self) -> None:
        self._cluster.shutdown()

    def _answered(self, key: tuple[str, str], done: Any) -> None:
        code = -done.get_return_value()
        with self._changed:
            self._open.discard(key)
            if code in (errno.EPERM, errno.EACCES):
                # not a pool of this user's
                self._pools.pop(key[0], None)
                return
            self._answers.append(code)
            self._changed.notify()


class Watcher:
    """Asks, and says what has changed."""

    def __init__(self, conf: str, user: str) -> None:
        self._conf = conf
        self._user = user
        self._client: Client | None = None
        self._said: dict[str, str] = {}
        self._said_at = 0.0
        self._address = ""
        self._answered_at = time.monotonic()

    def run(self) -> None:
        """Until the process ends."""
        while True:
            began = time.monotonic()
            try:
                self._turn()
            except rados.Error as err:
                self._slow(f"Ceph does not answer, or does not let user {self._user} in: {err}")
            time.sleep(max(0.05, began + _EVERY - time.monotonic()))

    def _turn(self) -> None:
        client = self._client
        if client is None:
            client = self._client = Client(self._conf, self._user)
            self._address = client.address()
        if not client.ask():
            # there is no pool, or none that this user may use: then no guest of this node uses one, either
            self._answered_at = time.monotonic()
            self._say("ok", "")
            return
        answers = client.answers(_EVERY * 0.9)
        if _REFUSED in answers:
            self._answered_at = time.monotonic()
            self._confirm()
        elif answers:
            self._answered_at = time.monotonic()
            self._say("ok", "")
        elif time.monotonic() - self._answered_at > _SLOW:
            self._slow(f"Ceph has not answered for more than {_SLOW:g} s")

    def _confirm(self) -> None:
        """Only this connection may be refused, not the node: then a fresh one takes its place."""
        if self._said.get("state") == "cut":
            self._say("cut", self._said["why"])
            return
        fresh = Client(self._conf, self._user)
        fresh.ask()
        answers = fresh.answers(_FRESH)
        if _REFUSED in answers or not answers:
            fresh.close()
            if answers:
                self._say("cut", f"Ceph refuses all clients on {self._address or 'this node'}, a fresh one, too")
            return
        old, self._client = self._client, fresh
        self._say("ok", "")
        if old is not None:
            old.close()

    def _slow(self, why: str) -> None:
        # what is known to be cut stays so until Ceph says something else
        if self._said.get("state") != "cut":
            self._say("slow", why)
        else:
            self._say("cut", self._said["why"])

    def _say(self, state: str, why: str) -> None:
        said = {"state": state, "address": self._address, "why": why}
        if said != self._said or time.monotonic() - self._said_at > _REPEAT:
            self._said, self._said_at = said, time.monotonic()
            sys.stdout.write(json.dumps(said) + "\n")
            sys.stdout.flush()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Watch for ever, without Ceph's own goodbye, which waits for a cluster that does not answer."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        Watcher(sys.argv[1], sys.argv[2]).run()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
