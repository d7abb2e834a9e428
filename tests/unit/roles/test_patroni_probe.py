# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose data a directory holds, and what has changed since a start."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from pathlib import Path

from tests.unit.roles.scripts import script

probe = script("patroni", "probe")


def test_a_data_directory_tells_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(struct.pack("<QI", 7712176750012451119, 1700) + bytes(100))
    assert probe.system_identifier(str(tmp_path)) == "7712176750012451119"


def test_what_is_no_data_directory_is_nobodys(tmp_path: Path) -> None:
    assert probe.system_identifier(str(tmp_path)) == ""
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(b"short")
    assert probe.system_identifier(str(tmp_path)) == ""
    assert probe.holds_files(str(tmp_path))
    assert not probe.holds_files(str(tmp_path / "nowhere"))


def test_a_file_that_changed_since_the_start_is_named(tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    for path in (same, other):
        path.write_text("as it was")
    recorded = tmp_path / "recorded"
    checksum = hashlib.sha256(b"as it was").hexdigest()
    recorded.write_text(f"{checksum}  {same}\n{checksum}  {other}\n")
    assert probe.changed_inputs(str(recorded)) == []
    other.write_text("as it is")
    assert probe.changed_inputs(str(recorded)) == [str(other)]


def test_a_start_that_recorded_nothing_counts_as_changed(tmp_path: Path) -> None:
    assert probe.changed_inputs(str(tmp_path / "none")) == ["not recorded"]


def test_a_program_that_an_upgrade_replaced_is_named(tmp_path: Path) -> None:
    program = tmp_path / "postgres"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"]) as process:
        try:
            (tmp_path / "postmaster.pid").write_text(f"{process.pid}\n{tmp_path}\n")
            assert probe.replaced(str(tmp_path)) == []
            program.unlink()
            assert probe.replaced(str(tmp_path)) == [f"{program} (deleted)"]
        finally:
            process.kill()


def test_a_postgresql_that_does_not_run_was_not_replaced(tmp_path: Path) -> None:
    assert probe.replaced(str(tmp_path)) == []
    (tmp_path / "postmaster.pid").write_text("no number\n")
    assert probe.replaced(str(tmp_path)) == []
