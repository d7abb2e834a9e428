# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the log that the lab's guest keeps on its second disk, and tells whether two starts of it ever wrote at the same time.

    disk_log.py <IMAGE       prints {"starts": [...], "records": N, "overlaps": [sentences]}

Each record fills a sector and names its own place, the start of the guest that wrote it, the epoch of the claim under which
that was started, the last record that was on the disk when it started, and the time. A start begins some way behind what it
found, so that whatever is written later by a guest from before stays visible there. Guests of the lab share one clock; each
reads it at its start to the second.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass
from itertools import pairwise

SECTOR = 512
LABEL = b"pvc-log\n"
RECORD = re.compile(
    rb"pvc-write n=(?P<n>\d+) boot=(?P<boot>[0-9a-f]+) epoch=(?P<epoch>\d+) after=(?P<after>\d+/[0-9a-f]*) at=(?P<at>\d+) *\n"
)
#: Seconds by which the clocks of two guests may differ.
CLOCK = 1.5


@dataclass(frozen=True)
class Start:
    """What one start of the guest has written.

    Attributes:
        boot: random id. epoch: of the claim that it was started under.
        after: the last record that it found: place/boot.
        first, last: places of its own records. count: how many there are.
        began, ended: times of the first and the last one, in seconds since 1970.
        pause: the longest time between two of them, in seconds.
    """

    boot: str
    epoch: int
    after: str
    first: int
    last: int
    count: int
    began: float
    ended: float
    pause: float


def read(image: bytes) -> tuple[list[Start], list[str]]:
    """All starts in the order in which they began on the disk, and what is wrong with single sectors."""
    wrong: list[str] = []
    if not image.startswith(LABEL):
        wrong.append("the disk is not labelled as one that holds a log")
    found: dict[str, list[tuple[int, int, str, float]]] = {}
    for offset in range(SECTOR, len(image) - SECTOR + 1, SECTOR):
        sector, place = image[offset : offset + SECTOR], offset // SECTOR
        if not sector.strip(b"\0"):
            continue
        match = RECORD.fullmatch(sector)
        if match is None or int(match["n"]) != place:
            wrong.append(f"sector {place} holds something else than its record: {sector[:60]!r}")
            continue
        record = (place, int(match["epoch"]), match["after"].decode(), int(match["at"]) / 100)
        found.setdefault(match["boot"].decode(), []).append(record)
    return sorted((start(boot, records) for boot, records in found.items()), key=lambda one: one.first), wrong


def start(boot: str, records: list[tuple[int, int, str, float]]) -> Start:
    """One start from its records, which are in the order of their places."""
    places, epochs, afters, times = zip(*records, strict=True)
    pause = max((after - before for before, after in pairwise(times)), default=0.0)
    first, last = places[0], places[-1]
    return Start(boot, epochs[0], afters[0], first, last, len(places), times[0], times[-1], round(pause, 2))


def overlaps(starts: list[Start]) -> list[str]:
    """What two writers at the same time, or one of the past, would leave behind; empty for a disk that had one at a time."""
    found = []
    for one in starts:
        if one.count != one.last - one.first + 1:
            missing = one.last - one.first + 1 - one.count
            found.append(f"start {one.boot}: {missing} of its records are gone: another one wrote over them")
    if starts and starts[0].after != "0/":
        found.append(f"start {starts[0].boot} found record {starts[0].after}, which is gone")
    for before, after in pairwise(starts):
        last = f"{before.last}/{before.boot}"
        if after.after != last:
            found.append(
                f"start {after.boot} found {after.after} as the last record, but {before.boot} wrote until {last}"
            )
        if before.ended > after.began + CLOCK:
            seconds = before.ended - after.began
            found.append(f"start {before.boot} wrote for {seconds:.1f} s after {after.boot} had begun")
        if before.epoch > after.epoch:
            found.append(f"start {after.boot} of epoch {after.epoch} came after {before.boot} of epoch {before.epoch}")
    return found


def main() -> None:
    starts, wrong = read(sys.stdin.buffer.read())
    result = {
        "starts": [asdict(one) for one in starts],
        "records": sum(one.count for one in starts),
        "overlaps": wrong + overlaps(starts),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
