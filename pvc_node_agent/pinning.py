# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processors of the node guests run on: some VMs have some to themselves, and everything else keeps off those. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from pvc_state.occupancy import SHARED

#: Processors by number.
Pins = tuple[int, ...]


@dataclass(frozen=True)
class Guest:
    """A VM as it runs, or is about to.

    Attributes:
        own: how many processors it is to have to itself, 0 for none.
        pins: for each of its vCPUs the processors that it runs on now; empty for one that does not run yet.
    """

    own: int
    pins: tuple[Pins, ...] = ()


@dataclass(frozen=True)
class Arrangement:
    """Who runs where.

    Attributes:
        own: by VM, a processor for each of its vCPUs.
        shared: for all other VMs, and for all threads that are no vCPUs. All of them where nobody has any to itself.
        lacking: VMs for which there are not enough.
    """

    own: Mapping[str, Pins]
    shared: Pins
    lacking: tuple[str, ...] = ()


def arrange(online: Sequence[int], guests: Mapping[str, Guest]) -> Arrangement:
    """Give processors away: who has its own keeps them, others get the highest numbers; the lowest are shared."""
    own: dict[str, Pins] = {}
    free = list(online[SHARED:])
    for name, guest in sorted(guests.items()):
        has = [pin[0] for pin in guest.pins if len(pin) == 1]
        if guest.own and len(has) == len(set(has)) == guest.own and set(has) <= set(free):
            own[name] = tuple(has)
            free = [processor for processor in free if processor not in has]
    lacking = []
    for name, guest in sorted(guests.items()):
        if guest.own and name not in own:
            if guest.own > len(free):
                lacking.append(name)
            else:
                own[name] = tuple(free[-guest.own :])
                free = free[: -guest.own]
    given = {processor for pins in own.values() for processor in pins}
    return Arrangement(own, tuple(processor for processor in online if processor not in given), tuple(lacking))


def unpin(domain: Element) -> None:
    """Take from a domain's XML where it runs: on another node it is arranged anew."""
    for vcpu in domain.iterfind("vcpu"):
        vcpu.attrib.pop("cpuset", None)
    for tune in domain.iterfind("cputune"):
        for tag in ("vcpupin", "emulatorpin", "iothreadpin"):
            for pin in tune.findall(tag):
                tune.remove(pin)
