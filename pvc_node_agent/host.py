# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine is and has, read from the kernel."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from .view import Facts


def boot_id(root: Path = Path("/"), environ: Mapping[str, str] | None = None) -> str:
    """The id of this boot, as the service manager knows it (PVC_BOOT_ID, set by the unit), otherwise the kernel's.

    They differ in a container: its manager has an id of its own, and a /proc of the unit's own may show the host's.
    """
    with suppress(ValueError):
        return str(uuid.UUID((os.environ if environ is None else environ).get("PVC_BOOT_ID", "")))
    return (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def bridges(root: Path = Path("/")) -> tuple[str, ...]:
    """Names of the bridge devices."""
    devices = root / "sys/class/net"
    return tuple(sorted(path.name for path in devices.iterdir() if (path / "bridge").is_dir()))


def memory(root: Path = Path("/")) -> int:
    """MiB of the machine."""
    for line in (root / "proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) // 1024
    raise OSError("/proc/meminfo has no line MemTotal")


def facts(agent: str, pools: tuple[str, ...] | None, addresses: Mapping[str, str], root: Path = Path("/")) -> Facts:
    """All of it, with what others know: the pools in reach and the addresses from the configuration."""
    return Facts(
        agent=agent,
        boot_id=boot_id(root),
        memory=memory(root),
        cpus=len(os.sched_getaffinity(0)),
        pools=pools,
        bridges=bridges(root),
        addresses=addresses,
    )
