# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fragments of libvirt's domain XML that are laid over what is made from a VM's options: which are allowed. Pure.

What is not on the lists is refused: the product must know where a guest runs, what it writes to, and what ends it. Whether
the rest is right libvirt says itself, by its schema, when it starts the VM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

#: Characters that a fragment may have.
LIMIT = 16_384

#: Elements below <domain> that no option is for, or that have more to them than options say.
TOP = (
    *("blkiotune", "clock", "cpu", "cputune", "devices", "features", "genid", "memoryBacking", "memtune", "numatune"),
    *("os", "perf", "pm"),
)
#: Devices that open nothing on the node.
DEVICES = (
    *("audio", "controller", "crypto", "hub", "input", "iommu", "memballoon", "panic", "sound", "video", "vsock"),
)
#: Settings of the firmware that do not say what is booted.
OS = ("bios", "bootmenu")
#: Elements that name something on the node, wherever they are.
_OPENS = ("backend", "backingStore", "emulator", "listen", "loader", "log", "nvram", "script", "source", "target")
_GENERATED = {
    "name": "the VM's name",
    "uuid": "the VM's identity",
    "metadata": "what the agent knows the domain by",
    "memory": "option memory",
    "currentMemory": "option memory",
    "maxMemory": "option memory_max",
    "vcpu": "option vcpus",
    "on_poweroff": "what the agent relies on",
    "on_reboot": "what the agent relies on",
    "on_crash": "what the agent relies on",
    "disk": "option disks",
    "interface": "option nics",
    "hostdev": "option devices.host",
    "graphics": "option devices.graphics",
    "rng": "option devices.rng",
    "tpm": "option devices.tpm",
    "watchdog": "option devices.watchdog",
    "serial": "the VM's console",
    "console": "the VM's console",
    "sysinfo": "what tells the guest its epoch",
}


class _Refused(Exception):
    """What the parser will not read."""


class _Builder(TreeBuilder):
    def doctype(self, _name: str, _pubid: str, _system: str) -> None:
        raise _Refused("it has a document type")

    def pi(self, _target: str, _text: Any = None) -> Element:
        raise _Refused("it has a processing instruction")


def problem(text: Any) -> tuple[str, str]:
    """What is wrong with a fragment, and the remedy; empty when it is right. The empty text is no fragment, and right."""
    if not isinstance(text, str) or len(text) > LIMIT:
        return "it is no text, or a long one", f"give at most {LIMIT} characters"
    if not text.strip():
        return "", ""
    try:
        domain = parse(text)
    except _Refused as err:
        return str(err), "give elements only"
    except (ParseError, ValueError) as err:
        return f"it is no well-formed XML: {err}", "give <domain>...</domain> with the elements to be laid over"
    for why, remedy in _problems(domain):
        return why, remedy
    return "", ""


def parse(text: str) -> Element:
    """The fragment's root; raises ParseError for what is not well-formed."""
    parser = XMLParser(target=_Builder())  # noqa: S314 - no document types, so no entities
    parser.feed(text.strip())
    root: Element = parser.close()
    return root


def _problems(domain: Element) -> Iterator[tuple[str, str]]:
    for element in domain.iter():
        if any("}" in name for name in (element.tag, *element.attrib)):
            yield (
                f"<{element.tag.partition('}')[2] or element.tag}> is of another namespace",
                "give libvirt's own elements",
            )
    if domain.tag != "domain":
        yield f"its root is <{domain.tag}>", "give <domain>...</domain> with the elements to be laid over"
    if domain.attrib:
        yield f"<domain> has attribute {min(domain.attrib)}", "leave it out: the node's configuration says it"
    for parent, allowed in ((domain, TOP), (domain.find("os"), OS), (domain.find("devices"), DEVICES)):
        if parent is None:
            continue
        for element in parent:
            if element.tag not in allowed:
                owner = _GENERATED.get(element.tag)
                what = f"<{element.tag}> is not for it" + (f": that is {owner}" if owner else "")
                yield what, f"in <{parent.tag}>, give some of {', '.join(allowed)}"
        tags = [element.tag for element in parent]
        if parent.tag != "devices" and len(tags) > len(set(tags)):
            yield f"<{parent.tag}> has an element twice", "give each once"
    for element in domain.iterfind("devices//*"):
        paths = [value for value in (element.text or "", *element.attrib.values()) if value.strip().startswith("/")]
        if element.tag in _OPENS or paths:
            yield f"<{element.tag}> names something on the node", "leave it out"
        if element.tag == "audio" and element.get("type") != "none":
            yield "<audio> of that type is sound of the node", 'give type="none"'
