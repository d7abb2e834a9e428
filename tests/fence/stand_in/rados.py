# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for Ceph's library where there is no Ceph: monitors that are one file, and behave as it says.

The answers have the shape of Ceph 18's. What a real Ceph does is tried by the scenarios of molecule.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["PVC_TEST_MONITORS"])
_LOCK = threading.Lock()


class Error(Exception):
    """As the library's."""


class Rados:
    """A connection."""

    def __init__(self, conffile: str, rados_id: str, conf: dict[str, str]) -> None:
        self.told = [conffile, rados_id, conf["keyring"]]

    def connect(self) -> None:
        if json.loads(_FILE.read_text())["mode"] == "closed":
            raise Error("[errno 13] RADOS permission denied (error connecting to the cluster)")

    def mon_command(self, command: str, _input: bytes) -> tuple[int, bytes, str]:
        with _LOCK:
            state = json.loads(_FILE.read_text())
            mode = state["mode"]
            if mode == "hang":
                threading.Event().wait()
            if mode == "abort":
                os._exit(134)
            if mode in ("silent", "denied", "refusing"):
                return {"silent": -110, "denied": -13, "refusing": -22}[mode], b"", "no reason"
            asked = json.loads(command)
            state["asked"].append([*self.told, asked["prefix"]])
            answer = _carry_out(state, mode, asked)
            _FILE.write_text(json.dumps(state))
            return answer


def _carry_out(state: dict[str, Any], mode: str, asked: dict[str, Any]) -> tuple[int, bytes, str]:
    osds = state["osds"]
    match asked:
        case {"prefix": "osd blocklist", "blocklistop": "add", "addr": entry, "expire": seconds}:
            if mode != "lying":
                until = time.time() + (3600 if mode == "short" else seconds)
                state["blocklist"][entry] = time.strftime("%Y-%m-%dT%H:%M:%S.000000+0000", time.gmtime(until))
                state["epoch"] += 1
        case {"prefix": "osd blocklist", "blocklistop": "rm", "addr": entry}:
            if mode != "lying":
                del state["blocklist"][entry]
                state["epoch"] += 1
        case {"prefix": "osd dump"}:
            listed = [{"osd": number, "up": int(up)} for number, _host, up in osds]
            return (
                0,
                json.dumps({"epoch": state["epoch"], "blocklist": state["blocklist"], "osds": listed}).encode(),
                "",
            )
        case {"prefix": "osd ls-tree", "name": name}:
            found = [number for number, host, _up in osds if host == name]
            return (0, json.dumps(found).encode(), "") if found else (-2, b"", f"{name} does not exist")
        case {"prefix": "osd down", "ids": ids, "definitely_dead": True}:
            if mode != "lying":
                state["osds"] = [[number, host, up and str(number) not in ids] for number, host, up in osds]
                state["epoch"] += 1
        case _:
            return -22, b"", "unknown command"
    return 0, b"", ""
