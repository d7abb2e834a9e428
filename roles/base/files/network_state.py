# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a machine's network is, compared with how network_plan.py says that it should be.

Reads only, needs nothing but Python, prints one JSON object:
  trial     whether a change waits for its confirmation (network_guard.py)
  problems  why the declaration cannot become true on this machine; sentences
  files     content by path of the files that are not as they should be, and stale: those that should not be there
  live      what of the running network differs; sentences
  enabled   whether networkd starts with the machine
  take_over interfaces that ifupdown has to hand over
  answering which of the peers answer
Run as: python3 - WANTED, where WANTED is a JSON object with plan (what network_plan.py printed), take_over
(base_network_take_over), peers (addresses), and wait: during a trial it looks again for up to so many seconds while
the running network differs or a peer does not answer.
"""

from __future__ import annotations

import glob
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

TRIAL = "/run/pvc-network/trial.json"
FOLDER = "/etc/systemd/network"
OWN = "05-pvc-"
RESOLVER = "/etc/resolv.conf"
INTERFACES = "/etc/network/interfaces"
#: The kernel's module for each kind of device.
MODULES = {"bond": "bonding", "vlan": "8021q", "bridge": "bridge"}


@dataclass
class Machine:
    """What was found on the machine."""

    #: as `ip -json -details address show` lists them, by name and by alternative names
    links: dict[str, dict[str, Any]]
    #: (gateway, device) of each default route
    routes: set[tuple[str, str]] = field(default_factory=set)
    #: content by path: networkd's files that are this role's, and those that the role may change
    files: dict[str, str] = field(default_factory=dict)
    #: interfaces that ifupdown configures, and that NetworkManager does
    ifupdown: list[str] = field(default_factory=list)
    network_manager: list[str] = field(default_factory=list)
    #: text by path of netplan's files
    netplan: dict[str, str] = field(default_factory=dict)
    #: which file networkd applies to an interface, by its name
    applied: dict[str, str] = field(default_factory=dict)
    #: kinds of devices that this kernel cannot make
    unsupported: list[str] = field(default_factory=list)
    #: whether networkd runs, and whether it starts with the machine
    networkd: bool = True
    enabled: bool = True


def run(*command: str) -> str:
    """What a command says; nothing when it is not there, fails, or does not end."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def succeeds(*command: str) -> bool | None:
    """Whether a command succeeds; None when it is not there."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except FileNotFoundError:
        return None


def read(path: str) -> str:
    """The text of a file; nothing when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def look() -> Machine:
    """Everything about this machine that matters here."""
    machine = Machine({})
    for link in json.loads(run("ip", "-json", "-details", "address", "show") or "[]"):
        for name in [link["ifname"], *link.get("altnames", [])]:
            machine.links[name] = link
        state = read(f"/run/systemd/netif/links/{link['ifindex']}")
        applied = re.search(r"^NETWORK_FILE=(.+)$", state, re.MULTILINE)
        if applied:
            machine.applied[link["ifname"]] = applied[1]
    for family in ("-4", "-6"):
        for route in json.loads(run("ip", family, "-json", "route", "show", "default") or "[]"):
            machine.routes.add((route.get("gateway", ""), route.get("dev", "")))
    for path in [*glob.glob(f"{FOLDER}/{OWN}*"), RESOLVER]:
        if os.path.isfile(path) and not os.path.islink(path):
            machine.files[path] = read(path)
    if os.path.exists("/usr/sbin/ifup") or os.path.exists("/sbin/ifup"):
        text = read(INTERFACES)
        if "source" in text:
            text = "\n".join([text, *map(read, glob.glob(f"{INTERFACES}.d/*"))])
        machine.ifupdown = sorted(set(re.findall(r"^\s*iface\s+(\S+)", text, re.MULTILINE)) - {"lo"})
    for row in run("nmcli", "--terse", "--fields", "DEVICE,STATE", "device").splitlines():
        device, _colon, state = row.rpartition(":")
        if state != "unmanaged":
            machine.network_manager.append(device)
    machine.netplan = {path: read(path) for path in glob.glob("/etc/netplan/*.yaml")}
    machine.unsupported = [
        kind
        for kind, module in MODULES.items()
        if not os.path.isdir(f"/sys/module/{module}") and succeeds("modprobe", "--dry-run", "--quiet", module) is False
    ]
    machine.networkd = succeeds("systemctl", "--quiet", "is-active", "systemd-networkd") is True
    machine.enabled = succeeds("systemctl", "--quiet", "is-enabled", "systemd-networkd") is True
    return machine


