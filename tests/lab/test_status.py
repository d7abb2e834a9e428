# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's state is told of nodes that were never started, too."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pvc_lab.config import Lab, Node, describe_node
from pvc_lab.images import layers
from pvc_lab.status import describe, is_current, node_status, state_word


def test_a_node_that_is_only_described_is_off(lab: Lab, node: Node, node_data: dict[str, Any]) -> None:
    describe_node(lab, node_data)
    status = node_status(lab, node, {})
    assert (status["state"], status["power"], status["memory_mb"]) == ("off", "off", 0)
    text = describe({"nodes": [status], "cache": {"url": lab.cache_url, "running": False}})
    assert text.splitlines()[2].split() == ["node1", "off", "warm", "10.77.0.11", "10.77.2.11", "stopped", "-"]


def test_a_node_keeps_its_image_and_that_shows(lab: Lab, node: Node) -> None:
    node.directory.mkdir(parents=True)
    (node.directory / "layers.json").write_text(json.dumps([str(path) for path in layers(lab, "warm")]))
    assert is_current(lab, node)
    (lab.directory / "skeleton").mkdir()
    (lab.directory / "skeleton/new").write_text("")
    assert not is_current(lab, node)
    assert not is_current(lab, replace(node, image="no longer described"))


def test_words_for_states() -> None:
    assert state_word(running=True, frozen=False, populated=True) == "running"
    assert state_word(running=True, frozen=True, populated=True) == "paused"
    assert state_word(running=False, frozen=False, populated=True) == "broken"
    assert state_word(running=False, frozen=False, populated=False) == "off"
