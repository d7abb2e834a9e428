# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fencing through Ceph, in a process of its own (``ceph_child``) that stays connected to the monitors.

So a library that hangs can be killed, and one that fails an assertion does not end the agent. The child answers within
the time that it was given even when the monitors do not; one that does not is killed and replaced.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, Any

from ..env import EffectFailed

#: Seconds that a command may take in the monitors: they answer none while they elect, and carry it out then.
SECONDS = 12.0
#: Seconds that the child may take for a request, of a few commands, before it counts as hanging.
DEADLINE = 2 * SECONDS
COMMAND = (sys.executable, "-m", "pvc_node_agent.fence.ceph_child")


class CephFence:
    """The Ceph cluster of a configuration file, as a user that may fence.

    Args:
        seconds, deadline, command: other than the usual ones are given to tests only.
    """

    def __init__(
        self,
        conf: str,
        user: str,
        keyring: str,
        seconds: float = SECONDS,
        deadline: float = DEADLINE,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._command = (*command, conf, user, keyring, f"{seconds:g}")
        self._deadline = deadline
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def warm(self) -> None:
        """Have the child connect, so that the first call need not wait for it. Raises EffectFailed."""
        self._living(None)

    def cut(self, addresses: Sequence[str]) -> int:
        return int(self._call("cut", addresses=list(addresses)))

    def restore(self, addresses: Sequence[str]) -> None:
        self._call("restore", addresses=list(addresses))

    def mark_down(self, node: str) -> str:
        return str(self._call("mark_down", node=node))

    def close(self) -> None:
        """End the child."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._child = None

    def _living(self, useless: _Child | None) -> _Child:
        """The child, or a new one instead of one that is of no use."""
        with self._lock:
            if self._child is None or self._child is useless or self._child.ended:
                self._child = _Child(self._command)
            return self._child

    def _call(self, what: str, **more: Any) -> Any:
        request = {"do": what, **more}
        child = self._living(None)
        try:
            answer = child.ask(request, self._deadline)
            if answer is _ENDED:
                # it may have ended long ago, unnoticed
                child = self._living(child)
                answer = child.ask(request, self._deadline)
        except TimeoutError:
            child.kill()
            self._living(child)
            raise EffectFailed(
                f"Ceph's library did not answer within {self._deadline:g} s: its process was replaced"
            ) from None
        if "error" in answer:
            raise EffectFailed(answer["error"])
        return answer["result"]


class _Child:
    """One process, with the calls that wait for its answers."""

    def __init__(self, command: Sequence[str]) -> None:
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as err:
            raise EffectFailed(f"{command[0]} cannot be started: {err}") from err
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._waiting: dict[int, SimpleQueue[dict[str, Any]]] = {}
        self.ended = False
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout
        threading.Thread(target=self._read, name="ceph-fence", daemon=True).start()

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        """The answer to a request; one of the process's end, too. Raises TimeoutError."""
        box: SimpleQueue[dict[str, Any]] = SimpleQueue()
        with self._lock:
            if self.ended:
                return _ENDED
            number = next(self._numbers)
            self._waiting[number] = box
            try:
                self._requests.write(json.dumps({"id": number, **request}) + "\n")
                self._requests.flush()
            except OSError:
                return _ENDED
        try:
            return box.get(timeout=seconds)
        except Empty:
            raise TimeoutError from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)

    def kill(self) -> None:
        """End the process, whatever it does; calls that wait are answered."""
        self._process.kill()

    def _read(self) -> None:
        try:
            for line in self._answers:
                answer = json.loads(line)
                with self._lock:
                    box = self._waiting.get(answer["id"])
                if box is not None:
                    box.put(answer)
        except (LookupError, TypeError, ValueError):
            self._process.kill()
        with self._lock:
            self.ended = True
            for box in self._waiting.values():
                box.put(_ENDED)
        self._process.wait()
        self._answers.close()
        with self._lock, suppress(OSError):
            self._requests.close()


_ENDED = {"error": "the process that fences through Ceph has ended twice: see the agent's journal"}
