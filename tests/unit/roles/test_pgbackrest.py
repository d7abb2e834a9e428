# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backup a restore begins with, and whether the place of the backups is reached."""

from __future__ import annotations

import socket
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.roles.scripts import script

choose = script("pgbackrest", "choose")
probe = script("pgbackrest", "probe")


def info(*ends: str, error: bool = False) -> list[dict[str, Any]]:
    """What pgBackRest tells of backups that ended then."""
    backups = [
        {"label": end, "error": error, "timestamp": {"stop": int(datetime.fromisoformat(end).timestamp())}}
        for end in ends
    ]
    return [{"name": "pvc", "backup": backups}]


MONDAY, TUESDAY = "2026-11-23T02:00:00+00:00", "2026-11-24T02:00:00+00:00"


@pytest.mark.parametrize(
    ("target", "chosen"),
    [
        ("2026-11-24 12:00:00+00", TUESDAY),
        ("2026-11-24 02:00:00+00", TUESDAY),
        ("2026-11-24 01:59:59+00", MONDAY),
        # the same moment, told in another zone
        ("2026-11-24 02:59:59+01", MONDAY),
        ("2026-11-24 12:00:00.123456+00", TUESDAY),
        ("latest", TUESDAY),
    ],
)
def test_the_last_backup_before_the_target_is_chosen(target: str, chosen: str) -> None:
    assert choose.choose(target, info(MONDAY, TUESDAY)) == {"set": chosen, "problem": ""}


@pytest.mark.parametrize(
    ("target", "stanzas", "problem"),
    [
        ("2026-11-22 12:00:00+00", info(MONDAY), "the first backup ended at 2026-11-23 02:00:00+00, after"),
        ("2026-11-24 12:00:00", info(MONDAY), "no time with a zone"),
        ("yesterday", info(MONDAY), "no time with a zone"),
        ("", info(MONDAY), "no time with a zone"),
        ("latest", [], "there are no backups"),
        ("latest", info(), "there are no backups"),
        ("latest", info(MONDAY, error=True), "there are no backups"),
        ((datetime.now(UTC) + timedelta(hours=1)).isoformat(" "), info(MONDAY), "is yet to come"),
    ],
)
def test_a_target_that_cannot_be_reached_is_refused(target: str, stanzas: list[dict[str, Any]], problem: str) -> None:
    refused = choose.choose(target, stanzas)
    assert refused["set"] == ""
    assert problem in refused["problem"]


def test_a_server_that_is_there_is_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert probe.reach("127.0.0.1", server.getsockname()[1], 5, False) == ""


def test_a_server_that_refuses_is_there_where_it_is_yet_to_be_deployed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert probe.reach("127.0.0.1", port, 5, True) == ""
    assert probe.reach("127.0.0.1", port, 5, False) == f"127.0.0.1 refuses connections to port {port}"


def test_a_name_that_nobody_knows_is_told() -> None:
    assert probe.reach("backup.invalid", 443, 5, True) == "the name backup.invalid is not known here"


def test_a_directory_of_the_machine_itself_is_not_shared() -> None:
    assert "root file system" in probe.shared("/etc")
    assert "mount the file system" in probe.shared("/nowhere/at/all")


def test_a_mounted_directory_may_be_shared() -> None:
    assert Path("/proc").is_mount()
    assert probe.shared("/proc") == ""


def test_the_database_cluster_of_a_machine_is_known_by_its_data(tmp_path: Path) -> None:
    assert probe.system_identifier(str(tmp_path)) == ""
    (tmp_path / "global").mkdir()
    (tmp_path / "global" / "pg_control").write_bytes(struct.pack("<Q", 7712176750012451119) + bytes(100))
    assert probe.system_identifier(str(tmp_path)) == "7712176750012451119"
