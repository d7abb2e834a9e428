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

    name: str
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
        feeds: by machine, its devices' addresses where each switches one of its supplies. dead: those that are off.
        takes: called before an order has its effect; returns when its time is over.
        asked, taking: called with a machine when a device is told to take its power, and right before it is gone.
    """

    def __init__(self, machine: Callable[[str], Powered], say: Callable[[str], None]) -> None:
        self.machine = machine
        self.say = say
        self.moods: dict[str, str] = {}
        self.feeds: dict[str, frozenset[str]] = {}
        self.dead: set[str] = set()
        self.takes: Callable[[str], None] = lambda _order: None
        self.asked: Callable[[str], None] = lambda _machine: None
        self.taking: Callable[[str], None] = lambda _machine: None

    def off(self, device: FenceDevice) -> str:
        machine = self.machine(device.address)
        if machine.powered:
            self.asked(machine.name)
        self._mood(device)
        self.takes("power")
        mood = self._mood(device)
        if mood == "refuses":
            raise EffectFailed(f"{device.name} refuses: wrong password")
        if mood == "obeys" and machine.powered:
            self.dead.add(device.address)
            if self.feeds.get(machine.name, frozenset()) <= self.dead:
                self.taking(machine.name)
                self.say(f"{device.name}: takes the power of {device.address}")
                machine.power_cut()
        if self.status(device) == "on":
            raise EffectFailed(f"{device.name} accepted the order, and reads back: on")
        return "off"

    def status(self, device: FenceDevice) -> str:
        self._mood(device)
        machine = self.machine(device.address)
        dead = machine.name in self.feeds and device.address in self.dead
        return "off" if dead or not machine.powered else "on"

    def on(self, machine: str) -> None:
        """Somebody has switched all supplies of a machine on again."""
        self.dead = {address for address in self.dead if self.machine(address).name != machine}

    def _mood(self, device: FenceDevice) -> str:
        mood = self.moods.get(device.address, "obeys")
        if mood == "unreachable":
            raise EffectFailed(f"{device.name} does not answer")
        return mood
