# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A few threads that carry out blocking calls, so that nothing ever waits for them in the loop.

Unlike the pool of the standard library, its threads do not keep the process from ending: a call into a library that
hangs in the kernel can never be taken back, and an agent that has been told to stop must stop all the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class ThreadEach:
    """A thread for each job: for jobs that are few, counted by whoever hands them in, and may hang."""

    def __init__(self, name: str) -> None:
        self._name = name

    def submit(self, job: Callable[[], None]) -> None:
        """Do the job at once."""
        threading.Thread(target=job, name=self._name, daemon=True).start()


class Workers:
    """Threads that take jobs in the order given."""

    def __init__(self, name: str, count: int) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for index in range(count):
            threading.Thread(target=self._work, name=f"{name}-{index}", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Do the job when a thread is free."""
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            self._jobs.get()()
