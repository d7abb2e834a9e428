# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether the agent is installed as in its package, whether it runs with its present configuration, and which credentials it has.

Reads only, needs nothing but Python and dpkg, prints one JSON object. Run as: python3 - DEB LOADED CREDENTIALS PACKAGE..., with the
package's file, the file in which the unit records its inputs at each start, the directory of the credentials, and the packages
that should be installed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

CHECKSUMS = "/var/lib/dpkg/info/pvc-node-agent.md5sums"


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


def installed(deb: str) -> bool:
    """Whether the installed files are the package's. A version alone does not tell: one may be built more than once."""
    if not os.path.exists(deb) or missing(["pvc-node-agent"]):
        return False
    packed = subprocess.run(["dpkg-deb", "--info", deb, "md5sums"], capture_output=True, check=False).stdout
    with open(CHECKSUMS, "rb") as file:
        return file.read() == packed


def running(loaded: str) -> bool:
    """Whether the agent runs, and has read at its start what lies there now."""
    active = subprocess.run(["systemctl", "is-active", "--quiet", "pvc-node-agent"], check=False).returncode == 0
    return active and subprocess.run(["sha256sum", "--check", "--status", loaded], check=False).returncode == 0


def names(directory: str) -> list[str]:
    """What is in a directory; nothing when there is none."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def main() -> None:
    deb, loaded, credentials, *packages = sys.argv[1:]
    print(
        json.dumps(
            {
                "packages": missing(packages),
                "installed": installed(deb),
                "running": running(loaded),
                "credentials": names(credentials),
            }
        )
    )


if __name__ == "__main__":
    main()
