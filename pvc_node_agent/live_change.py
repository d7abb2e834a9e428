# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the hardware of a running domain, as far as libvirt and its guest let it be changed.

Nothing is remembered between two changes of a device: what is left to do follows from the domain's own XML. So an agent
that ends in between leaves a state from which the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from xml.etree.ElementTree import Element, fromstring, tostring

from pvc_state import hardware_changes as steps
from pvc_state.records import Vm

from . import domain_devices as devices
from . import domain_read
from .domain_devices import Ceph
from .domain_mark import Mark, hardware, mark_xml, sizes
from .env import EffectFailed

#: Seconds that a guest gets to let go of a device, or to follow a change; and between two looks.
_LETS_GO_WITHIN = 15.0
_FOLLOWS_WITHIN = 10.0
_LOOK_AGAIN = 0.25

_UNKNOWN = "its hardware was changed, and it was started by an agent that did not keep what it had"
_Going = steps.DetachDisk | steps.DetachNic


class Refused(Exception):
    """A change was refused, while the domain runs on; the text says by whom or why."""


class LiveDomain(Protocol):
    """A running domain. Every call that changes it raises Refused, or EffectFailed when it does not run any more."""

    def xml(self) -> str:
        """Its XML as it is now."""

    def attach(self, device: str) -> None:
        """Add a device."""

    def detach(self, alias: str) -> None:
        """Ask the guest to let go of a device."""

    def update(self, device: str) -> None:
        """Change a device that is there."""

    def limit(self, target: str, limits: Mapping[str, int]) -> None:
        """Give a disk limits, by libvirt's names."""

    def set_memory(self, memory: int) -> None:
        """Ask the guest to have so many MiB."""

    def set_vcpus(self, vcpus: int) -> None:
        """Give the guest so many vCPUs."""

    def add_thread(self) -> int:
        """Add a thread for a disk, and return its number."""

    def mark(self, text: str) -> None:
        """Replace the agent's element in its metadata."""


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


