# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots of all volumes of a VM at one moment, and the way back. Part of ``ceph_call``, in a process of its own.

A snapshot is made under another name first, of all volumes, while the guest is held; when it is known to have been held all the
time, the names are set right. So one volume with the right name tells that there is a snapshot of each: whoever finds it sets
the other names right, too. Where no volume has it, what there is of it was left half made, and is removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import rbd

from .ceph_volumes import Failed, grow, pool

_OURS = "pvc."
_UNFINISHED = "pvc-new."
#: How a volume knows that it has been taken back, by the VM's uuid.
_TAKEN_BACK = "pvc.rollback."


def arrange(cluster: Any, volumes: Sequence[Sequence[str]], names: Sequence[str], agree: Callable[[str], None]) -> None:
    """Make the snapshots of the volumes be these.

    Args:
        volumes: pool and image of each.
        agree: called with ``hold`` before a snapshot is made, ``made`` when it is made of all volumes, which ends the hold;
            returns once the guest is held, or has been held all the time.
    """
    with _opened(cluster, volumes) as images:
        _finish(images)
        known = {name for image in images for name in _ours(image)}
        for name in names:
            if name not in known:
                _make_ready(images)
                agree("hold")
                for image in images:
                    image.create_snap(_UNFINISHED + name)
                agree("made")
                for image in images:
                    image.rename_snap(_UNFINISHED + name, _OURS + name)
        for image in images:
            for name in _ours(image) - set(names):
                image.remove_snap(_OURS + name)


def roll_back(cluster: Any, volumes: Sequence[Sequence[Any]], snapshot: str, owner: str, serial: int) -> None:
    """Take the volumes back to a snapshot; those that the VM has got since it was made are left as they are.

    Args:
        volumes: pool, image and size of each. A snapshot may be smaller than the volume is to be.
    """
    key = _TAKEN_BACK + owner
    with _opened(cluster, [volume[:2] for volume in volumes]) as images:
        _finish(images)
        done = [_number(image, key) >= serial for image in images]
        have = [snapshot in _ours(image) for image in images]
        missing = [f"{volume[0]}/{volume[1]}" for volume, has in zip(volumes, have, strict=True) if not has]
        if missing and not any(done):
            raise Failed(
                f"volume {missing[0]} has no snapshot {snapshot}: it was added later; take it away from the VM, or choose another"
            )
        for image, over, has in zip(images, done, have, strict=True):
            if has and not over:
                image.rollback_to_snap(_OURS + snapshot)
                image.metadata_set(key, str(serial))
    for name, volume, size in volumes:
        with pool(cluster, name) as context:
            grow(context, volume, size)


def _make_ready(images: Sequence[Any]) -> None:
    """The lock of each image is there to be had: one whose owner has died is free after half a minute only.

    The guest is not to be held for that long. A volume that gets the size that it has is changed in nothing but its lock.
    """
    for image in images:
        image.resize(image.size())


def _finish(images: Sequence[Any]) -> None:
    """End what an agent before this one has begun."""
    made = {name for image in images for name in _ours(image)}
    for image in images:
        for name in _named(image, _UNFINISHED):
            if name in made:
                image.rename_snap(_UNFINISHED + name, _OURS + name)
            else:
                image.remove_snap(_UNFINISHED + name)


def _ours(image: Any) -> set[str]:
    return _named(image, _OURS)


def _named(image: Any, prefix: str) -> set[str]:
    return {one["name"][len(prefix) :] for one in image.list_snaps() if one["name"].startswith(prefix)}


def _number(image: Any, key: str) -> int:
    try:
        return int(image.metadata_get(key))
    except (KeyError, ValueError):
        return 0


@contextmanager
def _opened(cluster: Any, volumes: Sequence[Sequence[str]]) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        images = []
        for name, volume in volumes:
            context = stack.enter_context(pool(cluster, name))
            try:
                images.append(stack.enter_context(rbd.Image(context, volume)))
            except rbd.ImageNotFound:
                raise Failed(f"volume {name}/{volume} does not exist") from None
        yield images