def card_of(interface: dict[str, Any], machine: Machine) -> dict[str, Any] | None:
    """The device of a declared interface. A card with a mac is found by the address that it was made with."""
    if not interface["mac"]:
        return machine.links.get(interface["name"])
    found = [link for link in machine.links.values() if link.get("permaddr", link.get("address")) == interface["mac"]]
    return next((link for link in found if kind_of(link) == "nic"), None)


def kind_of(link: dict[str, Any]) -> str:
    """bond, vlan, bridge, nic, or the kernel's word for another kind of device."""
    kind: str = link.get("linkinfo", {}).get("info_kind", "nic")
    return "nic" if kind == "veth" else kind


def find_problems(plan: dict[str, Any], machine: Machine, take_over: bool) -> list[str]:
    """Why the plan cannot become true on this machine."""
    return [
        problem
        for interface in plan["interfaces"]
        for problem in [*device_problems(interface, machine), *rival_problems(interface, machine)]
    ] + [*take_over_problems(plan, machine, take_over), *removal_problems(plan, machine)]


def device_problems(interface: dict[str, Any], machine: Machine) -> Iterator[str]:
    """What the device, or the kernel, cannot do."""
    name, kind = interface["name"], interface["kind"]
    link = card_of(interface, machine)
    if kind == "nic":
        cards = sorted({link["ifname"] for link in machine.links.values() if kind_of(link) == "nic"} - {"lo"})
        if link is None:
            what = f"no network card with the mac {interface['mac']}" if interface["mac"] else f"no interface {name}"
            yield f"base_interfaces {name}: the machine has {what}; it has {', '.join(cards)}"
            return
        highest, lowest = link.get("max_mtu") or 65535, link.get("min_mtu") or 68
        if not lowest <= interface["mtu"] <= highest:
            yield (
                f"base_interfaces {name}: MTU {interface['mtu']} is not possible, this card takes {lowest} to {highest}; "
                "lower mtu here, or of what lies on it"
            )
    if link is not None and kind_of(link) != kind:
        yield f"base_interfaces {name}: the machine has a device of that name that is no {kind} but a {kind_of(link)}; rename one"
    if link is None and kind in machine.unsupported:
        yield f"base_interfaces {name}: this kernel makes no {kind} (module {MODULES[kind]}); install Debian's own kernel"


def rival_problems(interface: dict[str, Any], machine: Machine) -> Iterator[str]:
    """Who else configures this interface. Two managers of one interface undo each other's work."""
    name = (card_of(interface, machine) or {}).get("ifname", interface["name"])
    names = names_of(interface, machine)
    if name in machine.network_manager:
        yield (
            f"NetworkManager manages {name}, which base_interfaces declares; make it leave the interface alone "
            "(unmanaged-devices in its configuration), or take it out of base_interfaces"
        )
    for path, text in machine.netplan.items():
        if any(re.search(rf"\b{re.escape(word)}\b", text) for word in names):
            yield (
                f"netplan's {path} configures {name}, which base_interfaces declares; move that file out of the folder "
                "(what runs stays until the next boot), and cloud-init's network configuration off, if it wrote the file"
            )
    applied = os.path.basename(machine.applied.get(name, ""))
    if applied and applied < OWN:
        yield f"{machine.applied[name]} configures {name} and comes before the role's files; rename it to 10-... or remove it"


def to_take_over(plan: dict[str, Any], machine: Machine) -> tuple[list[str], list[str]]:
    """What ifupdown configures when any of it is declared, and what of that is not."""
    declared = {name for interface in plan["interfaces"] for name in names_of(interface, machine)}
    left_out = [name for name in machine.ifupdown if name not in declared]
    return ([], []) if len(left_out) == len(machine.ifupdown) else (machine.ifupdown, left_out)


def take_over_problems(plan: dict[str, Any], machine: Machine, take_over: bool) -> Iterator[str]:
    """/etc/network/interfaces is taken over as a whole, so all that it configures must be declared."""
    configured, left_out = to_take_over(plan, machine)
    declared = [name for name in configured if name not in left_out]
    if declared and not take_over:
        yield (
            f"{INTERFACES} configures {', '.join(declared)}, which base_interfaces declares; set base_network_take_over to "
            "true to have that file moved aside and systemd-networkd do it, or take them out of base_interfaces"
        )
    if take_over and left_out:
        yield (
            f"base_network_take_over is true, and {INTERFACES} configures {', '.join(left_out)}, too; declare that in "
            "base_interfaces, or take it out of the file"
        )


def names_of(interface: dict[str, Any], machine: Machine) -> set[str]:
    """All names of a declared interface."""
    link = card_of(interface, machine) or {}
    return {interface["name"], link.get("ifname", interface["name"]), *link.get("altnames", [])}


