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

from pvc_node_agent.sim.case import StoredVm
from pvc_node_agent.sim.checks import BadCase
from pvc_node_agent.sim.play import Play
from pvc_node_agent.sim.reading import parse
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
        (case({"t": 1, "op": "ha_suspend", "mode": "nap"}), "mode 'nap' is not right"),
        (case({"t": 1, "op": "set_load", "service": "vm1"}), "event 4 (set_load): load is missing"),
        (case({"t": 1, "op": "set_load", "service": "vm1", "cpu": -1}), "cpu -1 is not right"),
        (case({"t": 1, "op": "set_load", "service": "vm1", "cpu": 1, "load": 2}), "load and cpu mean the same"),
        (case({"t": 1, "op": "node_power_cut", "node": "node9"}), "node 'node9' is not right; there are: node1"),
        (case({"t": 1, "op": "node_power_cut"}), "node is missing"),
        (case({"t": 1, "op": "node_power_cut", "node": "node1", "how": "hard"}), "how is not known"),
        (case({"t": "soon", "op": "node_power_cut", "node": "node1"}), "t is no time"),
        (case({"t": 1, "op": "set_wanted_state", "service": "vm1", "state": "happy"}), "state 'happy' is not right"),
        (case(policy={"rebalance_on_start": True}), "policy rebalance_on_start is not supported"),
        (case(policy={"auto_rebalance": "now"}), "auto_rebalance 'now' is not right"),
        (case(policy={"auto_rebalance": {"mood": 1}}), "policy: auto_rebalance: mood is not known"),
        (case(policy={"auto_rebalance": {"threshold": 0.5}}), "a threshold other than 0.3 is not supported"),
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
        (case(services={"vm1": {"node": "node1", "size": {"litres": 1}}}), "service vm1: size: litres is not known"),
        (case(services={"vm1": {"node": "node1", "size": {"cpus": 1, "maxcpu": 1}}}), "mean the same"),
        (case(stored_state_at_start={"services": {"vm1": {"node": "node1"}}}), "service vm1: state is missing"),
        (case(weather="fine"), "weather is not known"),
        ([], "the case is no object"),
    ],
)
def test_what_is_not_known_is_refused(wrong: object, message: str) -> None:
    with pytest.raises(BadCase) as caught:
        parse(wrong)
    assert message in str(caught.value)


def test_while_ha_is_suspended_nothing_is_fenced_or_recovered() -> None:
    cut = {"t": 220, "op": "node_power_cut", "node": "node3"}
    suspended = play({"t": 120, "op": "ha_suspend"}, cut)
    assert (suspended["fenced"], suspended["final"]["vm1"]) == (
        [],
        {"running_on": None, "located_on": "node3", "state": "frozen"},
    )
    assert play({"t": 120, "op": "ha_suspend", "mode": "ignore"}, cut)["final"]["vm1"]["state"] == "unmanaged"
    resumed = play({"t": 120, "op": "ha_suspend"}, cut, {"t": 600, "op": "ha_resume"})
    assert resumed["fenced"] == ["node3"]
    assert resumed["final"]["vm1"] == {"running_on": "node1", "located_on": "node1", "state": "started"}
    assert play({"t": 120, "op": "ha_resume"})["refused"] == [{"cmd": "ha_resume"}]


def test_what_an_earlier_leader_wrote_is_read_by_its_names_or_ours() -> None:
    theirs = {
        "master_node": "node1",
        "timestamp": 100,
        "relocate_tried_nodes": {},
        "node_status": {"node1": "online", "node3": "maintenance"},
        "service_status": {
            "vm1": {"state": "request_stop", "node": "node2", "uid": "x", "running": 1, "failed_nodes": ["node2"]},
            "vm2": {"state": "migrate", "node": "node1", "target": "node2", "maintenance_node": "node3"},
        },
    }
    stored = parse(case(stored_state_at_start=theirs)).stored
    assert (stored.leader, stored.nodes) == ("node1", {"node1": "online", "node3": "maintenance"})
    assert stored.services == {
        "vm1": StoredVm("stopped", "node2", tried=("node2",)),
        "vm2": StoredVm("moving", "node1", to="node2", home="node3"),
    }


def test_a_vm_that_lies_where_its_move_is_not_about_waits_for_a_person() -> None:
    moving = {"services": {"vm1": {"state": "moving_live", "node": "node1", "to": "node2"}}}
    played = play(stored_state_at_start=moving)
    assert played["final"]["vm1"] == {"running_on": None, "located_on": "node3", "state": "failed"}


def test_a_user_hears_of_a_move_that_comes_to_nothing() -> None:
    played = play(
        {"t": 120, "op": "node_power_cut", "node": "node1"},
        {"t": 120, "op": "move_live", "service": "vm1", "to": "node1"},
    )
    assert played["refused"] == [{"cmd": "move_live", "service": "vm1"}]
    assert played["final"]["vm1"]["running_on"] == "node3"


def test_a_vm_that_nobody_manages_is_moved_by_hand() -> None:
    played = play(
        {"t": 120, "op": "set_wanted_state", "service": "vm1", "state": "ignored"},
        {"t": 220, "op": "move_outside_ha", "service": "vm1", "to": "node1"},
        {"t": 320, "op": "set_wanted_state", "service": "vm1", "state": "started"},
    )
    assert played["final"]["vm1"] == {"running_on": "node1", "located_on": "node1", "state": "started"}
    assert (played["starts"]["vm1"], played["max_copies"]["vm1"], played["fenced"]) == (1, 1, [])


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
