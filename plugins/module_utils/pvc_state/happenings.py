# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has happened since a cursor, as far as the tree tells. Pure; docs/events.md says what is exact and what collapses.

The tree holds states, not events. So a cursor is a digest of the states that were told, and an event is a difference
between it and the tree as it is now. A reader that comes back after a year learns what still can be told of it, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from .codec import Stored
from .happening import Cursor, Event, Scene
from .happenings_fences import DEAD, of_fences
from .happenings_services import of_commits, of_services
from .happenings_vms import of_vms

T = TypeVar("T")


def happened(before: Cursor, scene: Scene) -> tuple[list[Event], Cursor]:
    """What is new since the cursor, in the order of ZooKeeper's transactions, and the cursor behind it."""
    events, fences = of_fences(before, scene)
    more, vms = of_vms(before, scene)
    seen, unhealthy = of_services(before, scene)
    found = [*events, *more, *seen, *of_commits(before, scene)]
    revision = max(before.revision, scene.revision)
    after = Cursor(before.cluster, max(before.zxid, scene.zxid), revision, fences, vms, unhealthy)
    told = frozenset(before.told)
    new = (_in_turn(one, before, after) for one in found if one.id not in told)
    # what one transaction has written stays in the order above
    return sorted(new, key=lambda event: event.zxid), after


def _in_turn(event: Event, before: Cursor, after: Cursor) -> Event:
    """An event of a record that was read before: another one's change, or its end, has made it so by now."""
    return event if event.zxid > before.zxid else replace(event, zxid=after.zxid)


def baseline(scene: Scene, since: int | None = None) -> Cursor:
    """A cursor for a reader that has none.

    Args:
        since: all that is in records that were last written by this transaction or an earlier one counts as told;
            None: all that the tree tells of does.
    """
    blank = Cursor(scene.snapshot.schema.id)
    if since is None:
        return happened(blank, scene)[1]
    old = scene.snapshot
    snapshot = replace(
        old,
        claims=_until(since, old.claims),
        status=_until(since, old.status),
        health=_until(since, old.health),
        fences=_until(since, old.fences),
    )
    revision = max((one for one, stored in scene.commits.items() if stored.mzxid <= since), default=0)
    known = Scene(snapshot, since, scene.begun, _until(since, scene.past), revision)
    after = happened(blank, known)[1]
    begun = {
        stored.value.id: (DEAD,)
        for node, stored in old.fences.items()
        if stored.value is not None and node not in snapshot.fences and scene.begun.get(node, 0) <= since
    }
    return replace(after, fences={**after.fences, **begun})


def after_event(before: Cursor, event: Event) -> Cursor:
    """The cursor of a reader that has told one event of those behind it."""
    return replace(before, told=(*before.told, event.id))


def _until(zxid: int, records: Mapping[str, Stored[T]]) -> Mapping[str, Stored[T]]:
    return {name: stored for name, stored in records.items() if stored.mzxid <= zxid}
