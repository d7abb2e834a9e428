# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ceph: what the daemons of this node answer on their admin sockets, which costs nothing beside a client of its own.

The monitor that leads also counts for the whole cluster: monitors, OSDs, placement groups.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pvc_state.records import Service

from .ask import NoAnswer, ask
from .lookout import seen

#: Which daemons are to run here: those whose units are enabled.
UNITS = Path("/etc/systemd/system")
SOCKETS = Path("/run/ceph")


def look(units: Path = UNITS, sockets: Path = SOCKETS) -> Iterator[Service]:
    """Each daemon of this node, and the cluster where its monitor leads."""
    daemons = sorted(_daemons(units))
    if not daemons:
        raise NoAnswer(f"no unit of a monitor, manager or OSD is enabled on this node (below {units})")
    for daemon in daemons:
        kind = daemon.partition(".")[0]
        yield from seen("ceph", daemon, partial(_LOOKS[kind], daemon, sockets / f"ceph-{daemon}.asok"))


def _daemons(units: Path) -> Iterator[str]:
    """Such as ``osd.0``."""
    for kind in ("mon", "mgr", "osd"):
        for unit in (units / f"ceph-{kind}.target.wants").glob(f"ceph-{kind}@*.service"):
            yield f"{kind}.{unit.stem.partition('@')[2]}"


def command(socket: Path, prefix: str, **more: str) -> dict[str, Any] | None:
    """The answer of a daemon, None when it does not know the command. Raises NoAnswer."""
    request = json.dumps({"prefix": prefix, **more}).encode() + b"\0"
    answer = ask(str(socket), request, lambda part: len(part) >= 4 and len(part) >= 4 + int.from_bytes(part[:4], "big"))
    try:
        parsed = json.loads(answer[4:])
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _mon(name: str, socket: Path) -> Iterator[Service]:
    status = command(socket, "mon_status")
    if status is None:
        raise NoAnswer("it does not tell its state yet: it may be starting")
    yield read_mon(name, status)
    if status["state"] == "leader":
        yield read_cluster(status, (command(socket, "perf dump", logger="cluster") or {})["cluster"])


def _mgr(name: str, socket: Path) -> Iterator[Service]:
    # only the active one knows this command
    status = command(socket, "mgr_status")
    yield Service("ceph", name, "running", role="standby" if status is None else "active")


def _osd(name: str, socket: Path) -> Iterator[Service]:
    status = command(socket, "status")
    if status is None:
        raise NoAnswer("it does not tell its state yet: it may be starting")
    yield read_osd(name, status)


_LOOKS = {"mon": _mon, "mgr": _mgr, "osd": _osd}


def read_mon(name: str, status: dict[str, Any]) -> Service:
    """A monitor, from its answer to mon_status."""
    state = str(status["state"])
    if state in ("leader", "peon"):
        return Service("ceph", name, "in quorum", role=state)
    return Service("ceph", name, state, healthy=False, why=f"it is not in the monitors' quorum ({state})")


def read_osd(name: str, status: dict[str, Any]) -> Service:
    """An OSD, from its answer to status."""
    state = str(status["state"])
    if state == "active":
        return Service("ceph", name, "up")
    return Service("ceph", name, state, healthy=False, why=f"it runs, but the cluster does not use it ({state})")


def read_cluster(status: dict[str, Any], counted: dict[str, int]) -> Service:
    """The cluster, from what the leading monitor answers to mon_status and has counted."""
    quorum = set(status["quorum"])
    outside = sorted(str(mon["name"]) for mon in status["monmap"]["mons"] if mon["rank"] not in quorum)
    down = counted["num_osd"] - counted["num_osd_up"]
    unclean = counted["num_pg"] - counted["num_pg_active_clean"]
    lost = counted["num_object_unfound"]
    reasons = [
        f"out of the monitors' quorum: {', '.join(outside)}" if outside else "",
        f"{down} of {counted['num_osd']} OSDs are down" if down else "",
        f"{unclean} of {counted['num_pg']} placement groups are not active and clean" if unclean else "",
        f"{lost} objects are not found on any OSD that is up" if lost else "",
    ]
    why = "; ".join(reason for reason in reasons if reason)
    return Service(
        "ceph",
        "cluster",
        "degraded" if why else "clean",
        healthy=not why,
        why=why,
        details={
            "monitors": str(len(status["monmap"]["mons"])),
            "monitors_in_quorum": str(len(quorum)),
            "osds": str(counted["num_osd"]),
            "osds_up": str(counted["num_osd_up"]),
            "osds_in": str(counted["num_osd_in"]),
            "pgs": str(counted["num_pg"]),
            "pgs_active_clean": str(counted["num_pg_active_clean"]),
            "objects_unfound": str(lost),
        },
    )
