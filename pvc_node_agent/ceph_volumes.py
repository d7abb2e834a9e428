# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes as RBD images: made, copied, made larger, removed. Part of ``ceph_call``, so it runs in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import rados
import rbd

#: How a volume knows what it was made a copy of.
_SOURCE = "pvc.source"
#: Names of what is not finished: a copy in the making, and the snapshot that a copy of a volume as it is rests on.
_UNFINISHED = "pvc-new."
_FOR_COPY = "pvc-copy."
#: The names of finished snapshots begin with this; a volume's metadata say which of all that have ever had a name it is.
MADE = "pvc."
IDENTITY = "pvc.snapshot."
#: Names of all snapshots that the agent makes begin with one of these.
OURS = (MADE, _UNFINISHED, _FOR_COPY)


class Failed(Exception):
    """The text is for the VM's status."""


@contextmanager
def pool(cluster: Any, name: str) -> Iterator[Any]:
    try:
        context = cluster.open_ioctx(name)
    except rados.ObjectNotFound:
        raise Failed(f"pool {name} does not exist: create it, or name another") from None
    with context:
        yield context


def ensure(cluster: Any, name: str, volume: str, size: int | None, source: str = "") -> None:
    """The volume exists, as large as it is to be."""
    with pool(cluster, name) as context:
        try:
            with rbd.Image(context, volume, read_only=True) as image:
                if source and _metadata(image, _SOURCE) != source:
                    raise Failed(
                        f"volume {name}/{volume} exists, and is no copy of {source}: remove it, or name another"
                    )
                if size is None or image.size() >= size:
                    return
        except rbd.ImageNotFound:
            if source:
                _copy(cluster, context, volume, size, source)
                return
            if size is None:
                raise Failed(f"volume {name}/{volume} does not exist: create it, or give the disk a size") from None
            with suppress(rbd.ImageExists):
                rbd.RBD().create(context, volume, size, old_format=False)
            return
        grow(context, volume, size)


def grow(context: Any, volume: str, size: int | None) -> None:
    """Make a volume larger; never smaller."""
    with rbd.Image(context, volume) as image:
        if size is not None and image.size() < size:
            image.resize(size)


def _copy(cluster: Any, context: Any, volume: str, size: int | None, source: str) -> None:
    """Make a copy that shares what does not change with its source. It gets its name when it is finished."""
    where, _at, taken_at = source.partition("@")
    snapshot, _hash, identity = taken_at.partition("#")
    origin_pool, _slash, origin = where.partition("/")
    unfinished = f"{_UNFINISHED}{volume}"
    _remove_if_there(context, unfinished)
    with pool(cluster, origin_pool) as origin_context:
        taken = snapshot or f"{_FOR_COPY}{volume}"
        try:
            if not snapshot:
                with rbd.Image(origin_context, origin) as image:
                    _drop_snapshot(image, taken)
                    image.create_snap(taken)
            # format 2: the snapshot needs no protection, and may be removed while the copy lives
            rbd.RBD().clone(origin_context, origin, taken, context, unfinished, clone_format=2)
        except rbd.ImageNotFound:
            raise Failed(
                f"{source} does not exist: what {volume} is to be a copy of was removed, or not made yet"
            ) from None
        with rbd.Image(origin_context, origin, read_only=bool(snapshot)) as image:
            if not snapshot:
                _drop_snapshot(image, taken)
            # after the copy: another of the same name is only made once this says so
            elif identity and _metadata(image, IDENTITY + snapshot.removeprefix(MADE)) != identity:
                _remove_if_there(context, unfinished)
                name = snapshot.removeprefix(MADE)
                raise Failed(
                    f"volume {where} has no snapshot {name}, or only an older one of that name: it is made first"
                )
    with rbd.Image(context, unfinished) as image:
        image.metadata_set(_SOURCE, source)
        if size is not None and image.size() < size:
            image.resize(size)
    rbd.RBD().rename(context, unfinished, volume)


def remove(cluster: Any, name: str, volume: str) -> None:
    """The volume and the agent's snapshots of it are gone, and what was left half made for it."""
    with pool(cluster, name) as context:
        _remove_if_there(context, f"{_UNFINISHED}{volume}")
        try:
            with rbd.Image(context, volume) as image:
                copies = sorted(
                    f"{child['pool']}/{child['image']}" for child in image.list_children2() if not child["trash"]
                )
                if copies:
                    what = f"volume {name}/{volume} cannot be removed: {', '.join(copies)} was copied from it"
                    raise Failed(f"{what}; remove that first")
                for snapshot in list(image.list_snaps()):
                    if snapshot["name"].startswith(OURS):
                        _drop_snapshot(image, snapshot["name"])
            rbd.RBD().remove(context, volume)
        except rbd.ImageNotFound:
            return
        except rbd.ImageHasSnapshots:
            raise Failed(f"volume {name}/{volume} has snapshots that others have made: remove them first") from None
        except rbd.ImageBusy:
            raise Failed(f"volume {name}/{volume} is in use elsewhere: close it there first") from None


def _remove_if_there(context: Any, volume: str) -> None:
    try:
        rbd.RBD().remove(context, volume)
    except rbd.ImageNotFound:
        return


def _drop_snapshot(image: Any, name: str) -> None:
    try:
        image.remove_snap(name)
    except rbd.ImageNotFound:
        return


def _metadata(image: Any, key: str) -> str:
    try:
        return str(image.metadata_get(key))
    except KeyError:
        return ""
