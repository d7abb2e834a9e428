# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A running domain of libvirt, as far as its hardware can be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import libvirt

from .domain_mark import NAMESPACE
from .live_change import Refused

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


class LibvirtDomain:
    """Implements live_change.LiveDomain; what libvirt says of a domain that has ended is raised as it is."""

    def __init__(self, domain: Any) -> None:
        self._domain = domain

    def xml(self) -> str:
        return str(self._domain.XMLDesc(0))

    def attach(self, device: str) -> None:
        with self._may_refuse():
            self._domain.attachDeviceFlags(device, _LIVE)

    def detach(self, alias: str) -> None:
        with self._may_refuse():
            self._domain.detachDeviceAlias(alias, _LIVE)

    def update(self, device: str) -> None:
        with self._may_refuse():
            self._domain.updateDeviceFlags(device, _LIVE)

    def limit(self, target: str, limits: Mapping[str, int]) -> None:
        with self._may_refuse():
            self._domain.setBlockIoTune(target, dict(limits), _LIVE)

    def set_memory(self, memory: int) -> None:
        with self._may_refuse():
            self._domain.setMemoryFlags(memory * 1024, _LIVE)

    def set_vcpus(self, vcpus: int) -> None:
        with self._may_refuse():
            self._domain.setVcpusFlags(vcpus, _LIVE)

    def add_thread(self) -> int:
        with self._may_refuse():
            number = 1 + max((int(thread[0]) for thread in self._domain.ioThreadInfo(_LIVE)), default=0)
            self._domain.addIOThread(number, _LIVE)
            return number

    def mark(self, text: str) -> None:
        self._domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, "pvc", NAMESPACE, _LIVE)

    @contextmanager
    def _may_refuse(self) -> Iterator[None]:
        try:
            yield
        except libvirt.libvirtError as err:
            if not self._domain.isActive():
                raise
            raise Refused(str(err.get_error_message() or err).strip()) from err
