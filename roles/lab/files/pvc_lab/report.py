# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab seen from inside its nodes: which services are up, which guests run, and what these last said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .config import Lab, Node, load_node
from .ssh import ssh_command
from .status import table

CONSOLE_LINES = 5

PROBE = r"""
[ $# -eq 0 ] || systemctl list-units --all --plain --full --no-legend --type=service "$@" 2>/dev/null |
    while read -r unit load active rest; do [ "$load" = loaded ] && echo "service $unit $active"; done
virsh --readonly list --name 2>/dev/null | while read -r guest; do
    [ -n "$guest" ] || continue
    echo "guest $guest"
    tail -n %d "/var/log/libvirt/qemu/$guest-console.log" 2>/dev/null | tr -d '\r' | sed 's/^/line /'
done
"""


def probe(lab: Lab, node: Node) -> str:
    """Ask one node; an empty answer stands for none."""
    script = PROBE % CONSOLE_LINES
    command = [*ssh_command(lab, node, batch=True), "bash", "-s", "--", *lab.services]
    try:
        result = subprocess.run(command, check=False, text=True, input=script, capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return ""
    return result.stdout


def parse_probe(text: str) -> dict[str, Any]:
    """Services by unit name, and guests with the end of their console."""
    services: dict[str, str] = {}
    guests: dict[str, list[str]] = {}
    guest = ""
    for row in text.splitlines():
        kind, _separator, rest = row.partition(" ")
        if kind == "service":
            unit, _separator, state = rest.partition(" ")
            services[unit.removesuffix(".service")] = state
        elif kind == "guest":
            guest = rest
            guests[guest] = []
        elif kind == "line" and guest:
            guests[guest].append(rest)
    return {"services": services, "guests": guests}


def short_name(unit: str) -> str:
    """What a column is called: the unit without its instance, which is the node's or a disk's own."""
    return unit.partition("@")[0]


def summarize(states: Sequence[str]) -> str:
    """One word for the units of one kind on a node."""
    if not states:
        return "-"
    bad = sorted({state for state in states if state != "active"})
    return "/".join(bad) if bad else "active" if len(states) == 1 else f"{len(states)} active"


def describe(answers: Mapping[str, Mapping[str, Any]]) -> str:
    """Services per node as a table, then each guest's last words."""
    columns = list(dict.fromkeys(short_name(unit) for answer in answers.values() for unit in answer["services"]))
    parts = []
    if columns:
        rows = [["node", *columns, "guests"]]
        for name, answer in answers.items():
            cells = [
                summarize([state for unit, state in answer["services"].items() if short_name(unit) == column])
                for column in columns
            ]
            rows.append([name, *cells, ", ".join(answer["guests"]) or "-"])
        parts.append(table(rows))
    for name, answer in answers.items():
        for guest, lines in answer["guests"].items():
            parts.append("\n".join([f"console of {guest} on {name}:", *(f"  {line}" for line in lines)]))
    return "\n\n".join(parts)


def ask(lab: Lab, status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Ask all nodes that run, at once."""
    names = [entry["name"] for entry in status["nodes"] if entry["state"] == "running"]
    if not names:
        return {}
    with ThreadPoolExecutor(len(names)) as pool:
        answers = pool.map(lambda name: parse_probe(probe(lab, load_node(lab, name))), names)
        return dict(zip(names, answers, strict=True))


def as_json(status: Mapping[str, Any], answers: Mapping[str, Any]) -> str:
    """Everything for programs."""
    nodes = [{**entry, **answers.get(entry["name"], {})} for entry in status["nodes"]]
    return json.dumps({**status, "nodes": nodes}, indent=2)
