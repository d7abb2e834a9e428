# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How FRRouting is on a machine: what runs, how that differs from its configuration file, which sessions are up.

Reads only, needs nothing but Python and FRR's own programs, prints one JSON object. Passwords are cut out of everything.
Run as: python3 - CONFIG ADDRESS DAEMON,DAEMON... PACKAGE..., with the node's address in the network cluster.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

RELOAD = "/usr/lib/frr/frr-reload.py"
SECONDS = 30
SECRET = re.compile(r"(\bpassword) .*")
HEADINGS = {"Lines To Delete", "Lines To Add"}


def run(*argv: str) -> str | None:
    """What a program prints, or None when it fails or is not there."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=SECONDS)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def show(command: str) -> Any:
    """FRR's answer to a command, which is JSON; an empty one when nothing answers."""
    try:
        return json.loads(run("vtysh", "-c", f"show {command} json") or "{}")
    except ValueError:
        return {}


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


def interface_of(address: str) -> dict[str, Any]:
    """The network interface that has an address: its name, and whether it has a routable IPv6 address, too."""
    for link in json.loads(run("ip", "-json", "address", "show") or "[]"):
        addresses = link.get("addr_info", [])
        if any(entry.get("local") == address for entry in addresses):
            routable = any(entry["family"] == "inet6" and entry["scope"] == "global" for entry in addresses)
            return {"name": link["ifname"], "ipv6": routable}
    return {"name": "", "ipv6": False}


def lines_of(delta: str) -> list[str]:
    """The commands in what ``frr-reload.py --test`` prints, without its headings, empty lines and secrets."""
    lines = (SECRET.sub(r"\1 (not shown)", line.strip()) for line in delta.splitlines())
    return [line for line in lines if line and line not in HEADINGS and set(line) != {"="}]


def differences(config: str) -> list[str]:
    """Commands that would make what runs into what the file says, as FRR itself finds them; empty when there are none."""
    if not os.path.exists(config) or not os.path.exists(RELOAD):
        return []
    delta = run(RELOAD, "--test", config)
    return ["nothing answers"] if delta is None else lines_of(delta)


def established(summary: dict[str, Any]) -> list[str]:
    """Addresses of the neighbours with which EVPN routes are exchanged, from FRR's summary of that family."""
    return sorted(address for address, peer in summary.get("peers", {}).items() if peer.get("state") == "Established")


def main() -> None:
    config, address, daemons = sys.argv[1], sys.argv[2], sys.argv[3].split(",")
    active = subprocess.run(["systemctl", "is-active", "--quiet", "frr"], check=False).returncode == 0
    running = (run("vtysh", "-c", "show daemons") or "").split() if active else []
    print(
        json.dumps(
            {
                "packages": missing(sys.argv[4:]),
                "interface": interface_of(address),
                "active": active,
                "resting": [daemon for daemon in daemons if daemon not in running],
                "differences": differences(config) if active else [],
                "established": established(show("bgp l2vpn evpn summary")) if active else [],
            }
        )
    )


if __name__ == "__main__":
    main()
