# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What threads would do some time."""

from __future__ import annotations

from collections.abc import Callable


class Later:
    """Jobs that wait until they are run by hand."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, job: Callable[[], None]) -> None:
        self.jobs.append(job)

    def take(self) -> list[Callable[[], None]]:
        jobs, self.jobs = self.jobs, []
        return jobs
