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
from collections.abc import Sequence
from typing import Any

from pvc_state.records import Disk

from .config import CephConfig
from .env import EffectFailed

#: Seconds that a call may take. Removing a volume takes the longer the more is on it.
_DEADLINES = {"pools": 30.0, "ensure": 60.0, "remove": 3600.0}


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
        self._call("ensure", [[disk.pool, disk.volume, disk.size] for disk in disks], barrier=barrier)

    def remove(self, disks: Sequence[Disk]) -> None:
        self._call("remove", [[disk.pool, disk.volume] for disk in disks])

    def pools(self) -> tuple[str, ...]:
        """Names of the pools that exist. Raises EffectFailed."""
        return tuple(sorted(self._call("pools", [])))

    def _call(self, what: str, items: list[list[Any]], deadline: float | None = None, barrier: int = 0) -> Any:
        request = {
            "conf": self._config.conf,
            "user": self._config.user,
            "do": what,
            "items": items,
            "barrier": barrier,
        }
        seconds = _DEADLINES[what] if deadline is None else deadline
        try:
            done = subprocess.run(
                self._command, input=json.dumps(request), capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise EffectFailed(f"Ceph did not answer within {seconds:g} s: see `ceph status`") from None
        except OSError as err:
            raise EffectFailed(f"{self._command[0]} cannot be started: {err}") from err
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            last = done.stderr.strip().rpartition("\n")[2] or "nothing was said"
            raise EffectFailed(f"the call of Ceph's library ended with code {done.returncode}: {last}") from None
        if "error" in answer:
            raise EffectFailed(answer["error"])
        return answer["result"]
