# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a domain ended, from libvirt's log of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvc_node_agent.libvirt_log import has_left, left

BEGAN = b"2026-01-01 01:47:05.811+0000: starting up libvirt version: 11.3.0, qemu version: 10.0\n"
MOVED = b"2026-01-01 01:47:38.450+0000: shutting down, reason=migrated\nqemu-system-x86_64: terminating on signal 15\n"
FAILED = b"2026-01-01 01:46:36.893+0000: shutting down, reason=failed\n"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (b"", False),
        (BEGAN, False),
        (BEGAN + MOVED, True),
        (MOVED, True),
        (BEGAN + FAILED, False),
        (BEGAN + MOVED + BEGAN, False),
        (BEGAN + MOVED + BEGAN + FAILED, False),
        (BEGAN + FAILED + BEGAN + MOVED, True),
        (BEGAN + MOVED.replace(b"migrated", b"migrated away by hand"), False),
    ],
)
def test_whether_the_last_one_left(log: bytes, expected: bool) -> None:
    assert has_left(log) == expected


def test_all_logs_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "web1.log").write_bytes(BEGAN + MOVED)
    (tmp_path / "web2.log").write_bytes(BEGAN + FAILED)
    (tmp_path / "web3.log").write_bytes(BEGAN + b"x" * 100_000 + b"\n" + MOVED)
    (tmp_path / "web1-console.log").write_bytes(b"hello")
    (tmp_path / "web4.log").symlink_to(tmp_path / "gone")
    assert left(tmp_path) == {"web1", "web3"}
    assert left(tmp_path / "nowhere") == frozenset()
