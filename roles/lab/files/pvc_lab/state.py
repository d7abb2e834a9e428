# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a node at run time: a few small files in its folder, each with one meaning."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from .cgroup import Group
from .config import Lab, Node
from .daemon import is_locked, locked, wait_for, write_atomically


@dataclass(frozen=True)
class Run:
    """What a node's supervisor reports: phase is starting, running, stopped or failed."""

    phase: str = "stopped"
    group: str = ""
    leader: int = 0
    boots: int = 0
    error: str = ""


def report(node: Node, run: Run) -> None:
    """Publish the supervisor's report."""
    write_atomically(node.directory / "run.json", json.dumps(asdict(run)) + "\n")


def read_report(node: Node) -> Run:
    """The supervisor's last report; it may be older than the supervisor's death."""
    try:
        return Run(**json.loads((node.directory / "run.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return Run()


def supervisor_lock(node: Node) -> Path:
    """The lock that a living supervisor holds."""
    return node.directory / "supervisor.lock"


def is_supervised(node: Node) -> bool:
    """Whether the node's supervisor lives."""
    return is_locked(supervisor_lock(node))


def command_lock(node: Node) -> AbstractContextManager[None]:
    """One command at a time changes a node."""
    return locked(node.directory / "command.lock", 180, f"another command is busy with node '{node.name}'")


def wait_until_unsupervised(node: Node, timeout: float) -> None:
    """Wait for the end of the node's supervisor."""
    wait_for(
        lambda: None if is_supervised(node) else True, timeout, f"the supervisor of node '{node.name}' does not end"
    )


def node_group(node: Node) -> Group | None:
    """The control group that holds the node's processes, if it was ever started."""
    run = read_report(node)
    return Group(Path(run.group)) / "node" if run.group else None


def read_power(node: Node) -> str:
    """The position of the power switch: on or off."""
    try:
        return (node.directory / "power").read_text().strip()
    except FileNotFoundError:
        return "off"


def write_power(node: Node, power: str) -> None:
    """Move the power switch."""
    write_atomically(node.directory / "power", f"{power}\n")


def read_cut(node: Node) -> frozenset[str]:
    """Networks whose cable to this node is cut."""
    try:
        return frozenset(json.loads((node.directory / "cut.json").read_text()))
    except (FileNotFoundError, ValueError):
        return frozenset()


def write_cut(node: Node, networks: frozenset[str]) -> None:
    """Remember which cables are cut; they stay so over a reboot."""
    write_atomically(node.directory / "cut.json", json.dumps(sorted(networks)) + "\n")


def read_layers(node: Node) -> list[Path]:
    """The image folders that this node was made from."""
    return [Path(text) for text in json.loads((node.directory / "layers.json").read_text())]


def is_created(node: Node) -> bool:
    """Whether the node has a file system of its own already."""
    return (node.directory / "layers.json").exists()


def host_key(lab: Lab, node: Node) -> Path:
    """The node's SSH host key. It outlives the node, so that a rebuilt one is still the one that is known."""
    return lab.directory / "ssh" / "hostkeys" / node.name
