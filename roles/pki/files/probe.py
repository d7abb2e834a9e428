# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates that a node has, and which packages it lacks.

Reads only, needs nothing but Python, prints one JSON object. Run as: python3 - DIRECTORY PACKAGE...
"""

from __future__ import annotations

import json
import os
import subprocess
import sys


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


def read(*path: str) -> str:
    """The text of a file without white space around it; empty when there is none."""
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def main() -> None:
    directory, packages = sys.argv[1], sys.argv[2:]
    print(
        json.dumps(
            {
                "packages": missing(packages),
                "directory": os.path.isdir(directory),
                "ca": read(directory, "ca.pem"),
                "certificate": read(directory, "cert.pem"),
            }
        )
    )


if __name__ == "__main__":
    main()
