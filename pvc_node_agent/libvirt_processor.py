# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What guests can have of this node's processor, as libvirt tells once for each connection."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import ParseError, fromstring

import libvirt

from .capabilities import models
from .config import LibvirtConfig
from .env import EffectFailed
from .libvirt_domain import text_of
from .view import Processor

_ARCHITECTURE = "x86_64"


class Processors:
    """The kind of domains and their processor on this node."""

    def __init__(self, config: LibvirtConfig) -> None:
        self._config = config
        self._domain_type: str | None = None

    def forget(self) -> None:
        """The next connection may be to another libvirt."""
        self._domain_type = None

    def domain_type(self, connection: Any) -> str:
        """``kvm`` or ``qemu``."""
        if self._config.domain_type != "auto":
            return self._config.domain_type
        if self._domain_type is None:
            try:
                capabilities = fromstring(connection.getCapabilities())  # noqa: S314 - libvirt's own words
            except libvirt.libvirtError as err:
                raise EffectFailed(f"libvirt does not tell what it can do: {text_of(err)}") from err
            offered = {
                domain.get("type")
                for arch in capabilities.iterfind("guest/arch")
                if arch.get("name") == _ARCHITECTURE
                for domain in arch.iterfind("domain")
            }
            if not offered:
                raise EffectFailed("libvirt finds no QEMU for x86_64: install qemu-system-x86")
            self._domain_type = "kvm" if "kvm" in offered else "qemu"
        return self._domain_type

    def default(self, connection: Any) -> str:
        """What a guest gets whose VM names no model."""
        if self._config.cpu_model != "auto":
            return self._config.cpu_model
        return "host-model" if self.domain_type(connection) == "kvm" else "qemu64"

    def look(self, connection: Any) -> Processor | None:
        """What there is; None when libvirt does not tell."""
        try:
            kind = self.domain_type(connection)
            told = fromstring(  # noqa: S314 - libvirt's own words
                connection.getDomainCapabilities(None, _ARCHITECTURE, self._config.machine, kind)
            )
        except (EffectFailed, ParseError, libvirt.libvirtError):
            return None
        return Processor(*models(told), self.default(connection))
