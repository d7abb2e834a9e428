# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks for the benchmarks: as users do, to see how long it takes, or with every result, to read them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent


def seconds(name: str, variables: Mapping[str, Any]) -> float:
    """How long ansible-playbook takes from its start to its end, on this machine alone and with its usual output."""
    return _play(name, "localhost,", variables, "ansible.builtin.default")[0]


class Results:
    """A playbook that has run, with what became of its tasks.

    Attributes:
        tasks: each task in order: its name, its seconds, and the result on its only host.
    """

    def __init__(self, name: str, variables: Mapping[str, Any], inventory: str | Path = "localhost,") -> None:
        plays = json.loads(_play(name, inventory, variables, "ansible.posix.json")[1])["plays"]
        self.tasks = [
            (task["task"]["name"], _duration(task["task"]["duration"]), next(iter(task["hosts"].values()), {}))
            for play in plays
            for task in play["tasks"]
        ]

    def seconds_of(self, name: str) -> list[float]:
        """Of all tasks of a name."""
        return [seconds for task, seconds, _result in self.tasks if task == name]

    def results_of(self, name: str) -> list[Any]:
        """Of all tasks of a name."""
        return [result for task, _seconds, result in self.tasks if task == name]

    def result_of(self, name: str) -> Any:
        """Of the only task of a name."""
        (result,) = self.results_of(name)
        return result


def timed(name: str | Path, inventory: Path, arguments: Sequence[str] = ()) -> tuple[float, str]:
    """Seconds and output of a playbook with its usual output; `name` is a path, or a file beside this one."""
    return _play(name, inventory, {}, "ansible.builtin.default", arguments)


def _play(
    name: str | Path, inventory: str | Path, variables: Mapping[str, Any], callback: str, arguments: Sequence[str] = ()
) -> tuple[float, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith("PVC_")}
    env |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": callback}
    # In a file: a thousand VMs do not fit into an argument.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(variables, file)
        file.flush()
        program = Path(sys.executable).parent / "ansible-playbook"
        command = [program, "-i", str(inventory), "-e", f"@{file.name}", *arguments, HERE / name]
        started = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
        elapsed = time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed:\n{done.stdout}\n{done.stderr}")
    return elapsed, done.stdout


def _duration(span: Mapping[str, str]) -> float:
    begin, end = (datetime.fromisoformat(span[key].removesuffix("Z")) for key in ("start", "end"))
    return (end - begin).total_seconds()
