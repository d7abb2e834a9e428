# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every kind of fence device has in common: how it fails, and how its addresses and options are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Protocol

from pvc_state.fence_devices import OPTIONS
from pvc_state.records import FenceDevice

from ..env import EffectFailed


class Refused(EffectFailed):
    """The device has understood the order and does not carry it out. What it reads may still be what is wanted."""


class Power(Protocol):
    """One device, as its kind speaks with it. Each call has a deadline of its own, and raises EffectFailed."""

    def order_off(self) -> None:
        """Order the power off. When it returns, the order was accepted, no more. Raises Refused, too."""

    def read(self) -> str:
        """``on``, ``off``, or another word that is neither."""


def options_of(device: FenceDevice) -> Mapping[str, str]:
    """The options, checked. Raises EffectFailed."""
    known = OPTIONS[device.kind]
    for name, value in device.options.items():
        if name not in known:
            raise EffectFailed(f"option {name} is unknown for {device.kind}: it knows {', '.join(known)}")
        pattern, meaning = known[name]
        if not re.fullmatch(pattern, value):
            raise EffectFailed(f"option {name} cannot be {value!r}: it is {meaning}")
    return device.options


def host_and_port(address: str, port: int) -> tuple[str, int]:
    """Of ``host``, ``host:623``, ``[fd00::1]:623`` or ``fd00::1``. Raises EffectFailed."""
    match = re.fullmatch(
        r"\[([0-9a-fA-F:]+)\](?::(\d{1,5}))?|([A-Za-z0-9._-]+)(?::(\d{1,5}))?|([0-9a-fA-F:]+)", address
    )
    if match is None or match[0].startswith("-"):
        raise EffectFailed(f"{address!r} is no address of a fence device: give host, or host:port")
    return match[1] or match[3] or match[5], int(match[2] or match[4] or port)


def clean(words: str, limit: int = 200) -> str:
    """What a device has said, fit for a sentence: one line, printable, not long."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in words).split())
    return line if len(line) <= limit else f"{line[:limit]}…"
