# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of Ceph's libraries, in a process of its own: a JSON object on standard input, another one on the output.

``{"conf": …, "user": …, "do": "pools", "ensure" or "remove", "items": [[pool, volume, size or null], …], "barrier": …}``
is answered by ``{"result": …}`` or ``{"error": a sentence}``. Every call may be repeated: what is done already is left as
it is. With a barrier, no volume is opened before every monitor knows an osdmap of that epoch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import rados
import rbd

#: Seconds that librados waits for monitors, and for OSDs; and after which it asks whether the OSD that does not answer is dead
#: by now, which nobody tells it: after a power cut a virtual machine waits for that.
_OPTIONS = {
    "client_mount_timeout": "10",
    "rados_mon_op_timeout": "10",
    "rados_osd_op_timeout": "30",
    "objecter_timeout": "0.5",
    "objecter_tick_interval": "0.25",
}


#: Seconds that monitors get to know of an epoch, and between two questions.
_KNOWN_WITHIN = 20.0
_ASK_AGAIN = 0.1


class _Failed(Exception):
    """The text is for the VM's status."""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the request says."""
    try:
        cluster = _connect(request["conf"], request["user"])
        if request["do"] == "pools":
            cluster.wait_for_latest_osdmap()
            return {"result": cluster.list_pools()}
        _await_epoch(cluster, request["conf"], request["user"], request.get("barrier", 0))
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


def _await_epoch(cluster: Any, conf: str, user: str, epoch: int) -> None:
    """Wait until all monitors that serve clients know an osdmap as new as this one.

    Then QEMU's own client, which gets its map from any of them, knows it, too; and it names it in every request, so that
    no OSD serves it before it knows that the last owner is refused. A monitor that is out of the quorum serves nobody.
    Each is asked on a connection of its own: only an administrator may have one passed on.
    """
    deadline = time.monotonic() + _KNOWN_WITHIN
    known: set[str] = set()
    while epoch:
        quorum = set(_ask(cluster, "quorum_status")["quorum_names"])
        for monitor in _ask(cluster, "mon dump")["mons"]:
            if monitor["name"] in quorum - known and _epoch_at(monitor, conf, user) >= epoch:
                known.add(monitor["name"])
        if quorum <= known:
            return
        if time.monotonic() > deadline:
            behind = ", ".join(sorted(quorum - known))
            raise _Failed(f"Ceph's monitors on {behind} do not know osdmap epoch {epoch} yet")
        time.sleep(_ASK_AGAIN)


def _epoch_at(monitor: Any, conf: str, user: str) -> int:
    """The osdmap epoch that one monitor knows; 0 when it does not answer."""
    addresses = ",".join(f"{one['type']}:{one['addr']}" for one in monitor["public_addrs"]["addrvec"])
    options = {**_OPTIONS, "client_mount_timeout": "3", "mon_host": f"[{addresses}]"}
    cluster = rados.Rados(conffile=conf, rados_id=user, conf=options)
    try:
        cluster.connect(timeout=3)
        return int(_ask(cluster, "osd stat")["epoch"])
    except rados.Error:
        return 0
    finally:
        cluster.shutdown()


def _ask(cluster: Any, command: str) -> Any:
    code, answer, words = cluster.mon_command(json.dumps({"prefix": command, "format": "json"}), b"", timeout=5)
    if code:
        raise _Failed(f"Ceph did not answer `ceph {command}`: {words} ({code})")
    return json.loads(answer)


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
