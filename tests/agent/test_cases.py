# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases: the given ones of the folder ``shared`` beside the checkout, and what a case may say at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pvc_node_agent.sim.case import BadCase, parse
from pvc_node_agent.sim.play import Play
from pvc_node_agent.sim.result import result

ROOT = Path(__file__).resolve().parents[2]


def given() -> Path:
    """The folder of the given cases. It lies in a folder ``shared`` beside the checkout, or beside that of a worktree."""
    places = [parent / "shared" / "cases" / "ha" for parent in ROOT.parents]
    common = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if common.returncode == 0:
        places += [parent / "shared" / "cases" / "ha" for parent in Path(common.stdout.strip()).parents]
    found = [place for place in places if (place / "cases.json").exists()]
    assert found, f"there is no shared/cases/ha/cases.json beside {ROOT}: the given cases cannot be judged"
    return found[0]


def test_the_given_cases_pass() -> None:
    folder = given()
    program = f"{sys.executable} -m pvc_node_agent.sim"
    done = subprocess.run(
        [sys.executable, folder / "check.py", "--run", program, folder / "cases.json"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins/module_utils'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith(" 0 failed")


# --- what a case may say ----------------------------------------------------------------------------------------------

NODES = {f"node{number}": {"power": "off", "network": "off"} for number in (1, 2, 3)}
ON = [{"t": 20, "op": "node_power_on", "node": node} for node in NODES]


def case(*events: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A small case; by default one VM on node3."""
    services = {"vm1": {"kind": "vm", "node": "node3", "wanted": "started"}}
    return {"name": "own", "nodes": NODES, "services": services, "events": [*ON, *events], **parts}


def play(*events: dict[str, Any], **parts: Any) -> dict[str, Any]:
    played = Play(parse(case(*events, **parts)))
    played.run()
    return result(played)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (case({"t": 1, "op": "node_explode", "node": "node1"}), "event 4 (node_explode): there is no such operation"),
        (case({"t": 1, "op": "ha_suspend"}), "suspending HA as a whole is not supported"),
        (case({"t": 1, "op": "node_power_cut", "node": "node9"}), "node 'node9' is not right; there are: node1"),
        (case({"t": 1, "op": "node_power_cut"}), "node is missing"),
        (case({"t": 1, "op": "node_power_cut", "node": "node1", "how": "hard"}), "how is not known"),
        (case({"t": "soon", "op": "node_power_cut", "node": "node1"}), "t is no time"),
        (case({"t": 1, "op": "set_wanted_state", "service": "vm1", "state": "happy"}), "state 'happy' is not right"),
        (case(policy={"placement": "measured_load"}), "policy placement measured_load is not supported"),
        (case(policy={"placement": "coin_toss"}), "placement 'coin_toss' is not right"),
        (case(policy={"shutdown_policy": "panic"}), "shutdown_policy 'panic' is not right"),
        (case(policy={"colour": "red"}), "policy: colour is not known"),
        (case(rules=[{"kind": "near", "services": ["vm1"]}]), "rule 1: kind 'near' is not right"),
        (case(services={"vm1": {"kind": "vm", "node": "node1", "wanted": "maybe"}}), "wanted 'maybe' is not right"),
        (case(services={"vm1": {"kind": "tape", "node": "node1"}}), "kind 'tape' is not right"),
        (case(services={"vm1": {"node": "node1", "faults": {"explodes": 1}}}), "faults: explodes is not known"),
        (case(services={"vm1": {"node": "node1", "colour": "red"}}), "service vm1: colour is not known"),
        (case(stored_state_at_start={"mood": "bad"}), "stored_state_at_start: mood is not known"),
        (case(stored_state_at_start={"nodes": {"node1": "tired"}}), "state 'tired' is not right"),
        (case(weather="fine"), "weather is not known"),
        ([], "the case is no object"),
    ],
)
def test_what_is_not_known_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(BadCase) as caught:
        parse(wrong)
    assert message in str(caught.value)


def test_the_same_case_gives_the_same_result() -> None:
    events = [{"t": 120, "op": "node_power_cut", "node": "node3"}, {"t": 400, "op": "node_power_on", "node": "node3"}]
    program = [sys.executable, "-m", "pvc_node_agent.sim", "/dev/stdin"]
    outputs = {
        subprocess.run(
            program,
            input=json.dumps(case(*events)),
            cwd=ROOT,
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins/module_utils'}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
