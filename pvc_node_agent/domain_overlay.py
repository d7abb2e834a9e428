# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lay a fragment over a domain's XML. Pure. What a fragment may hold is checked where it is declared."""

from __future__ import annotations

from xml.etree.ElementTree import Element

#: Devices of which a VM has one, and a fragment says more about it; all others are further ones.
_SINGLE = ("memballoon", "panic", "video")


def lay(over: Element, base: Element) -> None:
    """Change ``base``: elements that both have once are merged, attribute by attribute; all others are added."""
    for element in over:
        there = base.findall(element.tag)
        single = base.tag != "devices" or element.tag in _SINGLE
        if single and len(there) == 1 and len(over.findall(element.tag)) == 1:
            (old,) = there
            old.attrib.update(element.attrib)
            if element.text and element.text.strip():
                old.text = element.text
            lay(element, old)
        else:
            base.append(element)
