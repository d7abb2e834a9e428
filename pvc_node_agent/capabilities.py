# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt's XML of domain capabilities says of processors. Pure."""

from __future__ import annotations

from xml.etree.ElementTree import Element


def models(capabilities: Element) -> tuple[str, tuple[str, ...]]:
    """What ``host-model`` is (empty: libvirt does not tell), and the named models that guests can have here, sorted."""
    like = capabilities.find("cpu/mode[@name='host-model']/model")
    named = capabilities.iterfind("cpu/mode[@name='custom']/model")
    usable = {model.text for model in named if model.text and model.get("usable") != "no"}
    return (like.text or "") if like is not None else "", tuple(sorted(usable))