def removal_problems(plan: dict[str, Any], machine: Machine) -> Iterator[str]:
    """A bridge that is no longer declared must not be taken from under virtual machines."""
    stale = [path for path in stale_files(plan, machine) if path.endswith(".netdev")]
    declared = {interface["name"] for interface in plan["interfaces"]}
    for bridge in re.findall(
        r"^Name=(.+)\nKind=bridge$", "\n".join(machine.files[path] for path in stale), re.MULTILINE
    ):
        ports = {link["ifname"] for link in machine.links.values() if link.get("master") == bridge}
        guests = sorted(
            port for port in ports - declared if machine.links[port].get("linkinfo", {}).get("info_kind") == "tun"
        )
        if guests:
            yield (
                f"base_interfaces has no {bridge} any more, and {', '.join(guests)} of virtual machines are attached to it; "
                "move these machines away first, or declare it again"
            )


def stale_files(plan: dict[str, Any], machine: Machine) -> list[str]:
    """Files of an earlier run that are no longer wanted."""
    return sorted(path for path in machine.files if path not in plan["files"] and path != RESOLVER)


def different_files(plan: dict[str, Any], machine: Machine) -> dict[str, str]:
    """Files to write, with their content."""
    wanted = dict(plan["files"])
    servers = [server for interface in plan["interfaces"] for server in interface["dns"]]
    if servers and RESOLVER in machine.files:
        # where it is a link, systemd-resolved or another program owns it
        kept = [line for line in machine.files[RESOLVER].splitlines() if not line.startswith("nameserver")]
        wanted[RESOLVER] = "".join(f"{line}\n" for line in [*kept, *(f"nameserver {server}" for server in servers)])
    return {path: text for path, text in wanted.items() if machine.files.get(path) != text}


def live_differences(plan: dict[str, Any], machine: Machine) -> list[str]:
    """What of the running network is not as declared."""
    found = [] if machine.networkd else ["systemd-networkd does not run"]
    return found + [
        sentence for interface in plan["interfaces"] for sentence in interface_differences(interface, machine)
    ]


def interface_differences(interface: dict[str, Any], machine: Machine) -> Iterator[str]:
    """The same of one interface."""
    name, link = interface["name"], card_of(interface, machine)
    if link is None:
        yield f"{name} is not there"
        return
    info = link.get("linkinfo", {}).get("info_data", {})
    master = machine.links.get(interface["master"])
    pairs = [
        ("MTU", link.get("mtu"), interface["mtu"]),
        ("master", link.get("master", ""), master["ifname"] if master else interface["master"]),
        ("mode", info.get("mode") if interface["kind"] == "bond" else "", interface["mode"]),
        ("VLAN id", info.get("id") if interface["kind"] == "vlan" else 0, interface["id"]),
    ]
    for what, found, wanted in pairs:
        if found != wanted:
            yield f"{name} has {what} {found or 'none'}, wanted {wanted or 'none'}"
    if "UP" not in link.get("flags", []):
        yield f"{name} is switched off"
    usable = {
        f"{row['local']}/{row['prefixlen']}"
        for row in link.get("addr_info", [])
        if row.get("scope") == "global" and not row.get("tentative") and not row.get("dadfailed")
    }
    for address in interface["addresses"]:
        if address not in usable:
            yield f"{name} does not have {address}, but {', '.join(sorted(usable)) or 'no address'}"
    for gateway in interface["gateways"]:
        if (gateway, link["ifname"]) not in machine.routes:
            yield f"there is no default route by {gateway} on {name}"


def answers(address: str) -> bool:
    """Whether a machine answers at an address: its SSH port takes a connection, or refuses it."""
    try:
        socket.create_connection((address, 22), timeout=2).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True


def compare(wanted: dict[str, Any]) -> dict[str, Any]:
    """All of it, once."""
    plan, peers, machine = wanted["plan"], wanted["peers"], look()
    with ThreadPoolExecutor(32) as pool:
        answering = [peer for peer, answered in zip(peers, pool.map(answers, peers), strict=True) if answered]
    return {
        "trial": os.path.exists(TRIAL),
        "problems": find_problems(plan, machine, wanted["take_over"]),
        "files": different_files(plan, machine),
        "stale": stale_files(plan, machine),
        "live": live_differences(plan, machine),
        "enabled": machine.enabled,
        "take_over": to_take_over(plan, machine)[0] if wanted["take_over"] else [],
        "answering": answering,
    }


def main() -> None:
    wanted = json.loads(sys.argv[1])
    deadline = time.monotonic() + wanted["wait"]
    found = compare(wanted)
    while found["trial"] and (found["live"] or found["answering"] != wanted["peers"]) and time.monotonic() < deadline:
        time.sleep(0.5)
        found = compare(wanted)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