@dataclass(frozen=True)
class Change:
    """One attempt to give a domain the hardware of a record.

    Attributes:
        within: waits for a guest.
    """

    domain: LiveDomain
    mark: Mark
    record: Vm
    ceph: Ceph
    within: Callable[[float, Callable[[], bool]], bool] = within

    def carry_out(self) -> None:
        """Do what can be done, and mark the domain with what has to wait. Raises EffectFailed while a device clings."""
        before = self._volumes()
        later, clinging = self._apply()
        known = replace(self.mark, sizes=self._sizes(before))
        if clinging:
            if known != self.mark:
                self.domain.mark(mark_xml(known))
            raise EffectFailed(f"its guest does not let go of {', '.join(clinging)}: stop the VM to take it away")
        definition = self.record.definition
        if later:
            mark = replace(known, applied=definition, pending=tuple(later))
        else:
            mark = replace(known, definition=definition, built=hardware(self.record), applied=0, pending=())
        self.domain.mark(mark_xml(mark))

    def _apply(self) -> tuple[list[str], list[str]]:
        """What has to wait, and what its guest does not let go of."""
        running = self._running()
        changes = steps.compare(running.vm, self.record, running.memory_limit, running.vcpus_limit)
        later = list(changes.later) if self.mark.built is not None else [_UNKNOWN]
        for step in changes.now:
            if not isinstance(step, (steps.DetachDisk, steps.DetachNic)):
                try:
                    self._do(step)
                except Refused as err:
                    later.append(f"{step}: {err}")
        going = [step for step in changes.now if isinstance(step, (steps.DetachDisk, steps.DetachNic))]
        return later, self._let_go(going)

    def _volumes(self) -> set[str]:
        return set(map(domain_read.volume_of, domain_read.disks(self._xml())))

    def _sizes(self, before: set[str]) -> tuple[tuple[str, int], ...]:
        """Bytes of the disks as its guest sees them: those that it had are as large as they were, however large they are wanted."""
        there = self._volumes()
        kept = {volume: size for volume, size in self.mark.sizes if volume in before & there}
        new = {volume: size for volume, size in sizes(self.record) if volume in there and volume not in kept}
        return tuple({**kept, **new}.items())

    def _xml(self) -> Element:
        return fromstring(self.domain.xml())  # noqa: S314 - libvirt's own words

    def _running(self) -> domain_read.Running:
        return domain_read.as_it_runs(self._xml(), self.mark.built or hardware(self.record))

    def _do(self, step: steps.Step) -> None:
        match step:
            case steps.AttachDisk():
                self._attach_disk(step)
            case steps.LimitDisk():
                self._limit(step)
            case steps.AttachNic():
                self.domain.attach(_text(devices.nic_element(step.nic)))
            case steps.ChangeNic():
                self._change_nic(step)
            case steps.SetMemory():
                self.domain.set_memory(step.memory)
                if not self.within(_FOLLOWS_WITHIN, lambda: abs(self._running().vm.memory - step.memory) <= 1):
                    raise Refused("its guest does not follow")
            case steps.SetVcpus():
                self.domain.set_vcpus(step.vcpus)

    def _attach_disk(self, step: steps.AttachDisk) -> None:
        domain = self._xml()
        letters = {target.get("dev", "")[2:] for target in domain.iterfind("devices/disk/target")}
        places = range(step.index, step.index + len(letters) + 1)
        index = next(place for place in places if devices.letters(place) not in letters)
        if step.disk.bus == "scsi" and domain.find("devices/controller[@type='scsi']") is None:
            self.domain.attach(_text(devices.scsi_controller()))
        thread = self.domain.add_thread() if step.disk.iothread else 0
        self.domain.attach(_text(devices.disk_element(step.disk, index, self.ceph, thread)))

    def _let_go(self, going: Sequence[_Going]) -> list[str]:
        """Ask the guest to let go of everything at once, and wait once; returns what it still has then, and why."""
        asked: dict[str, str] = {}
        for step in going:
            for element in self._there(step):
                try:
                    self.domain.detach(domain_read.alias_of(element))
                    asked[_name(step)] = "asked"
                except Refused as err:
                    # asked already, maybe, by an agent before this one or in an attempt before this, and it may yet answer
                    asked[_name(step)] = str(err)
        if not asked or self.within(_LETS_GO_WITHIN, lambda: not any(map(self._there, going))):
            return []
        return [f"{_name(step)} ({asked.get(_name(step), 'asked')})" for step in going if self._there(step)]

    def _there(self, step: _Going) -> list[Element]:
        """The device that is to go, if it is there."""
        domain, name = self._xml(), _name(step)
        if isinstance(step, steps.DetachDisk):
            return [element for element in domain_read.disks(domain) if domain_read.volume_of(element) == name]
        return [element for element in domain_read.nics(domain) if domain_read.mac_of(element) == name]

    def _limit(self, step: steps.LimitDisk) -> None:
        limits = {name: getattr(step.disk.limits, field) for field, name in devices.LIMITS.items()}
        for element in domain_read.disks(self._xml()):
            target = element.find("target")
            if domain_read.volume_of(element) == steps.volume(step.disk) and target is not None:
                self.domain.limit(target.get("dev", ""), limits)

    def _change_nic(self, step: steps.ChangeNic) -> None:
        for element in domain_read.nics(self._xml()):
            if domain_read.mac_of(element) != step.nic.mac:
                continue
            source, link = element.find("source"), element.find("link")
            if source is not None:
                source.attrib = {"bridge": step.nic.bridge}
            if link is None:
                link = Element("link")
                element.append(link)
            link.set("state", "up" if step.nic.link else "down")
            self.domain.update(_text(element))


def _name(step: _Going) -> str:
    return steps.volume(step.disk) if isinstance(step, steps.DetachDisk) else step.nic.mac


def _text(element: Element) -> str:
    return tostring(element, encoding="unicode")
