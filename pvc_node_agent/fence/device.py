# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fence devices of all kinds: an order, and what is read back.

Only what a device reads back counts. One that accepts an order and does not carry it out is found out here, one that
reads "off" of a machine that runs is not: that is what several devices, and Ceph's own fence, are for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pvc_state.records import FenceDevice

from ..env import EffectFailed
from .credentials import Credentials
from .ipmi import Ipmi
from .power import Power, Refused
from .redfish import Redfish

#: Seconds from an order that was accepted until the device must read off, and between two reads.
PATIENCE = 15.0
_INTERVAL = 0.3

_KINDS: dict[str, Callable[[FenceDevice, Credentials], Power]] = {"ipmi": Ipmi, "redfish": Redfish}


class Devices:
    """PowerFence: whatever device a node was declared with.

    Args:
        directory: of the credentials. patience: other than the usual one is given to tests only.
    """

    def __init__(self, directory: Path, patience: float = PATIENCE) -> None:
        self._credentials = Credentials(directory)
        self._patience = patience

    def off(self, device: FenceDevice) -> str:
        try:
            return self._off(self._open(device))
        except EffectFailed as err:
            raise EffectFailed(f"{_name(device)}: {err}") from None

    def status(self, device: FenceDevice) -> str:
        try:
            return self.read(device)
        except EffectFailed as err:
            raise EffectFailed(f"{_name(device)}: {err}") from None

    def read(self, device: FenceDevice) -> str:
        """The same, with errors that do not name the device."""
        word = self._open(device).read()
        if word not in ("on", "off"):
            raise EffectFailed(f"it reads {word}, which is neither on nor off")
        return word

    def _open(self, device: FenceDevice) -> Power:
        if device.kind not in _KINDS:
            raise EffectFailed(
                f"this agent does not know devices of kind {device.kind!r}: it knows {', '.join(_KINDS)}"
            )
        return _KINDS[device.kind](device, self._credentials)

    def _off(self, power: Power) -> str:
        refused = ""
        try:
            power.order_off()
        except Refused as err:
            # many refuse to switch off what is off
            refused = str(err)
        end = time.monotonic() + self._patience
        while True:
            try:
                word = power.read()
                seen = f"it reads {word}"
            except EffectFailed as err:
                word, seen = "", str(err)
            if word == "off":
                return f"reads off, although {refused}" if refused else "was ordered off and reads off"
            if refused:
                raise EffectFailed(f"{refused}; {seen}")
            if time.monotonic() >= end:
                raise EffectFailed(f"it accepted the order, but {self._patience:g} s later {seen}")
            time.sleep(_INTERVAL)


def _name(device: FenceDevice) -> str:
    return f"fence device {device.name} ({device.kind} {device.address})"
