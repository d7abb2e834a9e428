# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a node: one writer for each placement group of a pool, each with one write under way at a time.

pg_writer.py POOL    prints "ready", writes until standard input ends, and then prints {group: [[begun, done], ...]},
                     in seconds of the monotonic clock, which all nodes of the lab share
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import Any

import rados

PAUSE = 0.25


def ask(cluster: Any, **command: object) -> Any:
    status, answer, why = cluster.mon_command(json.dumps({**command, "format": "json"}), b"", timeout=30)
    if status != 0:
        sys.exit(f"Ceph refuses {command['prefix']}: {why}")
    return json.loads(answer)


def objects(cluster: Any, pool: str) -> dict[str, str]:
    """The name of an object for each placement group."""
    wanted = ask(cluster, prefix="osd pool get", pool=pool, var="pg_num")["pg_num"]
    found: dict[str, str] = {}
    number = 0
    while len(found) < wanted:
        name = f"bench-{number}"
        found.setdefault(ask(cluster, prefix="osd map", pool=pool, object=name)["pgid"], name)
        number += 1
    return found


def main(pool: str) -> None:
    cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", conf={"keyring": "/etc/ceph/ceph.client.admin.keyring"})
    cluster.connect(timeout=20)
    context = cluster.open_ioctx(pool)
    names = objects(cluster, pool)
    writes: dict[str, list[tuple[float, float]]] = {group: [] for group in names}
    ended = threading.Event()

    def write(group: str) -> None:
        while not ended.is_set():
            begun = time.monotonic()
            context.write_full(names[group], b"x" * 4096)
            writes[group].append((begun, time.monotonic()))
            ended.wait(PAUSE)

    threads = [threading.Thread(target=write, args=(group,), daemon=True) for group in names]
    for thread in threads:
        thread.start()
    while not all(writes.values()):
        time.sleep(0.05)
    print("ready", flush=True)
    sys.stdin.read()
    ended.set()
    print(json.dumps(writes), flush=True)
    for thread in threads:
        thread.join(timeout=5)
    if not any(thread.is_alive() for thread in threads):
        for name in names.values():
            context.remove_object(name)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
