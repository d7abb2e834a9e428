# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job that can stand still in its midst, while the rest of the cluster goes on: an order that takes its time."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Strand:
    """A job on a thread of its own, which runs only while somebody waits for it: nothing happens at the same time."""

    def __init__(self, job: Callable[[], None]) -> None:
        self._job = job
        self._go, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Let it run, until it sleeps or ends; raises what it raises."""
        self._go.release()
        self._back.acquire()
        if self._error is not None:
            raise self._error

    def sleep(self) -> None:
        """Called by the job itself: stand still until it is resumed."""
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._job()
        except BaseException as err:
            self._error = err
        self._back.release()
