# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the collection's playbooks run, and how they reach the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.repository.tree import ROOT, load

#: Those of the lab know their inventory, and delegate to its machines.
PLAYS: list[tuple[str, dict[str, Any]]] = [
    (path.name, play)
    for path in sorted((ROOT / "playbooks").glob("*.yml"))
    if not path.name.startswith("lab")
    for play in load(path)
    if "hosts" in play
]
#: Plays that reach the cluster's state.
CLUSTER = [(name, play) for name, play in PLAYS if "group/pvc.cluster.cluster" in play.get("module_defaults", {})]
LOCAL = [(name, play) for name, play in CLUSTER if play["hosts"] == "localhost"]


@pytest.mark.parametrize("play", [play for _name, play in LOCAL], ids=[name for name, _play in LOCAL])
def test_a_play_with_credentials_runs_here_whatever_an_inventory_says_of_localhost(play: dict[str, Any]) -> None:
    assert play["connection"] == "local"
    assert play["vars"]["ansible_python_interpreter"] == "{{ ansible_playbook_python }}"


@pytest.mark.parametrize("play", [play for _name, play in CLUSTER], ids=[name for name, _play in CLUSTER])
def test_the_connection_may_come_from_the_environment_alone(play: dict[str, Any]) -> None:
    assert play["module_defaults"]["group/pvc.cluster.cluster"] == "{{ pvc_connection | default({}) }}"


def test_there_are_such_plays() -> None:
    assert {"apply.yml", "plan.yml", "provision.yml", "failover_report.yml"} <= {name for name, _play in LOCAL}
    assert {"drain.yml", "reboot.yml"} <= {name for name, _play in CLUSTER}
