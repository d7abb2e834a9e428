# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes of VMs: RBD images, by librbd.

Every call has a deadline of librados' own, so that a thread comes back even while Ceph is out of reach.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pvc_state.records import Disk

from .config import CephConfig
from .env import EffectFailed

#: Seconds that librados waits for monitors and for OSDs.
_MON_TIMEOUT = 10
_OSD_TIMEOUT = 30


class RbdStorage:
    """One connection to the cluster, opened when it is first needed and again after it broke."""

    def __init__(self, config: CephConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._cluster: Any = None

    def ensure(self, disk: Disk) -> None:
        import rbd

        with self._pool(disk.pool) as pool:
            try:
                with rbd.Image(pool, disk.volume, read_only=True):
                    return
            except rbd.ImageNotFound:
                if disk.size is None:
                    raise EffectFailed(
                        f"volume {disk.pool}/{disk.volume} does not exist: create it, or give the disk a size"
                    ) from None
            try:
                rbd.RBD().create(pool, disk.volume, disk.size, old_format=False)
            except rbd.ImageExists:
                return

    def remove(self, disk: Disk) -> None:
        import rbd

        with self._pool(disk.pool) as pool:
            name = f"{disk.pool}/{disk.volume}"
            try:
                rbd.RBD().remove(pool, disk.volume)
            except rbd.ImageNotFound:
                return
            except rbd.ImageHasSnapshots:
                raise EffectFailed(f"volume {name} has snapshots: remove them first") from None
            except rbd.ImageBusy:
                raise EffectFailed(f"volume {name} is in use elsewhere: close it there first") from None

    def pools(self) -> tuple[str, ...]:
        """Pools that exist. Raises EffectFailed."""
        import rados

        try:
            cluster = self._connected()
            cluster.wait_for_latest_osdmap()
            return tuple(sorted(cluster.list_pools()))
        except rados.Error as err:
            self._drop()
            raise EffectFailed(f"Ceph does not answer: {err}") from err

    @contextmanager
    def _pool(self, name: str) -> Iterator[Any]:
        import rados

        try:
            with self._connected().open_ioctx(name) as pool:
                yield pool
        except rados.ObjectNotFound:
            raise EffectFailed(f"pool {name} does not exist: create it, or name another") from None
        except (rados.Error, OSError) as err:
            # librbd's errors are kinds of OSError, librados' are not
            raise EffectFailed(f"Ceph failed on pool {name}: {err}") from err

    def _connected(self) -> Any:
        import rados

        with self._lock:
            if self._cluster is None:
                options = {
                    "rados_mon_op_timeout": str(_MON_TIMEOUT),
                    "rados_osd_op_timeout": str(_OSD_TIMEOUT),
                    "client_mount_timeout": str(_MON_TIMEOUT),
                }
                cluster = rados.Rados(conffile=self._config.conf, rados_id=self._config.user, conf=options)
                cluster.connect(timeout=_MON_TIMEOUT)
                self._cluster = cluster
            return self._cluster

    def _drop(self) -> None:
        """Open a new connection for the next call. The old one is left to its users; it is closed with the last."""
        with self._lock:
            self._cluster = None
