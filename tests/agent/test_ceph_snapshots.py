# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of several volumes and the way back, on images that are no more than what is asked of Ceph's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

MODULES = ("pvc_node_agent.ceph_snapshots", "pvc_node_agent.ceph_volumes")


class Busy(Exception):
    """Somebody needs it."""


class Image:
    """An image: its snapshots and metadata."""

    def __init__(self) -> None:
        self.snaps: list[str] = []
        self.meta: dict[str, str] = {}
        self.back: list[str] = []
        self.needed: set[str] = set()

    def size(self) -> int:
        return 1

    def resize(self, _size: int) -> None:
        pass

    def list_snaps(self) -> list[dict[str, str]]:
        return [{"name": name} for name in self.snaps]

    def create_snap(self, name: str) -> None:
        self.snaps.append(name)

    def rename_snap(self, old: str, new: str) -> None:
        self.snaps[self.snaps.index(old)] = new

    def remove_snap(self, name: str) -> None:
        if name in self.needed:
            raise Busy
        self.snaps.remove(name)

    def rollback_to_snap(self, name: str) -> None:
        self.back.append(name)

    def metadata_get(self, key: str) -> str:
        return self.meta[key]

    def metadata_set(self, key: str, value: str) -> None:
        self.meta[key] = value

    def metadata_remove(self, key: str) -> None:
        del self.meta[key]


