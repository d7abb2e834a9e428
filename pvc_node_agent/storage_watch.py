# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether Ceph serves this node: keeps the process that asks it running (``ceph_watch``), and posts what it says.

In a process of its own for the same reasons as the calls of ``rbd_storage``, but one that lives: what counts here is the
answer on a connection that worked a second ago.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from .config import CephConfig
from .env import Clock, Post
from .events import Event, StorageCutSeen, StorageSeen

#: Seconds without a word after which the process is ended, and seconds before the next one is started.
_SILENCE = 15.0
_PAUSE = 2.0
#: Seconds between two looks at whether to stop.
_TURN = 1.0


class StorageWatch:
    """Runs the process, one after the other.

    Args:
        command: the program, given to tests only.
    """

    def __init__(
        self,
        config: CephConfig,
        clock: Clock,
        post: Post,
        command: Sequence[str] = (sys.executable, "-m", "pvc_node_agent.ceph_watch"),
        silence: float = _SILENCE,
        pause: float = _PAUSE,
    ) -> None:
        self._command = (*command, config.conf, config.user)
        self._clock = clock
        self._post_event = post
        self._silence = silence
        self._pause = pause
        self._last: Event | None = None
        self._address = ""
        self._cut = False
        self._child: subprocess.Popen[bytes] | None = None

    def hurry(self) -> None:
        """What is being listened to ends now; from any thread."""
        child = self._child
        if child is not None:
            child.kill()

    def watch(self, stopped: threading.Event) -> None:
        """Until told to stop; leaves no process behind."""
        while not stopped.is_set():
            try:
                why = self._listen(stopped)
            except OSError as err:
                why = f"{self._command[0]} cannot be started: {err}"
            if not stopped.is_set():
                self._slow(why)
            stopped.wait(self._pause)

    def _listen(self, stopped: threading.Event) -> str:
        """Run one process to its end; returns why it ended."""
        child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._child = child
        try:
            for line in self._lines(child, stopped):
                if line is None:
                    return f"the process that asks Ceph has not said anything for {self._silence:g} s"
                self._hear(line)
        finally:
            self._child = None
            child.kill()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
            code = child.wait()
        return f"the process that asks Ceph has ended with code {code}"

    def _lines(self, child: subprocess.Popen[bytes], stopped: threading.Event) -> Iterator[bytes | None]:
        """What it says, line by line; None when it has been silent for too long."""
        assert child.stdout is not None
        descriptor = child.stdout.fileno()
        heard_at = self._clock.now()
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while not stopped.is_set():
                if selector.select(_TURN):
                    data = os.read(descriptor, 65536)
                    if not data:
                        return
                    heard_at = self._clock.now()
                    *lines, rest = (rest + data).split(b"\n")
                    yield from lines
                elif self._clock.now() - heard_at > self._silence:
                    yield None
                    return

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            state, self._address, why = said["state"], said["address"], said["why"]
        except (ValueError, KeyError, TypeError):
            return
        if state == "cut":
            self._cut = True
            self._post(StorageCutSeen(why))
        elif state == "ok":
            self._cut = False
            self._post(StorageSeen(self._address))
        else:
            self._slow(why)

    def _slow(self, why: str) -> None:
        """No answer is no news of a cut: what is known to be refused stays so until Ceph serves it again."""
        if not self._cut:
            self._post(StorageSeen(self._address, why))

    def _post(self, event: Event) -> None:
        if event != self._last:
            self._last = event
            self._post_event(event)
