# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the tools of the host, with errors a person can act on."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class LabError(Exception):
    """Something that the lab cannot do, in one line that names the object and the remedy."""


def run(
    *argv: str | Path,
    check: bool = True,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command, keep its output, and turn a failure into one LabError with the command's own words."""
    command = [str(word) for word in argv]
    try:
        result = subprocess.run(
            command,
            check=False,
            text=True,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=env,
        )
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is not installed on this machine") from error
    if check and result.returncode != 0:
        raise LabError(describe_failure(command, result.returncode, result.stderr or result.stdout))
    return result


def run_logged(argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a long command with its output in a log file; a failure quotes the end of it."""
    command = [str(word) for word in argv]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as sink:
        sink.write(f"+ {' '.join(command)}\n")
        sink.flush()
        try:
            result = subprocess.run(
                command, check=False, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT, env=env
            )
        except FileNotFoundError as error:
            raise LabError(f"{command[0]} is not installed on this machine") from error
    if result.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        raise LabError(f"{describe_failure(command, result.returncode, tail)} (whole log: {log})")


def describe_failure(command: Sequence[str], returncode: int, output: str) -> str:
    """One sentence about a command that failed."""
    words = " ".join(command)
    shown = words if len(words) <= 160 else words[:157] + "..."
    return f"'{shown}' failed with status {returncode}: {output.strip() or 'it said nothing'}"