class Ceph:
    """Two volumes, and what is done to them."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.images = {"a": Image(), "b": Image()}
        self.said: list[str] = []

    def arrange(self, *wanted: tuple[str, str], volumes: str = "ab") -> None:
        made = [(*one, [f"vms/{volume}" for volume in volumes]) for one in wanted]
        self.module.arrange(self, [("vms", volume) for volume in volumes], made, self.said.append)

    def roll_back(self, name: str, identity: str, mark: str) -> None:
        self.module.roll_back(self, [("vms", volume, None) for volume in "ab"], (name, identity), "uuid", mark)

    def snaps(self) -> list[list[str]]:
        return [image.snaps for image in self.images.values()]


@pytest.fixture
def ceph(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ceph]:
    rbd: Any = ModuleType("rbd")
    rbd.ImageBusy, rbd.ImageNotFound = Busy, LookupError
    monkeypatch.setitem(sys.modules, "rbd", rbd)
    monkeypatch.setitem(sys.modules, "rados", ModuleType("rados"))
    for name in MODULES:
        sys.modules.pop(name, None)
    ceph_snapshots = importlib.import_module(MODULES[0])

    @contextmanager
    def opened(cluster: Ceph, volumes: Sequence[Sequence[str]]) -> Iterator[list[Image]]:
        yield [cluster.images[volume] for _pool, volume in volumes]

    @contextmanager
    def pool(_cluster: Ceph, _name: str) -> Iterator[None]:
        yield

    monkeypatch.setattr(ceph_snapshots, "_opened", opened)
    monkeypatch.setattr(ceph_snapshots, "pool", pool)
    monkeypatch.setattr(ceph_snapshots, "grow", lambda *_args: None)
    yield Ceph(ceph_snapshots)
    for name in MODULES:
        sys.modules.pop(name, None)


def test_a_snapshot_is_made_once_and_anew_for_another_identity(ceph: Ceph) -> None:
    ceph.arrange(("s", "1"))
    ceph.arrange(("s", "1"))
    assert ceph.said == ["hold", "made"]
    ceph.arrange(("s", "2"))
    assert ceph.said == ["hold", "made"] * 2
    assert ceph.snaps() == [["pvc.s"], ["pvc.s"]]
    ceph.arrange()
    assert ceph.snaps() == [[], []]
    assert [image.meta for image in ceph.images.values()] == [{}, {}]


def test_snapshots_without_identity_are_those_of_before(ceph: Ceph) -> None:
    for image in ceph.images.values():
        image.snaps = ["pvc.s", "mine"]
    ceph.arrange(("s", ""))
    assert (ceph.said, ceph.snaps()) == ([], [["pvc.s", "mine"]] * 2)


def test_what_was_half_made_is_finished_by_the_right_one_only(ceph: Ceph) -> None:
    ceph.arrange(("s", "1"))
    ceph.images["b"].snaps = ["pvc-new.s"]
    ceph.arrange(("s", "1"))
    assert (ceph.said, ceph.snaps()) == (["hold", "made"], [["pvc.s"], ["pvc.s"]])
    ceph.images["b"].snaps, ceph.images["b"].meta = ["pvc-new.s"], {"pvc.snapshot.s": "another"}
    with pytest.raises(Exception, match="volume vms/b has lost snapshot s: remove that from the VM"):
        ceph.arrange(("s", "1"))
    assert ceph.snaps() == [["pvc.s"], []]


def test_a_disk_of_another_vm_brings_none_along(ceph: Ceph) -> None:
    ceph.arrange(("s", "1"), volumes="a")
    ceph.arrange(("s", "2"), volumes="b")
    ceph.module.arrange(ceph, [("vms", "a"), ("vms", "b")], [("s", "1", ["vms/a"])], ceph.said.append)
    assert ceph.snaps() == [["pvc.s"], []]


def test_one_that_others_need_is_not_replaced(ceph: Ceph) -> None:
    ceph.arrange(("s", "1"))
    ceph.images["a"].needed = {"pvc.s"}
    with pytest.raises(Exception, match="snapshot s of volume vms/a is needed by a clone of it"):
        ceph.arrange(("s", "2"))


def test_each_rollback_is_done_once_and_to_the_right_one(ceph: Ceph) -> None:
    ceph.arrange(("s", "1"))
    for mark in ("9", "9", "3"):
        ceph.roll_back("s", "1", mark)
    assert [image.back for image in ceph.images.values()] == [["pvc.s"] * 2] * 2
    with pytest.raises(Exception, match="volume vms/a has no snapshot s"):
        ceph.roll_back("s", "2", "10")


def test_a_copy_is_of_the_snapshot_that_was_meant_and_of_none_of_the_same_name(
    ceph: Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    volumes = importlib.import_module(MODULES[1])
    made: list[str] = []

    class Rbd:
        def clone(self, _origin_pool: Any, origin: str, taken: str, _pool: Any, volume: str, clone_format: int) -> None:
            if taken not in ceph.images[origin].snaps:
                raise LookupError
            ceph.images[volume] = Image()

        def rename(self, _pool: Any, old: str, new: str) -> None:
            ceph.images[new] = ceph.images.pop(old)
            made.append(new)

        def remove(self, _pool: Any, volume: str) -> None:
            if ceph.images.pop(volume, None) is None:
                raise LookupError

    @contextmanager
    def image(_pool: Any, name: str, read_only: bool = False) -> Iterator[Image]:
        if name not in ceph.images:
            raise LookupError
        yield ceph.images[name]

    @contextmanager
    def pool(_cluster: Ceph, _name: str) -> Iterator[None]:
        yield

    for name, value in (("RBD", Rbd), ("Image", image)):
        monkeypatch.setattr(volumes.rbd, name, value, raising=False)
    monkeypatch.setattr(volumes, "pool", pool)
    ceph.arrange(("v1", "older"))
    with pytest.raises(volumes.Failed, match=r"vms/a has no snapshot v1, or only an older one of that name"):
        volumes.ensure(ceph, "vms", "copy", None, "vms/a@pvc.v1#newer")
    assert (made, sorted(ceph.images)) == ([], ["a", "b"])
    ceph.arrange(("v1", "newer"))
    for _again in range(2):
        volumes.ensure(ceph, "vms", "copy", 1, "vms/a@pvc.v1#newer")
    volumes.ensure(ceph, "vms", "legacy", None, "vms/a@pvc.v1")
    assert made == ["copy", "legacy"]
