# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's program is not installed: it is imported from the role that carries it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "roles" / "lab" / "files"))

from pvc_lab.config import Lab, Node, parse_lab, parse_node


def network(name: str, short: str, number: int) -> dict[str, str]:
    prefix = f"10.77.{number}"
    return {
        "name": name,
        "bridge": f"pvclab-{short}",
        "short": short,
        "cidr": f"{prefix}.0/24",
        "host_address": f"{prefix}.254",
    }


@pytest.fixture
def lab_data(tmp_path: Path) -> dict[str, Any]:
    """The content of a lab.json, with its state folder in a place for tests."""
    return {
        "directory": str(tmp_path),
        "networks": [network("upstream", "up", 0), network("storage", "st", 2)],
        "images": {
            "base": {"suite": "trixie", "packages": ["systemd", "python3"]},
            "warm": {"base": "base", "packages": ["ceph-osd"]},
        },
        "devices": ["/dev/net/tun"],
    }


@pytest.fixture
def node_data() -> dict[str, Any]:
    """The content of a node.json."""
    return {
        "name": "node1",
        "image": "warm",
        "addresses": {"upstream": "10.77.0.11", "storage": "10.77.2.11"},
        "disks": [{"name": "osd0", "size_gb": 10}],
    }


@pytest.fixture
def lab(lab_data: dict[str, Any]) -> Lab:
    return parse_lab(lab_data)


@pytest.fixture
def node(lab: Lab, node_data: dict[str, Any]) -> Node:
    return parse_node(lab, node_data)
