# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab looks like now, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import management, network
from .cache import lock_file
from .config import Lab, Node, load_node
from .daemon import is_locked
from .images import layers
from .state import is_created, is_supervised, node_group, read_cut, read_layers, read_power, read_report


def lab_status(lab: Lab, names: Sequence[str]) -> dict[str, Any]:
    """The lab's state as plain data."""
    ports = network.links(network.SWITCHES) if network.SWITCHES in network.namespaces() else {}
    return {
        "directory": str(lab.directory),
        "cache": {"url": lab.cache_url, "running": is_locked(lock_file(lab))},
        "nodes": [node_status(lab, load_node(lab, name), ports) for name in names],
    }


def node_status(lab: Lab, node: Node, ports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One node's state as plain data."""
    report, group = read_report(node), node_group(node)
    pids = group.pids() if group is not None else []
    running = is_supervised(node) and report.phase == "running" and report.leader in pids
    frozen = group is not None and group.events()["frozen"]
    return {
        "name": node.name,
        "state": state_word(running=running, frozen=frozen, populated=bool(pids)),
        "power": read_power(node),
        "image": node.image,
        "image_current": is_current(lab, node),
        "leader": report.leader if running else 0,
        "boots": report.boots,
        "addresses": {name: str(address.ip) for name, address in node.addresses.items()},
        "networks": {
            entry.name: "up" if network.is_up(ports.get(node.switch_port(entry), {"flags": []})) else "down"
            for entry in lab.networks
        },
        "cut": sorted(read_cut(node)),
        "bmc": management.status(lab, node),
        "memory_mb": sum(map(memory_kb, pids)) // 1024 if running else 0,
    }


def is_current(lab: Lab, node: Node) -> bool:
    """Whether the node stands on what its image's recipe makes today. One that is not built yet will."""
    if not is_created(node):
        return True
    return node.image in lab.images and read_layers(node) == layers(lab, node.image)


def state_word(*, running: bool, frozen: bool, populated: bool) -> str:
    """The node's state; broken are processes whose supervisor was killed, which ensure starts anew."""
    if running:
        return "paused" if frozen else "running"
    return "broken" if populated else "off"


def memory_kb(pid: int) -> int:
    """A process's fair share of memory: pages that it shares with others count in part."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    for row in rollup.splitlines():
        if row.startswith("Pss:"):
            return int(row.split()[1])
    return 0


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of words in columns; the first is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def describe(status: dict[str, Any]) -> str:
    """The state as a table."""
    names = list(status["nodes"][0]["networks"]) if status["nodes"] else []
    rows = [["node", "state", "image", *names, "bmc", "memory"]]
    for node in status["nodes"]:
        cables = [
            node["addresses"][name] + ("" if node["networks"][name] == "up" or node["state"] == "off" else " (cut)")
            for name in names
        ]
        memory = f"{node['memory_mb']} MB" if node["state"] != "off" else "-"
        image = node["image"] + ("" if node["image_current"] else " (older)")
        rows.append([node["name"], node["state"], image, *cables, node["bmc"]["behaviour"], memory])
    cache = "running" if status["cache"]["running"] else "stopped"
    return f"{table(rows)}\n\npackage cache {status['cache']['url']}: {cache}"
