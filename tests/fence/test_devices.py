# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fence devices that obey, refuse, lie, lag, are dead, or do not know us: IPMI and Redfish, each against the real thing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.fence.device import Devices

from .conftest import Machine

KINDS = pytest.mark.parametrize("kind", ["ipmi", "redfish"])


@KINDS
def test_one_that_obeys_is_read_and_switched_off(machine: Machine, devices: Devices, kind: str) -> None:
    assert devices.status(machine.device(kind)) == "on"
    assert devices.off(machine.device(kind)) == "was ordered off and reads off"
    assert machine.power.read_text() == "off\n"
    assert devices.status(machine.device(kind)) == "off"
    # may be repeated
    assert "reads off" in devices.off(machine.device(kind))


@KINDS
def test_one_that_lies_is_found_out(machine: Machine, devices: Devices, tmp_path: Path, kind: str) -> None:
    assert devices.status(machine.device(kind)) == "on"
    machine.behave("lie")
    with pytest.raises(EffectFailed, match="accepted the order, but 1 s later it reads on"):
        Devices(tmp_path / "fence.d", patience=1.0).off(machine.device(kind))


@KINDS
def test_one_that_refuses_says_so_unless_the_power_is_off_already(
    machine: Machine, devices: Devices, kind: str
) -> None:
    machine.behave("refuse")
    with pytest.raises(EffectFailed, match=r"fence device bmc \(.*\): it refuses .*; it reads on$"):
        devices.off(machine.device(kind))
    machine.power.write_text("off\n")
    assert devices.off(machine.device(kind)).startswith("reads off, although it refuses")


@KINDS
def test_one_that_lags_is_waited_for(machine: Machine, devices: Devices, kind: str) -> None:
    machine.behave("lag", "1")
    assert devices.off(machine.device(kind)) == "was ordered off and reads off"


@KINDS
def test_one_that_is_dead_does_not_answer(machine: Machine, devices: Devices, kind: str) -> None:
    machine.behave("dead")
    with pytest.raises(EffectFailed, match=r"nothing answers on 127.0.0.1 port \d+"):
        devices.status(machine.device(kind))


@KINDS
def test_a_wrong_password_is_told_from_silence(machine: Machine, devices: Devices, kind: str) -> None:
    with pytest.raises(EffectFailed, match=r"it answers, but does not let fence in: check username, credential wrong"):
        devices.off(machine.device(kind, credential="wrong"))
    assert machine.power.read_text() == "on\n"
