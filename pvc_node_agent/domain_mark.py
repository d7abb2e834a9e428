# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the agent keeps in a domain's metadata: all that it must know of a running domain after its own restart. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, register_namespace, tostring

from pvc_state.codec import Malformed, decode, encode
from pvc_state.hardware_changes import HARDWARE
from pvc_state.records import Vm

from .pinning import unpin

#: Namespace of the agent's element in a domain's metadata.
NAMESPACE = "urn:pvc:node-agent:1"
register_namespace("pvc", NAMESPACE)
_ELEMENT = f"{{{NAMESPACE}}}vm"


@dataclass(frozen=True)
class Mark:
    """What the metadata of a domain says of its origin.

    Attributes:
        definition: of the record that it has wholly.
        arriving: it was moved here while it ran, and has not run here yet. paused: and somebody had paused it before that.
        built: the hardware that it was started with, None while that is not known. What can change while it runs is not to
            be read from it.
        applied: definition up to which it was changed while it ran, 0 for none; what then had to wait is ``pending``.
        restart, reset, sizes: as in view.Domain.
        held: how its guest is held for a snapshot: ``frozen`` or ``paused``; empty while it is not.
        going: the node to which it was sent last; empty for none. Whether it is still under way, libvirt knows.
    """

    vm: str
    epoch: int
    definition: int
    arriving: bool = False
    paused: bool = False
    built: Vm | None = None
    applied: int = 0
    pending: tuple[str, ...] = ()
    restart: int = 0
    reset: int = 0
    sizes: tuple[tuple[str, int], ...] = ()
    held: str = ""
    going: str = ""


def hardware(record: Vm) -> Vm:
    """A record with its virtual hardware and nothing else."""
    return Vm(uuid=record.uuid, **{field: getattr(record, field) for field in HARDWARE})


def mark_of(vm: str, record: Vm, epoch: int) -> Mark:
    """The mark of a domain that is being started: whatever was asked for before is done by that."""
    return Mark(
        vm,
        epoch,
        record.definition,
        built=hardware(record),
        restart=record.restart,
        reset=record.reset,
        sizes=sizes(record),
    )


def sizes(record: Vm) -> tuple[tuple[str, int], ...]:
    """Bytes of the disks of which a record says how large they are."""
    return tuple((f"{disk.pool}/{disk.volume}", disk.size) for disk in record.disks if disk.size is not None)


def mark_element(mark: Mark) -> Element:
    """The element as it stands in a domain's XML."""
    element = Element(_ELEMENT, name=mark.vm, epoch=str(mark.epoch), definition=str(mark.definition))
    for name in ("arriving", "paused"):
        if getattr(mark, name):
            element.set(name, "yes")
    if mark.built is not None:
        element.set("built", encode(mark.built).decode())
    if mark.applied:
        element.set("applied", str(mark.applied))
        element.set("pending", json.dumps(mark.pending))
    for name in ("restart", "reset", "held", "going"):
        if getattr(mark, name):
            element.set(name, str(getattr(mark, name)))
    if mark.sizes:
        # neither a pool nor a volume has a space in its name
        element.set("sizes", " ".join(f"{volume}={size}" for volume, size in mark.sizes))
    return element


def mark_xml(mark: Mark) -> str:
    """The element that libvirt keeps in a domain's metadata, as it wants to be told: it adds the namespace itself."""
    element = mark_element(mark)
    element.tag = "vm"
    return tostring(element, encoding="unicode")


def remarked(domain: str, mark: Mark) -> str:
    """A domain's XML with another mark, for another node: bound to no processors."""
    element = fromstring(domain)  # noqa: S314 - libvirt's own words
    unpin(element)
    metadata = element.find("metadata")
    if metadata is None:
        metadata = SubElement(element, "metadata")
    for old in metadata.findall(_ELEMENT):
        metadata.remove(old)
    metadata.append(mark_element(mark))
    return tostring(element, encoding="unicode")


def read_mark(metadata: str) -> Mark | None:
    """The mark in a domain's metadata element, None if it is none of ours or damaged."""
    try:
        element = fromstring(metadata)  # noqa: S314 - written by this agent, handed over by libvirt
        pending = json.loads(element.get("pending", "[]"))
        return Mark(
            vm=element.attrib["name"],
            epoch=int(element.attrib["epoch"]),
            definition=int(element.attrib["definition"]),
            arriving=element.get("arriving") == "yes",
            paused=element.get("paused") == "yes",
            built=_built(element.get("built", "")),
            applied=int(element.get("applied", "0")),
            pending=tuple(str(phrase) for phrase in pending),
            restart=int(element.get("restart", "0")),
            reset=int(element.get("reset", "0")),
            sizes=_sizes(element.get("sizes", "")),
            held=element.get("held", ""),
            going=element.get("going", ""),
        )
    except (ParseError, KeyError, ValueError, TypeError):
        return None


def _built(text: str) -> Vm | None:
    """None also for what another version of the agent has written: a domain is no less ours for that."""
    try:
        return decode(Vm, text.encode()) if text else None
    except Malformed:
        return None


def _sizes(text: str) -> tuple[tuple[str, int], ...]:
    pairs = (item.rpartition("=") for item in text.split())
    return tuple((volume, int(size)) for volume, _equals, size in pairs)
