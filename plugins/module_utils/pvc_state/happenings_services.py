# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of services, from what each node's agent sees of its own; and users' commits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .codec import Stored
from .commit_records import Commit
from .happening import Cursor, Event, Scene
from .health import LABELS
from .records import Service

#: Changed objects that an event of a commit names.
_NAMED = 100


def of_services(before: Cursor, scene: Scene) -> tuple[list[Event], Mapping[str, Mapping[str, str]]]:
    """What is new, and the services that are not healthy."""
    events: list[Event] = []
    unhealthy: dict[str, Mapping[str, str]] = {}
    for node, stored in scene.snapshot.health.items():
        old = before.unhealthy.get(node, {})
        if stored.value is None:
            bad = dict(old)
        else:
            services = {f"{one.kind}/{one.name}": one for one in stored.value.services}
            bad = {key: _condition(one) for key, one in services.items() if not one.healthy}
            changed = (one for key, one in services.items() if bad.get(key) != old.get(key))
            events += [_health(node, one, stored.mzxid) for one in changed]
        if bad:
            unhealthy[node] = bad
    return events, unhealthy


def _condition(one: Service) -> str:
    """Changes whenever its agent has seen the service in another condition meanwhile: it keeps the time of what is as it was."""
    return f"{one.state} since {one.since}"


def _health(node: str, one: Service, zxid: int) -> Event:
    label = LABELS.get(one.kind, one.kind)
    part = f" ({one.name})" if one.name not in (one.kind, "cluster") else ""
    if one.healthy:
        text = f"{label} on {node}{part} is healthy again ({one.state})."
    else:
        text = f"{label} on {node}{part} is not healthy: {one.why.rstrip('.') or one.state}."
    details = {"service": one.kind, "healthy": one.healthy, "state": one.state, "role": one.role, "why": one.why}
    key = f"{node}:{one.kind}:{one.name}:{one.since}:{one.state}"
    return Event(f"health:{key}", "health", zxid, "service", one.name, node, one.since, text, details)


def of_commits(before: Cursor, scene: Scene) -> Iterator[Event]:
    """Those that were not seen yet."""
    for revision, stored in scene.commits.items():
        if revision > before.revision:
            yield _commit(revision, stored)


def _commit(revision: int, stored: Stored[Commit]) -> Event:
    commit = stored.value or Commit(revision, "", "", "", ())
    changes = [{"kind": one.kind, "name": one.name, "why": one.why} for one in commit.changes]
    names = [" ".join(filter(None, (one.kind, one.name))) for one in commit.changes]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    via = f" with {commit.via}" if commit.via else ""
    text = f"{commit.who or 'Somebody'} has changed {', '.join(names[:3]) or 'nothing that is told of'}{more}{via}."
    if stored.value is None:
        text = f"Somebody has made a commit whose record is damaged: {stored.invalid}."
    details = {
        "revision": revision,
        "who": commit.who,
        "via": commit.via,
        "count": len(changes),
        "changes": changes[:_NAMED],
    }
    key = f"{revision:010d}"
    return Event(f"commit:{key}", "commit", stored.mzxid, "commit", key, "", commit.at, text, details)
