# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What libvirt says of one domain, in the agent's terms."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import fromstring

import libvirt

from .domain_mark import NAMESPACE, Mark, read_mark
from .domain_read import screen
from .env import EffectFailed, NotAnswering
from .view import Domain, DomainState

_LEAVES = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
_STATES = {
    libvirt.VIR_DOMAIN_PAUSED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: DomainState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: DomainState.POWERING_OFF,
    libvirt.VIR_DOMAIN_CRASHED: DomainState.CRASHED,
}


def domains(connection: Any) -> dict[str, Domain]:
    """All domains of ours."""
    found = {}
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
        seen = domain_of(connection, domain.UUIDString())
        if seen is not None:
            # only here: an answer may take long while a guest leaves, and the agent has begun all moves from now on itself
            with suppress(libvirt.libvirtError):
                seen = seen[0], replace(seen[1], leaving=is_leaving(domain), going=going(domain))
            found[seen[0]] = seen[1]
    return found


def domain_of(connection: Any, uuid: str) -> tuple[str, Domain] | None:
    """The VM and its domain; None when it does not run, or is none of ours."""
    domain = None
    try:
        domain = connection.lookupByUUIDString(uuid)
        mark = mark_of(domain)
        state, reason = domain.state()
        shown = _screen(domain, mark)
    except libvirt.libvirtError as err:
        if err.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN or (domain is not None and has_ended(domain)):
            return None
        raise
    if mark is None or mark.vm != domain.name() or state == libvirt.VIR_DOMAIN_SHUTOFF:
        return None
    if state == libvirt.VIR_DOMAIN_PAUSED and reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR:
        what = DomainState.IO_ERROR
    elif state == libvirt.VIR_DOMAIN_PAUSED and mark.arriving:
        what = DomainState.ARRIVED
    else:
        what = _STATES.get(state, DomainState.RUNNING)
    seen = Domain(uuid, what, mark.epoch, mark.definition, applied=mark.applied, pending=mark.pending, screen=shown)
    seen = replace(seen, restart=mark.restart, reset=mark.reset, sizes=mark.sizes, held=bool(mark.held))
    return mark.vm, seen


def _screen(domain: Any, mark: Mark | None) -> str:
    """Where its screen is reached; most domains have none, and need not be asked for all that they are."""
    if mark is None or mark.built is None or mark.built.devices.graphics == "none":
        return ""
    return screen(fromstring(domain.XMLDesc(0)))  # noqa: S314 - libvirt's own words


def is_leaving(domain: Any) -> bool:
    """Whether libvirt is moving it away. At the target of a move, libvirt does not answer that."""
    try:
        job = domain.jobStats()
    except libvirt.libvirtError as err:
        if err.get_error_code() == libvirt.VIR_ERR_OPERATION_UNSUPPORTED or has_ended(domain):
            return False
        raise
    leaves = job.get(libvirt.VIR_DOMAIN_JOB_OPERATION, _LEAVES) == _LEAVES
    return leaves and job.get("type") in (libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED)


def going(domain: Any) -> str:
    """The node to which it was sent last; empty for none, and for one that an agent of another version has sent."""
    mark = mark_of(domain)
    return mark.going if mark is not None else ""


def has_ended(domain: Any) -> bool:
    """Whether a domain has ended between two questions: libvirt then answers them with all sorts of errors."""
    try:
        return not domain.isActive()
    except libvirt.libvirtError as err:
        return bool(err.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def mark_of(domain: Any) -> Mark | None:
    try:
        return read_mark(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0))
    except libvirt.libvirtError as err:
        if err.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise


def failed(connection: Any, what: str, err: libvirt.libvirtError) -> EffectFailed:
    """How to say that libvirt did not do something: whether it is the VM's fault or libvirt's own."""
    try:
        alive = connection.isAlive() == 1
    except libvirt.libvirtError:
        alive = False
    kind = EffectFailed if alive else NotAnswering
    return kind(f"libvirt did not {what}: {text_of(err)}")


def text_of(err: libvirt.libvirtError) -> str:
    return str(err.get_error_message() or err).strip()
