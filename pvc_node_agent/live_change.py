# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the hardware of a running domain, as far as libvirt and its guest let it be changed.

Nothing is remembered between two changes of a device: what is left to do follows from the domain's own XML. So an agent
that ends in between leaves a state from which the next one goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element, fromstring, tostring

import libvirt

from pvc_state import hardware_changes as steps
from pvc_state.records import Vm

from . import domain_devices as devices
from . import domain_read
from .domain_devices import Ceph
from .domain_mark import NAMESPACE, Mark, hardware, mark_xml
from .env import EffectFailed

#: Seconds that a guest gets to let go of a device, and to give memory back or take it; and between two looks.
_LETS_GO_WITHIN = 15.0
_FOLLOWS_WITHIN = 10.0
_LOOK_AGAIN = 0.25
#: Guests are told their memory in pages of this many KiB, and round.
_ROUNDING = 2048

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_UNKNOWN = "its hardware was changed, and it was started by an agent that did not keep what it had"


class _Refused(Exception):
    """The guest does not take part; the text says in what."""


@dataclass(frozen=True)
class Change:
    """One attempt to give a domain the hardware of a record."""

    domain: Any
    mark: Mark
    record: Vm
    ceph: Ceph

    def carry_out(self) -> None:
        """Do what can be done, and mark the domain with what has to wait. Raises EffectFailed while a device clings."""
        later, clinging = self._apply()
        if clinging:
            raise EffectFailed(f"its guest does not let go of {', '.join(clinging)}: stop the VM to take it away")
        if later:
            mark = replace(self.mark, applied=self.record.definition, pending=tuple(later))
        else:
            mark = replace(
                self.mark, definition=self.record.definition, built=hardware(self.record), applied=0, pending=()
            )
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        self.domain.setMetadata(kind, mark_xml(mark), "pvc", NAMESPACE, _LIVE)

    def _apply(self) -> tuple[list[str], list[str]]:
        running = domain_read.as_it_runs(self._xml(), self.mark.built or hardware(self.record))
        changes = steps.compare(running.vm, self.record, running.memory_limit, running.vcpus_limit)
        later = list(changes.later) if self.mark.built is not None else [_UNKNOWN, *changes.later]
        clinging = []
        for step in changes.now:
            try:
                self._do(step)
            except _Refused as err:
                if isinstance(step, (steps.DetachDisk, steps.DetachNic)):
                    clinging.append(str(err))
                else:
                    later.append(f"{step}: {err}")
            except libvirt.libvirtError as err:
                if not self.domain.isActive():
                    raise
                if isinstance(step, (steps.DetachDisk, steps.DetachNic)):
                    clinging.append(f"{_device(step)} ({_text(err)})")
                else:
                    later.append(f"{step}: {_text(err)}")
        return later, clinging

    def _xml(self) -> Element:
        return fromstring(self.domain.XMLDesc(0))  # noqa: S314 - libvirt's own words

    def _do(self, step: steps.Step) -> None:
        match step:
            case steps.AttachDisk():
                self._attach_disk(step)
            case steps.DetachDisk():
                self._detach(step, domain_read.disks, domain_read.volume_of)
            case steps.LimitDisk():
                self._limit(step)
            case steps.AttachNic():
                self.domain.attachDeviceFlags(_of(devices.nic_element(step.nic)), _LIVE)
            case steps.DetachNic():
                self._detach(step, domain_read.nics, domain_read.mac_of)
            case steps.ChangeNic():
                self._change_nic(step)
            case steps.SetMemory():
                self._set_memory(step.memory)
            case steps.SetVcpus():
                self.domain.setVcpusFlags(step.vcpus, _LIVE)

    def _attach_disk(self, step: steps.AttachDisk) -> None:
        domain = self._xml()
        taken = {target.get("dev", "") for target in domain.iterfind("devices/disk/target")}
        letters = {name[2:] for name in taken}
        index = next(
            free for free in range(step.index, step.index + len(taken) + 1) if devices.letters(free) not in letters
        )
        if step.disk.bus == "scsi" and domain.find("devices/controller[@type='scsi']") is None:
            self.domain.attachDeviceFlags(_of(devices.scsi_controller()), _LIVE)
        thread = 0
        if step.disk.iothread:
            thread = 1 + max((info[0] for info in self.domain.ioThreadInfo(_LIVE)), default=0)
            self.domain.addIOThread(thread, _LIVE)
        self.domain.attachDeviceFlags(_of(devices.disk_element(step.disk, index, self.ceph, thread)), _LIVE)

    def _detach(
        self,
        step: steps.DetachDisk | steps.DetachNic,
        listed: Callable[[Element], Iterable[Element]],
        named: Callable[[Element], str],
    ) -> None:
        """Ask the guest to let go, and wait until it has."""
        name = _device(step)

        def there() -> Element | None:
            return next((element for element in listed(self._xml()) if named(element) == name), None)

        element = there()
        if element is None:
            return
        try:
            self.domain.detachDeviceAlias(domain_read.alias_of(element), _LIVE)
        except libvirt.libvirtError:
            # asked already, by an agent before this one or in an attempt before this: the guest may yet answer
            if not self.domain.isActive():
                raise
        if not _within(_LETS_GO_WITHIN, lambda: there() is None):
            raise _Refused(name)

    def _limit(self, step: steps.LimitDisk) -> None:
        for element in domain_read.disks(self._xml()):
            target = element.find("target")
            if domain_read.volume_of(element) == steps.volume(step.disk) and target is not None:
                limits = {name: getattr(step.disk.limits, field) for field, name in devices.LIMITS.items()}
                self.domain.setBlockIoTune(target.get("dev"), limits, _LIVE)

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
            self.domain.updateDeviceFlags(_of(element), _LIVE)

    def _set_memory(self, memory: int) -> None:
        self.domain.setMemoryFlags(memory * 1024, _LIVE)
        if not _within(_FOLLOWS_WITHIN, lambda: abs(self.domain.info()[2] - memory * 1024) <= _ROUNDING):
            raise _Refused("its guest does not follow")


def _device(step: steps.DetachDisk | steps.DetachNic) -> str:
    return steps.volume(step.disk) if isinstance(step, steps.DetachDisk) else step.nic.mac


def _within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes true in time."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() >= until:
            return False
        time.sleep(_LOOK_AGAIN)
    return True


def _of(element: Element) -> str:
    return tostring(element, encoding="unicode")


def _text(err: libvirt.libvirtError) -> str:
    return str(err.get_error_message() or err).strip()
