# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of Ceph's libraries, in a process of its own: a JSON object on standard input, another one on the output.

``{"conf": …, "user": …, "do": "pools", "ensure" or "remove", "items": [[pool, volume, size or null], …]}`` is answered
by ``{"result": …}`` or ``{"error": a sentence}``. Every call may be repeated: what is done already is left as it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rados
import rbd

#: Seconds that librados waits for monitors, and for OSDs.
_OPTIONS = {"client_mount_timeout": "10", "rados_mon_op_timeout": "10", "rados_osd_op_timeout": "30"}


class _Failed(Exception):
    """The text is for the VM's status."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the request says."""
    try:
        cluster = _connect(request["conf"], request["user"])
        if request["do"] == "pools":
            cluster.wait_for_latest_osdmap()
            return {"result": cluster.list_pools()}
        for item in request["items"]:
            if request["do"] == "ensure":
                _ensure(cluster, *item)
            else:
                _remove(cluster, *item)
    except _Failed as err:
        return {"error": str(err)}
    except (rados.Error, rbd.Error) as err:
        return {"error": f"Ceph failed: {err}"}
    return {"result": None}


def _connect(conf: str, user: str) -> Any:
    try:
        cluster = rados.Rados(conffile=conf, rados_id=user, conf=_OPTIONS)
        cluster.connect(timeout=10)
    except rados.Error as err:
        raise _Failed(f"Ceph does not let user {user} in, or does not answer: {err}") from err
    return cluster


def _ensure(cluster: Any, pool: str, volume: str, size: int | None) -> None:
    with _pool(cluster, pool) as context:
        try:
            with rbd.Image(context, volume, read_only=True):
                return
        except rbd.ImageNotFound:
            if size is None:
                raise _Failed(f"volume {pool}/{volume} does not exist: create it, or give the disk a size") from None
        try:
            rbd.RBD().create(context, volume, size, old_format=False)
        except rbd.ImageExists:
            return


def _remove(cluster: Any, pool: str, volume: str) -> None:
    with _pool(cluster, pool) as context:
        try:
            rbd.RBD().remove(context, volume)
        except rbd.ImageNotFound:
            return
        except rbd.ImageHasSnapshots:
            raise _Failed(f"volume {pool}/{volume} has snapshots: remove them first") from None
        except rbd.ImageBusy:
            raise _Failed(f"volume {pool}/{volume} is in use elsewhere: close it there first") from None


@contextmanager
def _pool(cluster: Any, name: str) -> Iterator[Any]:
    try:
        context = cluster.open_ioctx(name)
    except rados.ObjectNotFound:
        raise _Failed(f"pool {name} does not exist: create it, or name another") from None
    with context:
        yield context


def main() -> None:
    """Answer one request, and end without Ceph's own goodbye, which waits for a cluster that does not answer."""
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
