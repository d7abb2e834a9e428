# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that is read from a guest's disk would notice every way in which two writers can meet there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parents[2] / "molecule" / "shared" / "files" / "disk_log.py"


@dataclass
class Disk:
    """A disk as guests would have written it; the writer itself is in the guest's init."""

    image: bytearray = field(default_factory=lambda: bytearray(b"pvc-log\n".ljust(2048 * 512, b"\0")))

    def last(self) -> str:
        words = bytes(self.image).replace(b"\0", b"").splitlines()[-1].decode().split()
        values = dict(word.split("=") for word in words if "=" in word)
        return f"{values.get('n', 0)}/{values.get('boot', '')}"

    def write(self, boot: str, epoch: int, places: range, at: float, after: str) -> None:
        for count, place in enumerate(places):
            text = f"pvc-write n={place} boot={boot} epoch={epoch} after={after} at={round((at + count / 10) * 100)}"
            self.image[place * 512 : place * 512 + 512] = f"{text:<511}\n".encode()

    def start(self, boot: str, epoch: int, at: float, count: int = 20, gap: int = 70) -> str:
        """A guest that finds what is there, and writes behind it; gives what it has found."""
        after = self.last()
        begin = int(after.split("/")[0]) + gap
        self.write(boot, epoch, range(begin, begin + count), at, after)
        return after

    def read(self) -> Any:
        done = subprocess.run([sys.executable, PROGRAM], input=bytes(self.image), check=True, capture_output=True)
        return json.loads(done.stdout)


@pytest.fixture
def disk() -> Disk:
    """Two starts, one after the other, as it should be."""
    disk = Disk()
    disk.start("aa", 1, at=1000.0)
    disk.start("bb", 2, at=1010.0)
    return disk


def test_one_writer_after_the_other_is_well(disk: Disk) -> None:
    result = disk.read()
    assert result["overlaps"] == []
    assert result["records"] == 40
    assert [(one["boot"], one["epoch"], one["count"]) for one in result["starts"]] == [("aa", 1, 20), ("bb", 2, 20)]
    assert result["starts"][1]["after"] == "89/aa"


def test_an_empty_log_is_well() -> None:
    assert Disk().read() == {"starts": [], "records": 0, "overlaps": []}


def test_a_pause_is_told(disk: Disk) -> None:
    disk.write("bb", 2, range(179, 181), at=1100.0, after="89/aa")
    assert disk.read()["starts"][1]["pause"] == pytest.approx(88.1)


def test_a_write_that_was_under_way_when_the_next_guest_started_is_found(disk: Disk) -> None:
    disk.write("aa", 1, range(90, 91), at=1002.0, after="0/")
    assert disk.read()["overlaps"] == ["start bb found 89/aa as the last record, but aa wrote until 90/aa"]


def test_a_writer_that_lives_on_is_found_by_the_time_too(disk: Disk) -> None:
    disk.write("aa", 1, range(90, 120), at=1012.0, after="0/")
    assert "start aa wrote for 4.9 s after bb had begun" in disk.read()["overlaps"]


def test_two_that_start_at_the_same_time_are_found() -> None:
    disk = Disk()
    disk.start("aa", 1, at=1000.0, gap=64)
    disk.write("bb", 1, range(200, 220), at=1000.0, after="0/")
    assert any("found 0/ as the last record, but aa" in text for text in disk.read()["overlaps"])


def test_two_that_write_in_the_same_place_are_found() -> None:
    disk = Disk()
    disk.start("aa", 1, at=1000.0)
    disk.write("bb", 1, range(75, 80), at=1000.0, after="0/")
    assert any("5 of its records are gone" in text for text in disk.read()["overlaps"])


def test_one_whose_records_were_all_written_over_is_found() -> None:
    disk = Disk()
    disk.write("bb", 2, range(80, 90), at=1010.0, after="79/aa")
    assert disk.read()["overlaps"] == ["start bb found record 79/aa, which is gone"]


def test_an_epoch_of_the_past_is_found(disk: Disk) -> None:
    disk.start("cc", 1, at=1020.0)
    assert disk.read()["overlaps"] == ["start cc of epoch 1 came after bb of epoch 2"]


def test_what_is_no_record_is_found(disk: Disk) -> None:
    disk.image[512 * 300 : 512 * 300 + 4] = b"else"
    disk.image[:8] = b"\0" * 8
    label, sector = disk.read()["overlaps"]
    assert label.startswith("the disk is not labelled")
    assert sector.startswith("sector 300 holds something else")
