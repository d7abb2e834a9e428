# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One call of Ceph's libraries, in a process of its own: a JSON object on standard input, another one on the output.

``{"conf": …, "user": …, "do": …, "items": …, "barrier": …}`` on one line is answered by ``{"result": …}`` or
``{"error": a sentence}``. What can be done, with its items:

- ``pools``: none.
- ``ensure``: ``[pool, volume, size or null, source]`` for each volume.
- ``remove``: ``[pool, volume]`` for each.
- ``arrange``: ``[pool, volume]`` for each, and ``snapshots``: name, identity and volumes of each; it asks for the guest to be held,
  see ceph_snapshots.
- ``roll_back``: ``[pool, volume, size or null]`` for each, with ``snapshot`` (name and identity), ``owner`` and ``mark``.

Every call may be repeated: what is done already is left as it is. With a barrier, no volume is opened before every monitor
knows an osdmap of that epoch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import rados
import rbd

from . import ceph_snapshots, ceph_volumes
from .ceph_volumes import Failed

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


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what the request says."""
    try:
        cluster = _connect(request["conf"], request["user"])
        if request["do"] == "pools":
            cluster.wait_for_latest_osdmap()
            return {"result": cluster.list_pools()}
        _await_epoch(cluster, request["conf"], request["user"], request.get("barrier", 0))
        _do(cluster, request)
    except Failed as err:
        return {"error": str(err)}
    except (rados.Error, rbd.Error) as err:
        return {"error": f"Ceph failed: {err}"}
    return {"result": None}


def _do(cluster: Any, request: dict[str, Any]) -> None:
    items = request["items"]
    match request["do"]:
        case "ensure":
            for item in items:
                ceph_volumes.ensure(cluster, *item)
        case "remove":
            for item in items:
                ceph_volumes.remove(cluster, *item)
        case "arrange":
            ceph_snapshots.arrange(cluster, items, request["snapshots"], _agree)
        case "roll_back":
            ceph_snapshots.roll_back(cluster, items, request["snapshot"], request["owner"], request["mark"])


def _agree(word: str) -> None:
    """Say how far it is, and go on when the agent has answered; it ends this process when it wants no more of it."""
    json.dump({"at": word}, sys.stdout)
    sys.stdout.write("\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        raise Failed(f"the agent has not answered to {word}")


def _connect(conf: str, user: str) -> Any:
    try:
        cluster = rados.Rados(conffile=conf, rados_id=user, conf=_OPTIONS)
        cluster.connect(timeout=10)
    except rados.Error as err:
        raise Failed(f"Ceph does not let user {user} in, or does not answer: {err}") from err
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
            raise Failed(f"Ceph's monitors on {behind} do not know osdmap epoch {epoch} yet")
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
        raise Failed(f"Ceph did not answer `ceph {command}`: {words} ({code})")
    return json.loads(answer)


def main() -> None:
    """Answer one request, and end without Ceph's own goodbye, which waits for a cluster that does not answer."""
    json.dump(answer(json.loads(sys.stdin.readline())), sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
