# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes of VMs: RBD images, each call in a process of its own (``ceph_call``).

So a Ceph that does not answer costs a process that can be killed at its deadline, instead of a thread that cannot; a
failed assertion in Ceph's libraries, which ends the process, does not end the agent; and an idle agent does not carry
their memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

from pvc_state.records import Disk, DiskSnapshot

from .config import CephConfig
from .env import EffectFailed, Hold

#: Seconds that a call may take. Removing a volume takes the longer the more is on it.
_DEADLINES = {"pools": 30.0, "ensure": 60.0, "remove": 3600.0, "arrange": 300.0, "roll_back": 3600.0}
#: Seconds that a guest may stand still while a snapshot is made.
_HELD_WITHIN = 8.0


class RbdStorage:
    """RBD on the Ceph cluster that the configuration names.

    Args:
        command: the program that makes the call; it is given to tests only.
    """

    def __init__(
        self, config: CephConfig, command: Sequence[str] = (sys.executable, "-m", "pvc_node_agent.ceph_call")
    ) -> None:
        self._config = config
        self._command = command

    def ensure(self, disks: Sequence[Disk], barrier: int = 0) -> None:
        items = [[disk.pool, disk.volume, disk.size, disk.source] for disk in disks]
        self._call("ensure", items, barrier=barrier)

    def remove(self, disks: Sequence[Disk]) -> None:
        self._call("remove", [[disk.pool, disk.volume] for disk in disks])

    def arrange(self, disks: Sequence[Disk], snapshots: Sequence[DiskSnapshot], hold: Hold, barrier: int = 0) -> None:
        items = [[disk.pool, disk.volume] for disk in disks]
        wanted = [[one.name, one.id, list(one.disks)] for one in snapshots]
        self._call("arrange", items, barrier=barrier, hold=hold, snapshots=wanted)

    def roll_back(self, disks: Sequence[Disk], owner: str, snapshot: DiskSnapshot, mark: str, barrier: int = 0) -> None:
        items = [[disk.pool, disk.volume, disk.size] for disk in disks]
        one = [snapshot.name, snapshot.id]
        self._call("roll_back", items, barrier=barrier, owner=owner, snapshot=one, mark=mark)

    def pools(self) -> tuple[str, ...]:
        """Names of the pools that exist. Raises EffectFailed."""
        return tuple(sorted(self._call("pools", [])))

    def _call(self, what: str, items: list[list[Any]], barrier: int = 0, hold: Hold | None = None, **more: Any) -> Any:
        request = {"conf": self._config.conf, "user": self._config.user, "do": what, "items": items, "barrier": barrier}
        with _Call(self._command, _DEADLINES[what]) as call:
            call.say({**request, **more})
            answer = call.answer()
            while "at" in answer:
                # "hold" comes before each snapshot, and "made" after it: what happens between the two is short
                if hold is None or answer["at"] != "hold":
                    raise EffectFailed(f"the call of Ceph's library was not expected to be at {answer['at']}")
                with hold():
                    call.say({}, within=_HELD_WITHIN)
                    answer = call.answer()
                if "at" in answer:
                    call.say({}, within=_DEADLINES[what])
                    answer = call.answer()
        if "error" in answer:
            raise EffectFailed(answer["error"])
        return answer["result"]


class _Call:
    """A process that makes one call. It is ended at its deadline, and when nobody waits for it any more."""

    def __init__(self, command: Sequence[str], seconds: float) -> None:
        self._command = command
        self._seconds = seconds
        self._late = False

    def __enter__(self) -> _Call:
        with ExitStack() as stack:
            try:
                self._process = stack.enter_context(
                    subprocess.Popen(
                        self._command,
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
            except OSError as err:
                raise EffectFailed(f"{self._command[0]} cannot be started: {err}") from err
            stack.callback(self._process.kill)
            self._start_timer()
            stack.callback(self._stop_timer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        # what it was told last may never have been read
        with suppress(BrokenPipeError):
            self._stack.close()

    def say(self, request: dict[str, Any], within: float | None = None) -> None:
        """Let it go on; from now on it has so many seconds."""
        if within is not None:
            self._timer.cancel()
            self._seconds = within
            self._start_timer()
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except OSError:
            return  # it has ended: its answer, or the lack of it, tells why

    def answer(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        line = self._process.stdout.readline()
        if self._late:
            raise EffectFailed(f"Ceph did not answer within {self._seconds:g} s: see `ceph status`")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            code = self._process.wait()
            last = self._process.stderr.read().strip().rpartition("\n")[2] or "nothing was said"
            raise EffectFailed(f"the call of Ceph's library ended with code {code}: {last}") from None
        return answer

    def _stop_timer(self) -> None:
        self._timer.cancel()

    def _start_timer(self) -> None:
        self._timer = threading.Timer(self._seconds, self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        self._late = True
        self._process.kill()
