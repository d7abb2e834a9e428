# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""pvc events: what has happened, and what happens from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvc_state.follow import Follower
from tests.cli.conftest import Pvc
from tests.unit.plugins.module_utils.pvc_state.builders import request


def test_what_has_happened(pvc: Pvc) -> None:
    lines = pvc.ok("events").splitlines()
    assert [line[22:] for line in lines] == [
        "commit     Somebody has changed vm web1, vm web2.",
        "commit     Somebody has changed vm db1.",
    ]
    found = pvc.json("events")["events"]
    assert [(one["type"], one["details"]["revision"], one["cluster"]) for one in found] == [
        ("commit", 1, "lab"),
        ("commit", 2, "lab"),
    ]
    assert pvc.json("events", "--since", str(found[0]["zxid"]))["events"] == found[1:]
    assert pvc.json("events", "--type", "fenced") == {"events": []}


def test_a_state_file_goes_on_where_it_ended(pvc: Pvc, tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    assert len(pvc.json("events", "--state-file", state)["events"]) == 2
    assert pvc.json("events", "--state-file", state) == {"events": []}
    pvc.cluster.apply(request("web3"))
    (event,) = pvc.json("events", "--state-file", state)["events"]
    assert event["details"]["revision"] == 3
    Path(state).write_text("{}", encoding="utf-8")
    assert "it holds no cursor of events" in pvc.fails("events", "--state-file", state, code=3)


def test_what_happens_is_told_at_once(pvc: Pvc, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each form; Ctrl-C ends it. What has happened before is not told."""
    read = Follower.read

    for form, begin in (("json", '{"id": "commit:'), ("yaml", "---\nid: commit:"), ("table", "20")):
        turns: list[str] = []

        def reading(follower: Follower, *, wait: bool = True, turns: list[str] = turns) -> Any:  # pylint: disable=dangerous-default-value
            assert wait
            turns.append("")
            if len(turns) == 2:
                pvc.cluster.apply(request(f"new{pvc.cluster.snapshot.journal}", memory=16))
            if len(turns) == 3:
                raise KeyboardInterrupt
            return read(follower)

        monkeypatch.setattr(Follower, "read", reading)
        result = pvc("-o", form, "events", "--follow")
        assert result.exit_code == 130
        assert result.stdout.startswith(begin), result.stdout
        assert "Somebody has changed vm new" in result.stdout
        assert "web1" not in result.stdout
