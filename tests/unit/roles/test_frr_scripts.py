# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role frr reads of FRRouting, and how it keeps passwords out of sight."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tests.unit.roles.scripts import script

#: As `frr-reload.py --test` of FRR 10.3 prints it.
DELTA = """
Lines To Delete
===============
router bgp 4200000000
 no neighbor 192.0.2.1 password old secret
exit

Lines To Add
============
router bgp 4200000000
 neighbor 192.0.2.1 password new
exit
"""

RUNNING = """\
frr version 10.3
!
router bgp 4200000000
 bgp router-id 10.20.1.11
 neighbor coordinators peer-group
 neighbor coordinators remote-as 4200000000
 neighbor coordinators password one
 neighbor 10.20.1.12 peer-group coordinators
 neighbor 192.0.2.1 remote-as 64500
 neighbor 192.0.2.1 password two
 neighbor 192.0.2.9 remote-as 64500
exit
!
"""


@pytest.fixture
def probe() -> ModuleType:
    return script("frr", "probe")


@pytest.fixture
def reload() -> ModuleType:
    return script("frr", "reload")


def test_nothing_different_is_no_difference(probe: ModuleType) -> None:
    assert probe.lines_of("") == []


def test_differences_are_told_without_passwords(probe: ModuleType) -> None:
    assert probe.lines_of(DELTA) == [
        "router bgp 4200000000",
        "no neighbor 192.0.2.1 password (not shown)",
        "exit",
        "router bgp 4200000000",
        "neighbor 192.0.2.1 password (not shown)",
        "exit",
    ]


def test_a_session_counts_when_it_is_established(probe: ModuleType) -> None:
    summary = {"peers": {"10.20.1.12": {"state": "Established"}, "10.20.1.13": {"state": "Active"}}}
    assert probe.established(summary) == ["10.20.1.12"]
    assert probe.established({}) == []


def test_passwords_that_are_as_wanted_are_left_alone(reload: ModuleType) -> None:
    assert reload.password_changes(RUNNING, RUNNING) == []


def test_passwords_are_replaced_and_taken_away(reload: ModuleType) -> None:
    wanted = RUNNING.replace("password one", "password three").replace(" neighbor 192.0.2.1 password two\n", "")
    assert reload.password_changes(RUNNING, wanted) == [
        "router bgp 4200000000",
        " neighbor coordinators password three",
        " no neighbor 192.0.2.1 password",
    ]


def test_a_neighbour_that_goes_loses_its_password_first(reload: ModuleType) -> None:
    wanted = "\n".join(line for line in RUNNING.splitlines() if "192.0.2.1" not in line)
    assert reload.password_changes(RUNNING, wanted) == ["router bgp 4200000000", " no neighbor 192.0.2.1 password"]


def test_a_neighbour_that_does_not_run_yet_gets_its_password_with_the_rest(reload: ModuleType) -> None:
    wanted = RUNNING.replace(
        "exit\n!\n", " neighbor 192.0.2.7 remote-as 64501\n neighbor 192.0.2.7 password new\nexit\n!\n"
    )
    assert reload.password_changes(RUNNING, wanted) == []


def test_without_bgp_there_is_nothing_to_replace(reload: ModuleType) -> None:
    assert reload.password_changes("frr version 10.3\n!\n", RUNNING) == []


def test_a_program_that_fails_tells_no_password(reload: ModuleType) -> None:
    with pytest.raises(SystemExit) as ended:
        reload.run(sys.executable, "-c", "import sys; sys.exit('line 3: neighbor 192.0.2.1 password two')")
    assert "ended with 1: line 3: neighbor 192.0.2.1 password (not shown)" in str(ended.value)
    assert "two" not in str(ended.value)
