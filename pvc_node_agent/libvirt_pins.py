# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep guests on the processors that are theirs, through libvirt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import libvirt

from pvc_state.records import Vm

from .env import EffectFailed
from .libvirt_domain import mark_of
from .pinning import Arrangement, Guest, Pins, arrange

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


class Pinning:
    """Arranges the guests of this node, one change at a time: two that start at once must not get the same processor."""

    def __init__(self) -> None:
        self._one = threading.Lock()
        self._given = 0
        self._owners: set[str] = set()

    @contextmanager
    def starting(self, connection: Any, vm: str, record: Vm) -> Iterator[tuple[Pins, Pins]]:
        """Within it the VM is started: yields its own processors, and those for the rest; empty: none, and all."""
        before = self._given
        running = _running(connection)
        if not record.cpu.dedicated and not any(guest.own for _domain, guest in running.values()):
            # nobody waits for anybody, as long as no VM has processors to itself
            yield (), ()
            if self._given != before:
                self.settle(connection)
            return
        with self._one:
            self._given += 1
            running = _running(connection)
            guests = {name: guest for name, (_domain, guest) in running.items()}
            guests[vm] = Guest(record.vcpus_limit if record.cpu.dedicated else 0)
            plan = arrange(_online(connection), guests)
            if vm in plan.lacking:
                raise EffectFailed(
                    f"this node has not {guests[vm].own} processors left that it could have to itself: "
                    "move other VMs with processors of their own away"
                )
            # first everybody else leaves them
            _apply(connection, running, plan)
            self._owners = set(plan.own)
            yield plan.own.get(vm, ()), plan.shared

    def settle(self, connection: Any) -> None:
        """Put everybody in their places, after somebody has arrived or ended."""
        with self._one:
            running = _running(connection)
            plan = arrange(_online(connection), {name: guest for name, (_domain, guest) in running.items()})
            _apply(connection, running, plan)
            self._owners = set(plan.own)

    def ended(self, connection: Any, vm: str) -> None:
        """What a VM had to itself is everybody's again."""
        if vm in self._owners:
            with suppress(libvirt.libvirtError):
                self.settle(connection)


def _running(connection: Any) -> dict[str, tuple[Any, Guest]]:
    """Every domain of ours with what it has; one that ends meanwhile is left out, and one whose user binds it to processors."""
    found = {}
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        with suppress(libvirt.libvirtError):
            mark = mark_of(domain)
            if mark is not None and mark.built is not None and "<cputune" not in mark.built.xml:
                own = mark.built.vcpus_limit if mark.built.cpu.dedicated else 0
                found[mark.vm] = (domain, Guest(own, _pins(domain)))
    return found


def _pins(domain: Any) -> tuple[Pins, ...]:
    return tuple(
        tuple(number for number, on in enumerate(pin) if on)
        for pin in domain.vcpuPinInfo(_LIVE)
    )  # fmt: skip


def _online(connection: Any) -> Pins:
    return tuple(number for number, on in enumerate(connection.getCPUMap()[1]) if on)


def _apply(connection: Any, running: dict[str, tuple[Any, Guest]], plan: Arrangement) -> None:
    """Move what is not where it should be. A guest that ends meanwhile needs no place."""
    size = connection.getCPUMap()[0]

    def bits(pins: Pins) -> tuple[bool, ...]:
        return tuple(number in pins for number in range(size))

    for name, (domain, guest) in running.items():
        wanted = [(one,) for one in plan.own[name]] if name in plan.own else [plan.shared] * len(guest.pins)
        with suppress(libvirt.libvirtError):
            for vcpu, (has, gets) in enumerate(zip(guest.pins, wanted, strict=False)):
                if has != gets:
                    domain.pinVcpuFlags(vcpu, bits(gets), _LIVE)
            if tuple(domain.emulatorPinInfo(_LIVE)) != bits(plan.shared):
                domain.pinEmulator(bits(plan.shared), _LIVE)
