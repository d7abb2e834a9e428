# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own scenarios: each has its story, its case, and a golden log that reads as an account of what happened.

``pytest tests/agent/test_scenarios.py --update`` writes the logs anew: read what has changed before it is committed.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
from pathlib import Path

import pytest

from pvc_node_agent.sim.play import Play
from pvc_node_agent.sim.reading import parse
from pvc_node_agent.sim.result import result
from tests.agent.test_cases import given

FOLDER = Path(__file__).resolve().parents[1] / "scenarios"
SCENARIOS = sorted(path.parent.name for path in FOLDER.glob("*/case.json"))


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 10


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str, request: pytest.FixtureRequest) -> None:
    folder = FOLDER / name
    case = json.loads((folder / "case.json").read_text())
    story = (folder / "story.md").read_text()
    assert story.count(". ") + story.rstrip().endswith(".") == 3, "a story has three sentences"
    play = Play(parse(case))
    play.run()
    found = result(play)
    judge = importlib.util.spec_from_file_location("check", given() / "check.py")
    assert judge is not None
    assert judge.loader is not None
    module = importlib.util.module_from_spec(judge)
    judge.loader.exec_module(module)
    assert module.judge(case, json.loads(json.dumps(found))) == []
    log = "\n".join(play.story) + "\n"
    golden = folder / "golden.log"
    if request.config.getoption("--update"):
        golden.write_text(log)
    told = golden.read_text() if golden.exists() else ""
    assert log == told, "\n".join(
        difflib.unified_diff(told.splitlines(), log.splitlines(), "golden", "now", lineterm="")
    )
