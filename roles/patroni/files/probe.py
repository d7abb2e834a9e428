# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine has of PostgreSQL and Patroni, and what of it a restart or a reload has yet to take over.

Reads only, needs nothing but Python (so it works before anything is installed), prints one JSON object. Run as:
python3 - WANTED, where WANTED is a JSON object with packages, data, started and loaded.
"""

from __future__ import annotations

import glob
import json
import os
import struct
import subprocess
import sys
from typing import Any


def missing(packages: list[str]) -> list[str]:
    """Which of these packages are not installed. Asking dpkg takes a hundredth of the time that opening apt's cache does."""
    shown = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\n"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installed = {line.split()[0] for line in shown.splitlines() if line.endswith(" installed")}
    return [package for package in packages if package not in installed]


def system_identifier(data: str) -> str:
    """Which cluster a data directory belongs to: the first eight bytes of its control file. Empty when there is none."""
    try:
        with open(os.path.join(data, "global", "pg_control"), "rb") as file:
            return str(struct.unpack("<Q", file.read(8))[0])
    except (OSError, struct.error):
        return ""


def holds_files(data: str) -> bool:
    """Whether there is anything in the data directory."""
    return os.path.isdir(data) and bool(os.listdir(data))


def changed_inputs(recorded: str) -> list[str]:
    """Files that are no longer as they were read; the unit writes their checksums when it starts or reloads."""
    if not os.path.exists(recorded):
        return ["not recorded"]
    check = subprocess.run(["sha256sum", "--check", "--quiet", recorded], capture_output=True, text=True, check=False)
    return [line.rsplit(":", 1)[0] for line in check.stdout.splitlines()]


def replaced(data: str) -> list[str]:
    """Whether PostgreSQL runs a program that an upgrade has replaced since: the kernel knows it as a deleted file."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="ascii") as file:
            program = os.readlink(f"/proc/{int(file.readline())}/exe")
    except (OSError, ValueError):
        return []
    return [program] if program.endswith(" (deleted)") else []


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    """The machine as it is."""
    active = subprocess.run(["systemctl", "is-active", "--quiet", "patroni"], check=False).returncode == 0
    return {
        "packages": missing(wanted["packages"]),
        "other_clusters": ["/".join(path.split("/")[-2:]) for path in sorted(glob.glob("/etc/postgresql/*/*"))],
        "data": holds_files(wanted["data"]),
        "system_identifier": system_identifier(wanted["data"]),
        "active": active,
        "restart": changed_inputs(wanted["started"]) + replaced(wanted["data"]) if active else [],
        "reload": changed_inputs(wanted["loaded"]) if active else [],
    }


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
