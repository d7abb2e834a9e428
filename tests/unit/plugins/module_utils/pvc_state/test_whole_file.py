# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are replaced as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvc_cli.commands.plan import _write
from pvc_state import overview_cache
from pvc_state.cursor_file import save_cursor
from pvc_state.happening import Cursor
from pvc_state.overview import Records, Revision
from pvc_state.whole_file import write_whole

WRITERS = {
    "a saved plan": lambda path: _write(str(path), "{}"),
    "a cursor": lambda path: save_cursor(path, Cursor("c")),
    "an inventory's records": lambda path: overview_cache.write(path, Records(Revision("c", 1, 1, 1), {})),
}


@pytest.mark.parametrize("what", WRITERS)
def test_a_link_that_waits_is_not_followed(tmp_path: Path, what: str) -> None:
    mine, path = tmp_path / "mine", tmp_path / "file"
    mine.write_text("precious")
    (tmp_path / ".file.new").symlink_to(mine)
    path.symlink_to(mine)
    WRITERS[what](path)
    assert mine.read_text() == "precious"
    assert isinstance(json.loads(path.read_text()), dict)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 3


def test_a_failure_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "directory", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["directory"]
