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

from .ceph_volumes import IDENTITY, MADE, Failed, grow, pool

_UNFINISHED = "pvc-new."
#: How a volume knows that it has been taken back, by the VM's uuid.
_TAKEN_BACK = "pvc.rollback."


def arrange(
    cluster: Any, volumes: Sequence[Sequence[str]], wanted: Sequence[Sequence[Any]], agree: Callable[[str], None]
) -> None:
    """Make the snapshots of the volumes be these.

    Args:
        volumes: pool and image of each.
        wanted: name, identity and volumes (``POOL/VOLUME``) of each snapshot.
        agree: called with ``hold`` before a snapshot is made, ``made`` when it is made of all volumes, which ends the hold;
            returns once the guest is held, or has been held all the time.
    """
    labels = [f"{name}/{volume}" for name, volume in volumes]
    identities = {name: identity for name, identity, _disks in wanted}
    with _opened(cluster, volumes) as images:
        _finish(images)
        # what has a wanted one's name, but is another one, must be gone before that is made
        for image, label in zip(images, labels, strict=True):
            for name, identity in _made(image).items():
                if identities.get(name, identity) != identity:
                    _remove(image, label, name)
        known = {name for image in images for name in _ours(image)}
        for name, identity, _disks in wanted:
            if name not in known:
                _make_ready(images, name, identity)
                agree("hold")
                for image in images:
                    image.create_snap(_UNFINISHED + name)
                agree("made")
                for image in images:
                    image.rename_snap(_UNFINISHED + name, MADE + name)
        for image, label in zip(images, labels, strict=True):
            for name in _ours(image) - set(identities):
                _remove(image, label, name)
        for name, _identity, disks in wanted:
            for image, label in zip(images, labels, strict=True):
                if label in disks and name not in _ours(image):
                    raise Failed(f"volume {label} has lost snapshot {name}: remove that from the VM")


def roll_back(cluster: Any, volumes: Sequence[Sequence[Any]], snapshot: Sequence[str], owner: str, mark: str) -> None:
    """Take the volumes back to a snapshot, all of which must have it.

    Args:
        volumes: pool, image and size of each. A snapshot may be smaller than the volume is to be.
        snapshot: its name and identity.
        mark: what tells this rollback from every other of the owner.
    """
    name, identity = snapshot
    key = _TAKEN_BACK + owner
    with _opened(cluster, [volume[:2] for volume in volumes]) as images:
        _finish(images)
        done = [_word(image, key) == mark for image in images]
        have = [_made(image).get(name) == identity for image in images]
        missing = [f"{volume[0]}/{volume[1]}" for volume, has in zip(volumes, have, strict=True) if not has]
        if missing and not any(done):
            raise Failed(
                f"volume {missing[0]} has no snapshot {name}, or only an older one of that name: take the volume away from the VM, "
                f"choose another snapshot, or remove {name} to call this off"
            )
        for image, over, has in zip(images, done, have, strict=True):
            if has and not over:
                image.rollback_to_snap(MADE + name)
                image.metadata_set(key, mark)
    for pool_name, volume, size in volumes:
        with pool(cluster, pool_name) as context:
            grow(context, volume, size)


def _make_ready(images: Sequence[Any], name: str, identity: str) -> None:
    """Each knows the identity of the snapshot, and its lock is there to be had: a dead owner's is free after half a minute only.

    The guest is not to be held for that long. A volume that gets the size that it has is changed in nothing but its lock.
    """
    for image in images:
        image.resize(image.size())
        _identify(image, name, identity)


def _finish(images: Sequence[Any]) -> None:
    """End what an agent before this one has begun."""
    made = {one for image in images for one in _made(image).items()}
    for image in images:
        for name in _named(image, _UNFINISHED):
            if (name, _word(image, IDENTITY + name)) in made and name not in _ours(image):
                image.rename_snap(_UNFINISHED + name, MADE + name)
            else:
                image.remove_snap(_UNFINISHED + name)


def _ours(image: Any) -> set[str]:
    return _named(image, MADE)


def _named(image: Any, prefix: str) -> set[str]:
    return {one["name"][len(prefix) :] for one in image.list_snaps() if one["name"].startswith(prefix)}


def _made(image: Any) -> dict[str, str]:
    """The snapshots of an image, each with its identity: empty for one that was made before there were any."""
    return {name: _word(image, IDENTITY + name) for name in _ours(image)}


def _remove(image: Any, label: str, name: str) -> None:
    try:
        image.remove_snap(MADE + name)
    except rbd.ImageBusy:
        raise Failed(f"snapshot {name} of volume {label} is needed by a clone of it: flatten that first") from None
    _identify(image, name, "")


def _identify(image: Any, name: str, identity: str) -> None:
    """Say which snapshot it is that has, or is about to have, a name."""
    if identity:
        image.metadata_set(IDENTITY + name, identity)
    elif _word(image, IDENTITY + name):
        image.metadata_remove(IDENTITY + name)


def _word(image: Any, key: str) -> str:
    try:
        return str(image.metadata_get(key))
    except KeyError:
        return ""


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
