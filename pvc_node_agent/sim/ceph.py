# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A simulated Ceph: volumes, an osdmap epoch, a blocklist, and each node's own way to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pvc_state.records import Disk, DiskSnapshot

from ..env import EffectFailed, Hold


class SimulatedCeph:
    """One Ceph for all nodes.

    An entry of the blocklist binds an OSD once it knows of the osdmap that holds it: after ``lag`` seconds at the latest, or
    as soon as a client that knows of that osdmap opens a volume. Until then the refused client writes on.

    Attributes:
        volumes: those that exist. sizes: their bytes. snapshots: identities of each, by name.
        rolled_back: the mark of the last rollback of a volume, for each owner.
        epoch: of the osdmap. blocklist: addresses whose clients are refused, with the epoch.
        lag: seconds until the last OSD knows of a new osdmap.
        failing: why every operation on volumes fails; empty: none does.
        fence_failing: the same for what a leader asks.
        quorate: whether the monitors have a quorum. changed: called when the blocklist has changed.
        refused: called with addresses that a leader has just had refused.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = lambda: 0.0) -> None:
        self.say = say
        self.volumes: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.snapshots: dict[str, dict[str, str]] = {}
        self.rolled_back: dict[tuple[str, str], str] = {}
        self.epoch = 1
        self.blocklist: dict[str, int] = {}
        self.lag = 0.0
        self.failing = ""
        self.fence_failing = ""
        self.quorate: Callable[[], bool] = lambda: True
        self.changed: Callable[[], None] = lambda: None
        self.refused: Callable[[Sequence[str]], None] = lambda _addresses: None
        self._now = now
        self._known = 1
        self._spread: dict[int, float] = {}

    def refuses(self, address: str) -> bool:
        """Whether clients on an address are refused by every OSD."""
        epoch = self.blocklist.get(address)
        return epoch is not None and (epoch <= self._known or self._now() >= self._spread[epoch])

    def commit(self) -> int:
        """A new osdmap; returns its epoch."""
        self.epoch += 1
        self._spread[self.epoch] = self._now() + self.lag
        return self.epoch

    def opened(self, barrier: int) -> None:
        """A client that knows of an osdmap has opened a volume: the OSDs must know of it, too."""
        self._known = max(self._known, barrier)


class NodeStorage:
    """What one node sees of Ceph. Implements env.Storage.

    Args:
        address: the one that Ceph sees its clients come from. reachable: whether its network is whole.
    """

    def __init__(self, ceph: SimulatedCeph, address: str, reachable: Callable[[], bool]) -> None:
        self.ceph = ceph
        self.address = address
        self.reachable = reachable

    def ensure(self, disks: Sequence[Disk], barrier: int = 0) -> None:
        self._check()
        if self.ceph.epoch < barrier:
            raise EffectFailed(f"Ceph has not told of osdmap epoch {barrier} yet")
        self.ceph.opened(barrier)
        for disk in disks:
            name = f"{disk.pool}/{disk.volume}"
            if self.ceph.failing:
                raise EffectFailed(self.ceph.failing)
            if name in self.ceph.volumes:
                if (disk.size or 0) > self.ceph.sizes.get(name, disk.size or 0):
                    self.ceph.say(f"resize {name} to {disk.size}")
                    self.ceph.sizes[name] = disk.size or 0
                continue
            if disk.source:
                self._copy(disk)
            elif disk.size is None:
                raise EffectFailed(f"volume {name} does not exist: create it, or give the disk a size")
            else:
                self.ceph.say(f"create {name}")
            self.ceph.volumes.add(name)
            self.ceph.sizes[name] = disk.size or 0

    def remove(self, disks: Sequence[Disk]) -> None:
        self._check()
        for disk in disks:
            if self.ceph.failing:
                raise EffectFailed(self.ceph.failing)
            self.ceph.say(f"remove {disk.pool}/{disk.volume}")
            self.ceph.volumes.discard(f"{disk.pool}/{disk.volume}")
            self.ceph.snapshots.pop(f"{disk.pool}/{disk.volume}", None)

    def arrange(self, disks: Sequence[Disk], snapshots: Sequence[DiskSnapshot], hold: Hold, barrier: int = 0) -> None:
        self._check()
        self.ceph.opened(barrier)
        volumes = [f"{disk.pool}/{disk.volume}" for disk in disks]
        there = {one for volume in volumes for one in self.ceph.snapshots.get(volume, {}).items()}
        wanted = {one.name: one.id for one in snapshots}
        for name, _identity in sorted(one for one in there if one[0] in wanted and one[1] != wanted[one[0]]):
            self._remove_snapshot(volumes, name)
        for one in snapshots:
            if (one.name, one.id) not in there:
                with hold():
                    if self.ceph.failing:
                        raise EffectFailed(self.ceph.failing)
                    self.ceph.say(f"snapshot {one.name} of {', '.join(volumes)}")
                for volume in volumes:
                    self.ceph.snapshots.setdefault(volume, {})[one.name] = one.id
        for name in sorted({name for name, _identity in there} - set(wanted)):
            self._remove_snapshot(volumes, name)

    def _remove_snapshot(self, volumes: Sequence[str], name: str) -> None:
        self.ceph.say(f"remove snapshot {name} of {', '.join(volumes)}")
        for volume in volumes:
            self.ceph.snapshots.get(volume, {}).pop(name, None)

    def roll_back(self, disks: Sequence[Disk], owner: str, snapshot: DiskSnapshot, mark: str, barrier: int = 0) -> None:
        self._check()
        if self.ceph.failing:
            raise EffectFailed(self.ceph.failing)
        self.ceph.opened(barrier)
        volumes = [f"{disk.pool}/{disk.volume}" for disk in disks]
        late = [volume for volume in volumes if self.ceph.rolled_back.get((volume, owner)) != mark]
        for volume in late:
            if self.ceph.snapshots.get(volume, {}).get(snapshot.name) != snapshot.id:
                raise EffectFailed(f"volume {volume} has no snapshot {snapshot.name}")
        for volume in late:
            self.ceph.say(f"roll back {volume} to {snapshot.name}")
            self.ceph.rolled_back[volume, owner] = mark

    def _copy(self, disk: Disk) -> None:
        volume, _at, taken = disk.source.partition("@")
        snapshot, _hash, identity = taken.partition("#")
        name = snapshot.removeprefix("pvc.")
        if volume not in self.ceph.volumes:
            raise EffectFailed(f"volume {volume} does not exist")
        there = self.ceph.snapshots.get(volume, {})
        if snapshot and (name not in there or (identity and there[name] != identity)):
            raise EffectFailed(f"volume {volume} has no snapshot {snapshot}")
        of = f"{volume}@{snapshot}" if snapshot else volume
        self.ceph.say(f"copy {of} to {disk.pool}/{disk.volume}")

    def _check(self) -> None:
        if not self.reachable() or not self.ceph.quorate():
            raise EffectFailed("Ceph does not answer")
        if self.ceph.refuses(self.address):
            raise EffectFailed("Ceph refuses this node: it is on the blocklist")


class SimulatedCephFence:
    """What one node's agent asks of Ceph while it leads. Implements env.CephFence.

    Args:
        takes: called with ``cut`` or ``restore`` before such an order has its effect; returns when its time is over.
    """

    def __init__(
        self, ceph: SimulatedCeph, reachable: Callable[[], bool], takes: Callable[[str], None] = lambda _order: None
    ) -> None:
        self.ceph = ceph
        self.reachable = reachable
        self.takes = takes

    def cut(self, addresses: Sequence[str]) -> int:
        self.takes("cut")
        self._check()
        new = [address for address in addresses if address not in self.ceph.blocklist]
        if new:
            epoch = self.ceph.commit()
            for address in new:
                self.ceph.blocklist[address] = epoch
            self.ceph.refused(new)
        self.ceph.say(f"ceph: refuses {', '.join(addresses)} since epoch {self.ceph.epoch}")
        self.ceph.changed()
        return self.ceph.epoch

    def restore(self, addresses: Sequence[str]) -> None:
        self.takes("restore")
        self._check()
        gone = [address for address in addresses if self.ceph.blocklist.pop(address, 0)]
        if gone:
            self.ceph.commit()
            self.ceph.say(f"ceph: admits {', '.join(gone)} again since epoch {self.ceph.epoch}")
            self.ceph.changed()

    def mark_down(self, node: str) -> str:
        self._check()
        return f"the OSDs of {node} are down"

    def _check(self) -> None:
        if not self.reachable() or not self.ceph.quorate():
            raise EffectFailed("Ceph's monitors do not answer")
        if self.ceph.fence_failing:
            raise EffectFailed(self.ceph.fence_failing)
