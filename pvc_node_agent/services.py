# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health of the node's services, from what was seen of them to the record that is published. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pvc_state.records import Health, Service

from .view import Services


def dated(services: Services, kind: str, seen: Iterable[Service], at: str) -> Services:
    """One kind of them was looked at: what is as it was keeps its time, what changed gets the present one."""
    known = services.seen.get(kind, ())
    return replace(services, seen={**services.seen, kind: _since(known, (replace(one, since=at) for one in seen))})


def record(services: Services) -> Health | None:
    """What to publish; None while not everything was looked at.

    What the process before this one has published counts for times, too: an agent's restart is no change of a service.
    """
    observer = services.observer
    if observer is None or not observer.kinds <= services.seen.keys():
        return None
    seen = [one for kind in sorted(services.seen) for one in services.seen[kind]]
    published = services.published.services if services.published is not None else ()
    return Health(observer.instance, observer.since, _since(published, seen))


def _since(before: Iterable[Service], now: Iterable[Service]) -> tuple[Service, ...]:
    """The services as they are now, with the earlier time of those that are as they were."""
    times = {_condition(one): one.since for one in before}
    return tuple(replace(one, since=times.get(_condition(one), one.since)) for one in now)


def _condition(one: Service) -> tuple[str, ...]:
    """What must stay the same for a service to count as unchanged; a replica that lags a little more is."""
    return one.kind, one.name, one.state, one.role, str(one.healthy)
