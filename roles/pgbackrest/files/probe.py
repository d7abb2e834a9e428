# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether a machine reaches the place of the backups, and what it has of pgBackRest.

Reads only, needs nothing but Python, prints one JSON object. Run as: python3 - WANTED, where WANTED is a JSON object with
packages, targets ([[host, port, whether it may refuse the connection], ...]), directory, timeout, loaded and data.
"""

from __future__ import annotations

import json
import os
import socket
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


def reach(host: str, port: int, timeout: float, may_refuse: bool) -> str:
    """Why nothing answers there; empty when something does."""
    try:
        socket.create_connection((host, port), timeout).close()
    except ConnectionRefusedError:
        return "" if may_refuse else f"{host} refuses connections to port {port}"
    except socket.gaierror:
        return f"the name {host} is not known here"
    except OSError as error:
        return f"{host}, port {port}, does not answer ({error.strerror or 'timed out'})"
    return ""


def shared(directory: str) -> str:
    """Why a directory cannot be one that all coordinators have in common; empty when it can be."""
    if not os.path.isdir(directory):
        return f"{directory} is not there; mount the file system that all coordinators share"
    if os.stat(directory).st_dev == os.stat("/").st_dev:
        return f"{directory} lies on this machine's own root file system, where no other coordinator can read it"
    return ""


def system_identifier(data: str) -> str:
    """Which database cluster a data directory holds: the first eight bytes of its control file. Empty when there is none."""
    try:
        with open(os.path.join(data, "global", "pg_control"), "rb") as file:
            return str(struct.unpack("<Q", file.read(8))[0])
    except (OSError, struct.error):
        return ""


def changed_inputs(recorded: str) -> list[str]:
    """Files that are no longer as the server read them; its unit writes their checksums when it starts."""
    if not os.path.exists(recorded):
        return ["not recorded"]
    check = subprocess.run(["sha256sum", "--check", "--quiet", recorded], capture_output=True, text=True, check=False)
    return [line.rsplit(":", 1)[0] for line in check.stdout.splitlines()]


def look(wanted: dict[str, Any]) -> dict[str, Any]:
    """The machine as it is."""
    active = subprocess.run(["systemctl", "is-active", "--quiet", "pgbackrest"], check=False).returncode == 0
    problems = [reach(host, int(port), wanted["timeout"], may_refuse) for host, port, may_refuse in wanted["targets"]]
    if wanted["directory"]:
        problems.append(shared(wanted["directory"]))
    return {
        "packages": missing(wanted["packages"]),
        "problems": [problem for problem in problems if problem],
        "system_identifier": system_identifier(wanted["data"]),
        "active": active,
        "changed": changed_inputs(wanted["loaded"]) if active else [],
    }


if __name__ == "__main__":
    print(json.dumps(look(json.loads(sys.argv[1]))))
