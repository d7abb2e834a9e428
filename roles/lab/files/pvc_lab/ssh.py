# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to log in to a node."""

from __future__ import annotations

import socket

from .config import Lab, Node, load_node
from .daemon import wait_for
from .state import host_key


def address(lab: Lab, node: Node) -> str:
    """The node's address on the first network."""
    return str(node.addresses[lab.networks[0].name].ip)


def ssh_command(lab: Lab, node: Node, *, batch: bool = False) -> list[str]:
    """The SSH client with the lab's key and the lab's knowledge of host keys."""
    folder = lab.directory / "ssh"
    options = ["-i", str(folder / "id_ed25519"), "-o", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    options += ["-o", "LogLevel=ERROR"]
    if batch:
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    return ["ssh", *options, f"root@{address(lab, node)}"]


def answers(lab: Lab, node: Node) -> bool | None:
    """True when the node's SSH server greets; None while it does not."""
    try:
        with socket.create_connection((address(lab, node), 22), timeout=2) as connection:
            return True if connection.recv(4) == b"SSH-" else None
    except OSError:
        return None


def wait_until_it_answers(lab: Lab, node: Node, timeout: float) -> None:
    """Wait until one can log in to a node that was started."""
    log = node.directory / "console.log"
    wait_for(lambda: answers(lab, node), timeout, f"node '{node.name}' does not answer by SSH; see {log}")


def known_hosts(lab: Lab) -> str:
    """Lines for SSH's known_hosts, one per node that has a key."""
    rows = []
    for name in lab.node_names():
        node = load_node(lab, name)
        public = host_key(lab, node).with_suffix(".pub")
        if public.exists():
            kind, key = public.read_text().split()[:2]
            rows.append(f"{address(lab, node)},{name} {kind} {key}\n")
    return "".join(rows)
