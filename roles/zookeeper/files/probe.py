# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a ZooKeeper server is: what its data directory says, whether it serves, whether it must be restarted.

Reads only, needs nothing but Python, prints one JSON object.
Run as: python3 - DATA_DIRECTORY CONFIG LOADED CLIENT_PORT PACKAGE...
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys


def read(path: str) -> str | None:
    """The text of a file, or None when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def ask(port: int, word: str) -> str:
    """The answer to a four letter word on this machine's plain port; empty when nothing answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.settimeout(3)
            connection.sendall(word.encode())
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode(errors="replace")
    except OSError:
        return ""


def changed_inputs(loaded: str) -> list[str]:
    """Files that are no longer as the running server read them; its unit writes their checksums at each start."""
    if not os.path.exists(loaded):
        return ["not recorded"]
    check = subprocess.run(["sha256sum", "--check", "--quiet", loaded], capture_output=True, text=True, check=False)
    return [line.rsplit(":", 1)[0] for line in check.stdout.splitlines()]


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


def main() -> None:
    data, config, loaded, port = sys.argv[1:5]
    packages = sys.argv[5:]
    transactions = os.path.join(data, "version-2")
    active = subprocess.run(["systemctl", "is-active", "--quiet", "zookeeper"], check=False).returncode == 0
    mode = re.search(r"^Mode: (\w+)", ask(int(port), "srvr") if active else "", re.MULTILINE)
    changed = changed_inputs(loaded) if active else []
    print(
        json.dumps(
            {
                "host": socket.gethostname().split(".")[0],
                "packages": missing(packages),
                "id": (read(os.path.join(data, "myid")) or "").strip(),
                "data": os.path.isdir(transactions) and bool(os.listdir(transactions)),
                "servers": re.findall(r"^server\.(\d+)=", read(config) or "", re.MULTILINE),
                "active": active,
                "mode": mode.group(1) if mode else "",
                "rank": 0 if not mode else 2 if mode.group(1) == "leader" else 1,
                "changed": changed,
                "pending": not active or bool(changed),
            }
        )
    )


if __name__ == "__main__":
    main()
