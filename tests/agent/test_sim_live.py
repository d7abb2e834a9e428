# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a death that has not happened is what happens when it does; and many VMs are recovered soon."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvc_node_agent.sim import __main__ as command
from pvc_node_agent.sim import live
from pvc_node_agent.sim.stage import Stage
from pvc_state.errors import InvalidRequest
from pvc_state.records import Rule
from pvc_state.snapshot import Snapshot, load

RULES = (Rule("apart", ("vm1", "vm2"), strict=True), Rule("node_preference", ("vm3",), {"node3": 0}, strict=True))


def stage() -> Stage:
    made = Stage(3, vms=9, rules=RULES)
    made.advance(10.0)
    made.want("vm6", "disabled")
    made.advance(10.0)
    return made


def test_it_happens_as_it_was_said() -> None:
    made = stage()
    (said,) = live.reports(load(made.user), ["node3"])
    made["node3"].power_cut()
    made.advance(60.0)
    done = [(one["service"], one["to"]) for one in made.timeline if one["ev"] == "recover"]
    assert done == [(move.vm, move.to) for move in said.moves]
    assert [vm for vm, _why in said.waiting] == ["vm3"]
    assert [vm for vm, _why in said.staying] == ["vm6"]


def test_an_unknown_node_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="node node9"):
        live.reports(load(stage().user), ["node9"])


def test_the_command_prints_words_and_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = load(stage().user)

    def snapshot(_path: Path) -> Snapshot:
        return found

    monkeypatch.setattr(live, "snapshot", snapshot)
    assert command.main(["--live", "--node", "node3"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("If node3 died now, 1 of 2 VMs would run elsewhere. Waiting: vm3 (")
    assert "    1. vm9 -> node" in told
    assert "vm6 stays: it is disabled" in told
    assert command.main(["--live", "--json"]) == 0
    assert [one["node"] for one in json.loads(capsys.readouterr().out)] == ["node1", "node2", "node3"]
    assert command.main(["--live", "--node", "node9"]) != 0
    assert "node node9" in capsys.readouterr().err


def test_the_command_wants_a_case_or_the_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([])
    assert "give either a case or --live" in capsys.readouterr().err


def test_a_wrong_case_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "case.json"
    path.write_text("{}")
    assert command.main([str(path)]) != 0
    assert capsys.readouterr().err == f"{path}: nodes is no object\n"


def test_two_hundred_vms_are_claimed_within_two_seconds_of_the_proof() -> None:
    """Of the virtual clock, where every write of the leader takes 50 ms."""
    made = Stage(5, vms=200, on=("node5",), write_seconds=0.05, memory=1 << 20)
    made.advance(10.0)
    made["node5"].power_cut()
    made.advance(60.0)
    proven = next(one["t"] for one in made.timeline if one["ev"] == "fence_confirmed")
    claimed = [one["t"] for one in made.timeline if one["ev"] == "recover"]
    assert len(claimed) == 200
    assert max(claimed) - proven <= 2.0
    assert all(made.starts[vm] == 2 for vm in made.vms)
    per_node = [len(made[node].running) for node in ("node1", "node2", "node3", "node4")]
    assert per_node == [50, 50, 50, 50]
