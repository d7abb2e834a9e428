# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether libvirtd runs with its present configuration, and whether its sockets do and listen.

Reads only, prints one JSON object. Run as: python3 - LOADED PACKAGE..., with the file in which the unit records its inputs at
each start and the packages that should be installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

SOCKETS = ("libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket", "libvirtd-tls.socket")


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


def succeeds(*argv: str) -> bool:
    """Whether a command ends well."""
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    return subprocess.run(
        ["systemctl", "show", "--value", f"--property={name}", unit], capture_output=True, text=True, check=False
    ).stdout.strip()


def main() -> None:
    loaded, packages = sys.argv[1], sys.argv[2:]
    running = succeeds("systemctl", "is-active", "--quiet", "libvirtd.service")
    fresh = os.path.exists(loaded) and succeeds("sha256sum", "--check", "--status", loaded)
    sockets = any(
        shown(unit, "ActiveState") != "active"
        or shown(unit, "UnitFileState") != "enabled"
        or shown(unit, "NeedDaemonReload") == "yes"
        for unit in SOCKETS
    )
    stale = running and (not fresh or shown("libvirtd.service", "NeedDaemonReload") == "yes")
    print(json.dumps({"packages": missing(packages), "sockets": sockets, "stale": stale}))


if __name__ == "__main__":
    main()
