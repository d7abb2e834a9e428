# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's switches and the cables of its nodes.

The switches are bridges in a network namespace of their own, and the host has one cable to each. So nothing that the
host does to forwarded traffic (Docker's or a firewall's rules) concerns what nodes say to each other, and of the lab's
network the host itself sees no more than one interface per switch.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from .config import Lab, Network, Node
from .daemon import locked
from .shell import LabError, run

SWITCHES = "pvclab"

# What a switch's end of a cable is set to. A port that learns no address and is flooded with nothing hears nothing; one that
# is locked as well, but flooded, hears everything and lets nothing in.
WHOLE = "learning on flood on mcast_flood on bcast_flood on locked off"
ONE_WAY = {
    "in": "learning off flood off mcast_flood off bcast_flood off locked off",
    "out": "learning off flood on mcast_flood on bcast_flood on locked on",
}


def namespaces() -> set[str]:
    """The named network namespaces of this machine."""
    return {entry["name"] for entry in json.loads(run("ip", "-json", "netns", "list").stdout or "[]")}


def links(namespace: str | None = None) -> dict[str, dict[str, Any]]:
    """The interfaces of a namespace (or of the host) by name, with their addresses."""
    where = ["-n", namespace] if namespace else []
    rows = json.loads(run("ip", *where, "-json", "address", "show").stdout or "[]")
    return {row["ifname"]: row for row in rows if row}


def is_up(link: dict[str, Any]) -> bool:
    """Whether an interface is switched on."""
    return "UP" in link["flags"]


def hardware_address(*words: str) -> str:
    """A fixed, locally administered hardware address for an interface, from its names."""
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return ":".join(["02", *(f"{octet:02x}" for octet in digest[:5])])


def batch(commands: list[str], namespace: str | None = None) -> None:
    """Run several ip commands as one process; the first that fails ends it."""
    if commands:
        where = ["-n", namespace] if namespace else []
        run("ip", *where, "-batch", "-", stdin="\n".join(commands) + "\n")


def ensure_switches(lab: Lab) -> bool:
    """Put up whatever is missing of the switches; tells whether anything was."""
    with locked(lab.directory / "switches.lock", 60, "another command is busy with the lab's switches"):
        return put_up_switches(lab)


def put_up_switches(lab: Lab) -> bool:
    """The same, with the lock held."""
    changed = False
    if SWITCHES not in namespaces():
        run("ip", "netns", "add", SWITCHES)
        changed = True
    inside = links(SWITCHES)
    outside = links()
    for network in lab.networks:
        changed |= ensure_switch(network, inside, outside)
    return changed


def ensure_switch(network: Network, inside: dict[str, dict[str, Any]], outside: dict[str, dict[str, Any]]) -> bool:
    """One switch and the host's cable to it."""
    bridge, port = network.bridge, f"{network.short}-host"
    commands = []
    if bridge not in inside:
        commands += [f"link add {bridge} address {hardware_address(bridge)} type bridge stp_state 0 forward_delay 0"]
    if bridge not in inside or not is_up(inside[bridge]):
        commands += [f"link set {bridge} up"]
    batch(commands, SWITCHES)
    if port not in inside or bridge not in outside:
        if bridge in outside:
            raise LabError(f"this machine has an interface '{bridge}' that is not the lab's; remove or rename it")
        run("ip", "-n", SWITCHES, "link", "delete", port, check=False)
        address = hardware_address(bridge, "host")
        batch([f"link add {bridge} address {address} type veth peer name {port} netns {SWITCHES}"])
        commands.append(port)
    port_state = links(SWITCHES)[port]
    if port_state.get("master") != bridge or not is_up(port_state):
        batch([f"link set {port} master {bridge} up"], SWITCHES)
        commands.append(port)
    host = links()[bridge]
    given = {f"{row['local']}/{row['prefixlen']}" for row in host["addr_info"]}
    if not is_up(host) or str(network.host) not in given:
        batch([f"address replace {network.host} dev {bridge}", f"link set {bridge} up"])
        commands.append(bridge)
    return bool(commands)


def remove_switches(lab: Lab) -> None:
    """Take the switches away, and with them the host's cables."""
    for network in lab.networks:
        if network.bridge in links():
            run("ip", "link", "delete", network.bridge)
    if SWITCHES in namespaces():
        run("ip", "netns", "delete", SWITCHES)


def plug_in(lab: Lab, node: Node, cut: frozenset[str]) -> None:
    """Give a node that is about to boot a fresh namespace with a cable to each switch; cut ones stay dark."""
    unplug(lab, node)
    run("ip", "netns", "add", node.namespace)
    commands = []
    for network in lab.networks:
        port = node.switch_port(network)
        address = hardware_address(node.name, network.name)
        commands += [
            f"link add {port} type veth peer name {network.name} address {address} netns {node.namespace}",
            f"link set {port} master {network.bridge} {'down' if network.name in cut else 'up'}",
        ]
    batch(commands, SWITCHES)


def unplug(lab: Lab, node: Node) -> None:
    """Take a node's cables and namespace away. What is left in it dies with it."""
    if SWITCHES in namespaces():
        ports = links(SWITCHES)
        present = [node.switch_port(network) for network in lab.networks if node.switch_port(network) in ports]
        batch([f"link delete {port}" for port in present], SWITCHES)
    if node.namespace in namespaces():
        run("ip", "netns", "delete", node.namespace)


def set_cables(lab: Lab, node: Node, networks: list[str], *, up: bool) -> None:
    """Cut or heal some of a node's cables at the switch."""
    batch([f"link set {port} {'up' if up else 'down'}" for port in plugged(lab, node, networks)], SWITCHES)


def set_one_way(lab: Lab, node: Node, networks: list[str], lost: str) -> None:
    """Lose what comes ``in`` to a node or what goes ``out`` from it, on some networks; empty: lose nothing any more."""
    flags = ONE_WAY[lost] if lost else WHOLE
    ports = plugged(lab, node, networks)
    batch([f"link set {port} type bridge_slave {flags} fdb_flush" for port in ports], SWITCHES)


def plugged(lab: Lab, node: Node, networks: list[str]) -> list[str]:
    """The ports of a node on the switches of some networks, as far as they are there."""
    ports = links(SWITCHES) if SWITCHES in namespaces() else {}
    return [port for port in (node.switch_port(lab.network(name)) for name in networks) if port in ports]
