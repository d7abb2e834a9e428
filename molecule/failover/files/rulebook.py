# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs rulebooks of the collection that post to a web server on loopback, and measures how soon after the event they do.

rulebook.py DIRECTORY    the modules' connection options come as JSON on standard input

It makes the file ``ready`` in the directory once all of them listen, and ends when the death of a node and its recovery were posted.
Prints JSON: for each rulebook what was posted, and how many seconds after the fence's znode was seen to be there.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "plugins" / "module_utils"))

from pvc_state import kazoo_store, paths
from pvc_state.connection import Connection
from tests.eda.listener import Listener
from tests.eda.rulebook import EDA, Rulebook

#: Seconds for a power cut, all that follows from it, and whatever was to be done before.
PATIENCE = 900.0


class Watcher:
    """Notes when the first fence appears: what the event source is compared with."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._store = kazoo_store.connect(
            Connection(**{"username": "pvc", **options, "hosts": tuple(options["hosts"]), "patience": 60.0})
        )
        self._fired = threading.Event()
        self._at = 0.0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while True:
            self._fired.clear()
            if self._store.children(paths.FENCES, lambda _path: self._fired.set()):
                self._at = time.monotonic()
                return
            self._fired.wait()

    @property
    def at(self) -> float:
        return self._at


def main() -> None:
    directory = Path(sys.argv[1])
    options = json.load(sys.stdin)
    environment = {
        f"PVC_{name.upper()}": ",".join(value) if isinstance(value, list) else str(value)
        for name, value in options.items()
    }
    variables = {"PVC_STATE": str(directory), "PVC_JOB_TEMPLATE": "Node report", "PVC_ORGANIZATION": "Default"}
    listeners = {name: Listener() for name in ("awx", "nodes")}
    arguments = {
        "awx": ("--controller-url", listeners["awx"].url, "--controller-token", "none"),
        "nodes": ("--inventory", str(EDA / "inventory.yml")),
    }
    with ExitStack() as stack:
        for name, listener in listeners.items():
            log = directory / f"{name}.log"
            rulebook = Rulebook(f"pvc.cluster.{name}", log, environment, {**variables, "PVC_WEBHOOK": listener.url})
            stack.enter_context(rulebook.start(*arguments[name]))
            rulebook.await_file(directory / f"{name}.json")
        watcher = Watcher(options)
        (directory / "ready").touch()
        for listener in listeners.values():
            listener.await_posts(2, PATIENCE)
    print(json.dumps({name: told(listener, watcher.at) for name, listener in listeners.items()}))


def told(listener: Listener, since: float) -> list[dict[str, Any]]:
    """What was posted, as the web hook is told it."""
    found = []
    for at, body in zip(listener.times, listener.posted, strict=True):
        event = body["extra_vars"]["ansible_eda"]["event"] if "extra_vars" in body else body
        found.append({**{key: event[key] for key in ("id", "type", "node")}, "after": round(at - since, 3)})
    return found


if __name__ == "__main__":
    main()
