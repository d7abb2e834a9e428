# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks for the benchmarks, and reads what became of their tasks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


class Run:
    """A playbook that has run without failure.

    Attributes:
        seconds: how long it took, from the command's start to its end.
        tasks: of each task in order: its name, its seconds, and the result on its only host.
    """

    def __init__(self, name: str, *, inventory: str | Path = "localhost,", variables: Mapping[str, Any] | None = None):
        env = {key: value for key, value in os.environ.items() if not key.startswith("PVC_")}
        env |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        }
        # In a file: a thousand VMs do not fit into an argument.
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(variables or {}, file)
            file.flush()
            program = Path(sys.executable).parent / "ansible-playbook"
            command = [program, "-i", str(inventory), "-e", f"@{file.name}", HERE / name]
            started = time.monotonic()
            done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
        self.seconds = time.monotonic() - started
        if done.returncode != 0:
            raise RuntimeError(f"{name} failed:\n{done.stdout}\n{done.stderr}")
        plays = json.loads(done.stdout)["plays"]
        self.tasks = [
            (task["task"]["name"], _duration(task["task"]["duration"]), next(iter(task["hosts"].values()), {}))
            for play in plays
            for task in play["tasks"]
        ]

    def seconds_of(self, name: str) -> list[float]:
        """Of all tasks of a name."""
        return [seconds for task, seconds, _result in self.tasks if task == name]

    def result_of(self, name: str) -> Any:
        """Of the only task of a name."""
        (result,) = [result for task, _seconds, result in self.tasks if task == name]
        return result


def _duration(span: Mapping[str, str]) -> float:
    begin, end = (datetime.fromisoformat(span[key].removesuffix("Z")) for key in ("start", "end"))
    return (end - begin).total_seconds()
