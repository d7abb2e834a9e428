# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Management controllers: where they answer, what they read of a node's power, and how they may be told to behave."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from pvc_lab import management
from pvc_lab.bmc import Bmc
from pvc_lab.config import Lab, Node
from pvc_lab.daemon import locked
from pvc_lab.shell import LabError
from pvc_lab.state import supervisor_lock, write_power


@pytest.fixture
def bmc(lab: Lab, node: Node) -> Bmc:
    management.make_password(lab)
    bmc = management.controller(lab, node)
    bmc.prepare()
    return bmc


def test_each_node_has_ports_of_its_own_on_the_labs_host(lab: Lab, node: Node) -> None:
    status = management.status(lab, node)
    assert (status["ipmi"], status["redfish"]) == ("10.77.0.254:9011", "https://10.77.0.254:9311")
    assert status["behaviour"] == "stopped"
    assert not (lab.directory / "secrets").exists(), "to look makes nothing"


def test_the_password_is_made_once_and_only_root_reads_it(lab: Lab, bmc: Bmc) -> None:
    management.make_password(lab)
    path = lab.directory / "secrets" / "bmc"
    assert path.read_text() == f"{bmc.password}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert bmc.directory.stat().st_mode & 0o777 == 0o700


def test_a_node_is_off_when_its_switch_is_and_nothing_of_it_runs(node: Node, bmc: Bmc) -> None:
    write_power(node, "on")
    assert bmc.power() == "on"
    write_power(node, "off")
    with locked(supervisor_lock(node), 1, "it is held"):
        assert bmc.power() == "on"
    assert bmc.power() == "off"


@pytest.mark.parametrize(
    ("behaviour", "accepted", "carried_out"),
    [
        ("obey", True, True),
        ("refuse", False, False),
        ("lie", True, False),
        ("lag 0", True, True),
        ("dead", False, False),
    ],
)
def test_what_becomes_of_an_order(tmp_path: Path, behaviour: str, accepted: bool, carried_out: bool) -> None:
    write = ["sh", "-c", f'echo "$1" > {shlex.quote(str(tmp_path))}/pipe', "sh"]
    bmc = Bmc("node1", tmp_path / "bmc", "127.0.0.1", 0, 0, "secret", write, "false")
    bmc.prepare()
    bmc.behave(behaviour.split())
    if carried_out:
        os.mkfifo(tmp_path / "pipe")
    assert bmc.order("off") is accepted
    if carried_out:
        assert (tmp_path / "pipe").read_text() == "off\n"
    else:
        assert not (tmp_path / "bmc" / "orders.log").exists()


@pytest.mark.parametrize("words", [["lag"], ["lag", "x"], ["obey", "me"], ["vanish"], []])
def test_behaviours_that_there_are_none_of(bmc: Bmc, words: list[str]) -> None:
    with pytest.raises(LabError, match="it can obey, refuse, lie, lag, dead; lag takes seconds"):
        bmc.behave(words)
    assert bmc.behaviour() == "obey"


@pytest.mark.parametrize("password", ["", "with blank", 'quo"te', "seventeen-letters"])
def test_a_password_that_a_controller_cannot_take(tmp_path: Path, password: str) -> None:
    with pytest.raises(LabError, match="must have 1 to 16 characters"):
        Bmc("node1", tmp_path, "127.0.0.1", 0, 0, password, [], "").prepare()
