# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the lab that outlive the command that started them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from .shell import LabError, run

T = TypeVar("T")

LOOK_INTERVAL = 0.02

LAUNCHER = Path(__file__).resolve().parent.parent.parent / "bin" / "pvc-lab"


def host_has_systemd() -> bool:
    """Whether systemd is the host's PID 1; it is asked for a unit then, so that the process gets a group of its own."""
    return Path("/run/systemd/system").is_dir()


def launch(unit: str, arguments: Sequence[str], log: Path) -> None:
    """Start a command of this program in the background, free of the caller's session and control group."""
    command = [str(LAUNCHER), *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    if host_has_systemd():
        run("systemctl", "reset-failed", f"{unit}.service", check=False)
        properties = ["Delegate=yes", "KillMode=mixed", "TasksMax=infinity", f"StandardOutput=append:{log}"]
        options = [f"--property={entry}" for entry in [*properties, f"StandardError=append:{log}"]]
        run("systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, *command)
        return
    with log.open("a") as sink:
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True, cwd="/", close_fds=True
        )


def try_lock(path: Path) -> int | None:
    """Take a lock that lasts as long as this process; None if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether some living process holds the lock. Makes nothing."""
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


@contextmanager
def locked(path: Path, timeout: float, complaint: str) -> Iterator[None]:
    """Hold a lock for the time of a block, waiting for whoever has it now."""
    descriptor = wait_for(lambda: try_lock(path), timeout, complaint)
    try:
        yield
    finally:
        os.close(descriptor)


def wait_for(probe: Callable[[], T | None], timeout: float, complaint: str) -> T:
    """Ask until the answer is not None. For states that no file descriptor announces; a look is cheap."""
    deadline = time.monotonic() + timeout
    while (answer := probe()) is None:
        if time.monotonic() > deadline:
            raise LabError(f"{complaint} (waited {timeout:g} s)")
        time.sleep(LOOK_INTERVAL)
    return answer


def write_atomically(path: Path, content: str) -> None:
    """Replace a small file so that a reader sees the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(content)
    fresh.replace(path)
