# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper of the process that asks Ceph (a stand-in for it: any program will do), and what it makes of its words."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue

from pvc_node_agent.config import CephConfig
from pvc_node_agent.events import Event, StorageCutSeen, StorageSeen
from pvc_node_agent.storage_watch import StorageWatch

PATIENCE = 20.0
CONFIG = CephConfig(secret_uuid="c9b6a1f4-3f0a-4d57-8d8c-0e7b0f1f2a3b")


class RealClock:
    def now(self) -> float:
        return time.monotonic()


@contextmanager
def watching(program: str, silence: float = PATIENCE) -> Iterator[SimpleQueue[Event]]:
    """What is posted while this program runs again and again; all of its processes are gone in the end."""
    events: SimpleQueue[Event] = SimpleQueue()
    head = "import json, os, sys, time\ndef say(state, address='10.0.2.1', why=''):\n    print(json.dumps(vars()), flush=True)\n"
    command = (sys.executable, "-c", head + program)
    watch = StorageWatch(CONFIG, RealClock(), events.put, command, silence=silence, pause=0.01)
    stopped = threading.Event()
    thread = threading.Thread(target=watch.watch, args=(stopped,))
    thread.start()
    try:
        yield events
    finally:
        stopped.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_each_change_is_posted_once() -> None:
    program = (
        "say('ok'); say('ok'); say('slow', why='no answer'); say('cut', why='refused'); say('ok'); sys.stdin.read()"
    )
    with watching(program) as events:
        assert [events.get(timeout=PATIENCE) for _turn in range(4)] == [
            StorageSeen("10.0.2.1"),
            StorageSeen("10.0.2.1", "no answer"),
            StorageCutSeen("refused"),
            StorageSeen("10.0.2.1"),
        ]
        assert events.empty()


def test_what_is_cut_stays_cut_until_ceph_serves_it_again(tmp_path: Path) -> None:
    """Neither the end of the process nor a Ceph that does not answer is a sign of that."""
    second = tmp_path / "second"
    program = (
        f"second = {str(second)!r}\n"
        "if os.path.exists(second):\n    say('slow', why='no answer'); say('ok'); sys.stdin.read()\n"
        "open(second, 'w').close(); say('cut', why='refused')"
    )
    with watching(program) as events:
        assert events.get(timeout=PATIENCE) == StorageCutSeen("refused")
        assert events.get(timeout=PATIENCE) == StorageSeen("10.0.2.1")


def test_a_process_that_dies_is_started_again_and_told_of() -> None:
    with watching("say('ok'); sys.exit(3)") as events:
        for _turn in range(2):
            assert events.get(timeout=PATIENCE) == StorageSeen("10.0.2.1")
            died = StorageSeen("10.0.2.1", "the process that asks Ceph has ended with code 3")
            assert events.get(timeout=PATIENCE) == died


def test_a_process_that_falls_silent_is_ended() -> None:
    with watching("say('ok', address=str(os.getpid())); time.sleep(600)", silence=0.1) as events:
        first = events.get(timeout=PATIENCE)
        assert isinstance(first, StorageSeen)
        silent = events.get(timeout=PATIENCE)
        assert isinstance(silent, StorageSeen)
        assert silent.slow == "the process that asks Ceph has not said anything for 0.1 s"
        second = events.get(timeout=PATIENCE)
        assert isinstance(second, StorageSeen)
        assert second.address != first.address
        assert not Path(f"/proc/{first.address}").exists()


def test_nonsense_is_not_believed() -> None:
    with watching("print('{', flush=True); print('[]', flush=True); say('ok'); sys.stdin.read()") as events:
        assert events.get(timeout=PATIENCE) == StorageSeen("10.0.2.1")


def test_it_leaves_no_process_behind() -> None:
    with watching("say('ok', address=str(os.getpid())); time.sleep(600)") as events:
        seen = events.get(timeout=PATIENCE)
        assert isinstance(seen, StorageSeen)
        os.kill(int(seen.address), 0)
    assert not Path(f"/proc/{seen.address}").exists()
