# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine is like before the role base touches it, and what forbids to make it a node.

Reads only, needs nothing but Python, prints one JSON object. Run as: python3 - WANTED, where WANTED is a JSON object
with name, packages, check_addresses, networks, hosts, sysctl and modules.
"""

from __future__ import annotations

import ipaddress
import json
import os
import socket
import subprocess
import sys
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def local_addresses() -> set[str]:
    """Addresses that are configured on this machine."""
    listing = subprocess.run(["ip", "-json", "address", "show"], capture_output=True, text=True, check=True).stdout
    return {entry["local"] for link in json.loads(listing) for entry in link.get("addr_info", []) if "local" in entry}


def network_of(text: str) -> Network | None:
    """The network that a text means, or None when it means none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def address_of(text: str) -> Address | None:
    """The address that a text means, or None when it means none."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def address_problems(wanted: dict[str, Any]) -> list[str]:
    """What is wrong with the declared networks and with this machine's addresses in them."""
    name, networks, hosts = wanted["name"], wanted["networks"], wanted["hosts"]
    own = hosts.get(name) or {}
    present = local_addresses() if wanted["check_addresses"] else None
    problems = []
    for network, settings in networks.items():
        cidr = network_of(settings.get("cidr", ""))
        address = address_of(own.get(network, ""))
        if cidr is None:
            problems.append(
                f"pvc_networks.{network}.cidr is {settings.get('cidr')!r}, which is not a network; "
                "give the network address with its prefix, like 10.77.1.0/24"
            )
        elif address is None:
            problems.append(
                f"pvc_addresses.{network} is {own.get(network)!r}; give the machine's address in {cidr} as a host variable"
            )
        elif address not in cidr:
            problems.append(f"pvc_addresses.{network} is {address}, which is not in pvc_networks.{network}.cidr {cidr}")
        elif present is not None and str(address) not in present:
            problems.append(
                f"pvc_addresses.{network} {address} is not configured on this machine, which has "
                f"{', '.join(sorted(present))}; configure its network first, or correct the host variable"
            )
        for other, addresses in hosts.items():
            if address is not None and other != name and address == address_of(addresses.get(network, "")):
                problems.append(f"pvc_addresses.{network} {address} is also that of {other}; each host needs its own")
    return problems


def name_problems(wanted: dict[str, Any]) -> list[str]:
    """Daemons are named after the inventory's host name, and find themselves by the machine's."""
    found = socket.gethostname()
    if found.split(".")[0] == wanted["name"]:
        return []
    return [
        f"the machine's host name is {found}, its name in the inventory {wanted['name']}; both must be the same: "
        f"run hostnamectl set-hostname {wanted['name']}, or rename it in the inventory"
    ]


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


def sysctl_value(key: str) -> str | None:
    """The current value of a kernel parameter, or None when this kernel has none of that name."""
    try:
        with open(os.path.join("/proc/sys", key.replace(".", "/")), encoding="ascii") as file:
            return " ".join(file.read().split())
    except OSError:
        return None


def main() -> None:
    wanted = json.loads(sys.argv[1])
    different = [key for key, value in wanted["sysctl"].items() if sysctl_value(key) != " ".join(str(value).split())]
    absent = [name for name in wanted["modules"] if not os.path.isdir(f"/sys/module/{name.replace('-', '_')}")]
    print(
        json.dumps(
            {
                "problems": name_problems(wanted) + address_problems(wanted),
                "packages": missing(wanted["packages"]),
                "sysctl_different": different,
                "modules_missing": absent,
            }
        )
    )


if __name__ == "__main__":
    main()
