# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Simulated fence devices: one that obeys, or refuses, lags or lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pvc_state.records import FenceDevice

from ..env import EffectFailed

#: How a device may behave.
MOODS = ("obeys", "refuses", "lies", "unreachable")


class Powered(Protocol):
    """A machine as its fence device has it."""

    powered: bool

    def power_cut(self) -> None:
        """Take its power."""


class SimulatedPower:
    """Fence devices of all nodes. Implements env.PowerFence.

    Args:
        machine: the machine of the device of this address.

    Attributes:
        moods: by the address of the device; one of MOODS. A device that lies accepts the order, does nothing, and reads
            the power as it is: a device that also reads wrongly is beyond any defence.
    """

    def __init__(self, machine: Callable[[str], Powered], say: Callable[[str], None]) -> None:
        self.machine = machine
        self.say = say
        self.moods: dict[str, str] = {}

    def off(self, device: FenceDevice) -> str:
        mood = self._mood(device)
        if mood == "refuses":
            raise EffectFailed(f"{device.name} refuses: wrong password")
        if mood == "obeys":
            self.say(f"{device.name}: takes the power of {device.address}")
            self.machine(device.address).power_cut()
        if self.machine(device.address).powered:
            raise EffectFailed(f"{device.name} accepted the order, and reads back: on")
        return "off"

    def status(self, device: FenceDevice) -> str:
        self._mood(device)
        return "on" if self.machine(device.address).powered else "off"

    def _mood(self, device: FenceDevice) -> str:
        mood = self.moods.get(device.address, "obeys")
        if mood == "unreachable":
            raise EffectFailed(f"{device.name} does not answer")
        return mood
