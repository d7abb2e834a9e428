# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of VMs in ordinary and in bad times: one small case each, judged as the given ones are."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from pvc_node_agent.sim.play import Play
from pvc_node_agent.sim.reading import parse
from pvc_node_agent.sim.result import result
from tests.agent.test_cases import given

NAMES = ("node1", "node2", "node3")


def nodes(names=NAMES):
    return {n: {"power": "off", "network": "off"} for n in names}


def on(names=NAMES):
    return [{"t": 20, "op": "node_power_on", "node": n} for n in names]


def vm(node, wanted="started", kind="vm", **k):
    return {
        "kind": kind,
        "node": node,
        "wanted": wanted,
        "failback": True,
        "max_local_restarts": 1,
        "max_moves_on_start_failure": 1,
        **k,
    }


CASES: dict[str, dict[str, Any]] = {}


def ev(t, op, **k):
    return {"t": t, "op": op, **k}


def case(name, services, events, asserts, rules=(), policy=None, names=NAMES, stored=None):
    c = {
        "name": name,
        "class": "generic",
        "tier": 1,
        "policy": policy or {"placement": "fewest_vms", "shutdown_policy": "conditional"},
        "nodes": nodes(names),
        "services": services,
        "rules": list(rules),
        "events": [*on(names), *events],
        "assertions": [
            {"check": "never_two_running_copies"},
            {"check": "start_elsewhere_only_after_old_node_confirmed_down"},
            {"check": "rules_hold_at_end"},
            *asserts,
        ],
    }
    if stored:
        c["stored_state_at_start"] = stored
    CASES[name] = c


def runs(s, *n):
    return {"check": "final_running_on", "service": s, "nodes": list(n), "state": "started"}


def off(s, state, where=None):
    return {"check": "final_not_running", "service": s, "state": state, **({"located_on": where} if where else {})}


def fenced(*must, may=()):
    return {"check": "fenced_or_reset_nodes", "must": list(must), "may": list(may)}


def most(s, n):
    return {"check": "starts_at_most", "service": s, "n": n}


def ref(cmd, s=None, node=None):
    return {
        "check": "command_refused_or_noop",
        "cmd": cmd,
        **({"service": s} if s else {}),
        **({"node": node} if node else {}),
    }


nofence = {"check": "no_fencing_at_all"}
case(
    "cmd-stopped",
    {"vm103": vm("node3")},
    [ev(120, "set_wanted_state", service="vm103", state="stopped")],
    [off("vm103", "stopped", "node3"), nofence],
)
case(
    "move-live",
    {"vm103": vm("node3")},
    [ev(120, "move_live", service="vm103", to="node2")],
    [runs("vm103", "node2"), most("vm103", 1), nofence],
)
case(
    "move-cold",
    {"vm103": vm("node3")},
    [ev(120, "move_cold", service="vm103", to="node2")],
    [runs("vm103", "node2"), most("vm103", 2), nofence],
)
case(
    "move-ct",
    {"ct103": vm("node3", kind="container_no_live_move")},
    [ev(120, "move_live", service="ct103", node="node2")],
    [runs("ct103", "node2"), most("ct103", 2), nofence],
)
case(
    "move-stopped",
    {"vm103": vm("node3", wanted="stopped")},
    [ev(120, "move_live", service="vm103", target="node2")],
    [off("vm103", "stopped", "node2")],
)
case(
    "move-disabled",
    {"vm103": vm("node3", wanted="disabled")},
    [ev(120, "move_live", service="vm103", target="node2")],
    [off("vm103", "stopped", "node2")],
)
case(
    "move-same",
    {"vm103": vm("node3")},
    [ev(120, "move_live", service="vm103", to="node3")],
    [runs("vm103", "node3"), ref("move_live", "vm103"), most("vm103", 1)],
)
case("ignored", {"vm103": vm("node3", wanted="ignored")}, [], [off("vm103", "unmanaged", "node3"), nofence])
case(
    "ignored-running",
    {"vm103": vm("node3")},
    [ev(120, "set_wanted_state", service="vm103", state="ignored")],
    [{"check": "final_running_on", "service": "vm103", "nodes": ["node3"], "state": "unmanaged"}, nofence],
)
case(
    "ignored-then-dead",
    {"vm103": vm("node3")},
    [ev(120, "set_wanted_state", service="vm103", state="ignored"), ev(220, "node_power_cut", node="node3")],
    [off("vm103", "unmanaged", "node3")],
)
case(
    "add",
    {"vm103": vm("node3")},
    [ev(120, "service_add", service="vm104", node="node2")],
    [runs("vm104", "node2"), runs("vm103", "node3")],
)
case(
    "add-ignored-running",
    {"vm103": vm("node3")},
    [ev(120, "service_add", service="vm104", node="node2", wanted="ignored", running=True)],
    [{"check": "final_running_on", "service": "vm104", "nodes": ["node2"], "state": "unmanaged"}],
)
case(
    "remove",
    {"vm103": vm("node3")},
    [ev(120, "service_remove", service="vm103")],
    [{"check": "final_running_on", "service": "vm103", "nodes": ["node3"], "state": "unmanaged"}, nofence],
)
case(
    "lock-recover",
    {"vm103": vm("node3")},
    [ev(120, "vm_lock", service="vm103", lock="backup"), ev(120, "node_isolate", node="node3")],
    [runs("vm103", "node1", "node2"), fenced("node3")],
)
case(
    "lock-stop",
    {"vm103": vm("node3")},
    [
        ev(120, "vm_lock", service="vm103"),
        ev(120, "set_wanted_state", service="vm103", state="stopped"),
        ev(320, "vm_unlock", service="vm103"),
    ],
    [off("vm103", "stopped", "node3")],
)
for n, exp in ((1, ("node2",)), (2, ("node1", "node3")), (3, ("node1", "node3"))):
    case(
        f"start-fails-{n}",
        {"fa1": vm("node2", "disabled", "faulty_no_live_move", faults={"start_fails_times": n})},
        [ev(120, "set_wanted_state", service="fa1", state="started")],
        [runs("fa1", *exp), most("fa1", 1), nofence],
    )
case(
    "start-fails-9",
    {"fa1": vm("node2", "disabled", "faulty_no_live_move", faults={"start_fails_times": 9})},
    [ev(120, "set_wanted_state", service="fa1", state="started")],
    [off("fa1", "failed"), nofence],
)
case(
    "start-fails-disabled",
    {"fa1": vm("node2", "disabled", "faulty_no_live_move", faults={"start_fails_times": 9})},
    [
        ev(120, "set_wanted_state", service="fa1", state="started"),
        ev(620, "set_wanted_state", service="fa1", state="disabled"),
    ],
    [off("fa1", "stopped"), nofence],
)
case(
    "start-fails-again",
    {"fa1": vm("node2", "disabled", "faulty_no_live_move", faults={"start_fails_times": 4})},
    [
        ev(120, "set_wanted_state", service="fa1", state="started"),
        ev(620, "set_wanted_state", service="fa1", state="disabled"),
        ev(720, "set_wanted_state", service="fa1", state="started"),
    ],
    [{"check": "final_running_somewhere", "service": "fa1"}],
)
case(
    "no-moves",
    {
        "fa1": vm(
            "node2", "disabled", "faulty_no_live_move", max_moves_on_start_failure=0, faults={"start_fails_times": 9}
        )
    },
    [ev(120, "set_wanted_state", service="fa1", state="started")],
    [off("fa1", "failed", "node2")],
)
case(
    "move-fails",
    {"fa1": vm("node2", kind="faulty_no_live_move", faults={"move_fails_times": 1})},
    [ev(120, "move_live", service="fa1", to="node3")],
    [runs("fa1", "node2"), most("fa1", 1)],
)
case(
    "stop-fails",
    {"fa1": vm("node2", kind="faulty_no_live_move", faults={"stop_always_fails": True})},
    [ev(120, "set_wanted_state", service="fa1", state="disabled")],
    [{"check": "final_running_on", "service": "fa1", "nodes": ["node2"], "state": "failed"}],
)
case(
    "manager-stop",
    {"vm103": vm("node3")},
    [
        ev(120, "manager_stop", node="node1"),
        ev(220, "manager_stop", node="node2"),
        ev(320, "node_isolate", node="node2"),
        ev(620, "manager_start", node="node1"),
    ],
    [runs("vm103", "node3"), most("vm103", 1)],
)
case(
    "manager-all-stopped",
    {"vm103": vm("node3")},
    [
        *[ev(120, "manager_stop", node=n) for n in ("node1", "node2", "node3")],
        ev(220, "node_power_cut", node="node3"),
        ev(420, "manager_start", node="node1"),
    ],
    [runs("vm103", "node1", "node2"), fenced("node3")],
)
case(
    "agent-restart",
    {"vm103": vm("node3")},
    [ev(120, "agent_restart", node="node3")],
    [runs("vm103", "node3"), most("vm103", 1), nofence],
)
case(
    "power-blip",
    {"vm103": vm("node3")},
    [ev(120, "node_power_cut", node="node3"), ev(140, "node_power_on", node="node3")],
    [runs("vm103", "node3"), fenced(may=["node3"])],
)
case(
    "power-out",
    {"vm103": vm("node3")},
    [ev(120, "node_power_cut", node="node3"), ev(420, "node_power_on", node="node3")],
    [runs("vm103", "node1", "node2"), fenced("node3")],
)
case(
    "store-fault",
    {"vm101": vm("node1"), "vm103": vm("node3")},
    [
        ev(120, "state_store_fault", node="node1", what="rw"),
        ev(120, "set_wanted_state", service="vm101", state="stopped"),
        ev(220, "state_store_ok", node="node1", what="rw"),
    ],
    [off("vm101", "stopped", "node1"), runs("vm103", "node3"), nofence],
)
case(
    "no-failback",
    {"vm103": vm("node3", failback=False)},
    [ev(120, "node_power_cut", node="node3"), ev(420, "node_power_on", node="node3")],
    [runs("vm103", "node1", "node2")],
    rules=[{"kind": "node_preference", "services": ["vm103"], "nodes": {"node3": 1}, "strict": False}],
)
case(
    "failback",
    {"vm103": vm("node3")},
    [ev(120, "node_power_cut", node="node3"), ev(420, "node_power_on", node="node3")],
    [runs("vm103", "node3"), most("vm103", 2)],
    rules=[{"kind": "node_preference", "services": ["vm103"], "nodes": {"node3": 1}, "strict": False}],
)
case(
    "pref-at-start",
    {"vm103": vm("node1")},
    [],
    [runs("vm103", "node3")],
    rules=[{"kind": "node_preference", "services": ["vm103"], "nodes": {"node3": 1}, "strict": True}],
)
case(
    "pref-move-refused",
    {"vm103": vm("node3")},
    [ev(120, "move_live", service="vm103", to="node1")],
    [runs("vm103", "node3"), ref("move_live", "vm103")],
    rules=[{"kind": "node_preference", "services": ["vm103"], "nodes": {"node3": 1}, "strict": True}],
)
case(
    "together",
    {"a1": vm("node3"), "a2": vm("node3"), "a3": vm("node3"), "b1": vm("node1")},
    [ev(120, "node_isolate", node="node3")],
    [runs("a1", "node2"), runs("a2", "node2"), runs("a3", "node2")],
    rules=[
        {"kind": "together", "services": ["a1", "a2"], "strict": True},
        {"kind": "together", "services": ["a2", "a3"], "strict": True},
    ],
)
case(
    "together-move",
    {"a1": vm("node3"), "a2": vm("node3")},
    [ev(120, "move_live", service="a1", to="node2")],
    [runs("a1", "node2"), runs("a2", "node2"), most("a1", 1)],
    rules=[{"kind": "together", "services": ["a1", "a2"], "strict": True}],
)
case(
    "together-apart-start",
    {"a1": vm("node3"), "a2": vm("node1")},
    [],
    [{"check": "final_running_somewhere", "service": "a1"}, {"check": "final_running_somewhere", "service": "a2"}],
    rules=[{"kind": "together", "services": ["a1", "a2"], "strict": True}],
)
case(
    "apart-move-refused",
    {"a1": vm("node3"), "a2": vm("node2")},
    [ev(120, "move_live", service="a1", to="node2")],
    [runs("a1", "node3"), ref("move_live", "a1")],
    rules=[{"kind": "apart", "services": ["a1", "a2"], "strict": True}],
)
case(
    "apart-at-start",
    {"a1": vm("node3"), "a2": vm("node3")},
    [],
    [{"check": "final_running_somewhere", "service": "a1"}, {"check": "final_running_somewhere", "service": "a2"}],
    rules=[{"kind": "apart", "services": ["a1", "a2"], "strict": True}],
)
case(
    "apart-no-room",
    {"a1": vm("node1"), "a2": vm("node2"), "a3": vm("node3")},
    [ev(120, "node_isolate", node="node3")],
    [off("a3", "waiting_for_recovery", "node3"), {"check": "keeps_retrying_recovery", "service": "a3"}],
    rules=[{"kind": "apart", "services": ["a1", "a2", "a3"], "strict": True}],
)
case(
    "apart-drain",
    {"a1": vm("node1"), "a2": vm("node2")},
    [ev(120, "maintenance_on", node="node1")],
    [runs("a1", "node3"), runs("a2", "node2"), most("a1", 1)],
    rules=[{"kind": "apart", "services": ["a1", "a2"], "strict": True}],
)
case(
    "stopped-rehomed",
    {"vm103": vm("node3", "stopped")},
    [ev(120, "node_isolate", node="node3")],
    [off("vm103", "stopped")],
)
case(
    "disabled-stays",
    {"vm103": vm("node3", "disabled")},
    [ev(120, "node_isolate", node="node3")],
    [off("vm103", "stopped", "node3")],
)
case(
    "stop-op", {"vm103": vm("node3")}, [ev(120, "stop", service="vm103", timeout=0)], [off("vm103", "stopped", "node3")]
)
case(
    "stop-op2",
    {"vm103": vm("node3")},
    [ev(120, "stop", service="vm103", timeout=60), ev(220, "set_wanted_state", service="vm103", state="started")],
    [runs("vm103", "node3"), most("vm103", 2)],
)
case(
    "waiting-cmds",
    {"vm102": vm("node2")},
    [
        ev(120, "node_isolate", node="node2"),
        ev(320, "move_live", service="vm102", to="node3"),
        ev(420, "stop", service="vm102", timeout=5),
    ],
    [off("vm102", "waiting_for_recovery", "node2"), ref("move_live", "vm102"), ref("stop", "vm102")],
    rules=[{"kind": "node_preference", "services": ["vm102"], "nodes": {"node2": 0}, "strict": True}],
)
case(
    "waiting-disabled",
    {"vm102": vm("node2")},
    [ev(120, "node_isolate", node="node2"), ev(320, "set_wanted_state", service="vm102", state="disabled")],
    [off("vm102", "stopped", "node2")],
    rules=[{"kind": "node_preference", "services": ["vm102"], "nodes": {"node2": 0}, "strict": True}],
)
case(
    "waiting-return",
    {"vm102": vm("node2")},
    [ev(120, "node_power_cut", node="node2"), ev(420, "node_power_on", node="node2")],
    [runs("vm102", "node2")],
    rules=[{"kind": "node_preference", "services": ["vm102"], "nodes": {"node2": 0}, "strict": True}],
)
for pol in ("conditional", "freeze", "failover", "migrate"):
    for op in ("node_graceful_reboot", "node_graceful_shutdown"):
        exp = {
            "conditional": {"r": ("node3",), "s": ("node1", "node2")},
            "freeze": {"r": ("node3",), "s": None},
            "failover": {"r": ("node1", "node2", "node3"), "s": ("node1", "node2")},
            "migrate": {"r": ("node3",), "s": ("node1", "node2")},
        }[pol]["r" if "reboot" in op else "s"]
        case(
            f"{pol}-{op}",
            {"vm103": vm("node3"), "vm104": vm("node3", "stopped")},
            [ev(120, op, node="node3")],
            [runs("vm103", *exp) if exp else off("vm103", "frozen", "node3"), fenced(may=["node3"])],
            policy={"placement": "fewest_vms", "shutdown_policy": pol},
        )
case(
    "maint-no-target",
    {"vm103": vm("node3")},
    [ev(120, "maintenance_on", node="node3")],
    [runs("vm103", "node3"), most("vm103", 1)],
    rules=[{"kind": "node_preference", "services": ["vm103"], "nodes": {"node3": 0}, "strict": True}],
)
case(
    "maint-twice",
    {"vm103": vm("node3")},
    [
        ev(120, "maintenance_on", node="node3"),
        ev(320, "maintenance_on", node="node1"),
        ev(620, "maintenance_off", node="node3"),
        ev(820, "maintenance_off", node="node1"),
    ],
    [runs("vm103", "node3"), most("vm103", 1)],
)
case(
    "maint-dead",
    {"vm103": vm("node3")},
    [ev(120, "maintenance_on", node="node3"), ev(320, "node_power_cut", node="node1"), ev(320, "pause")],
    [{"check": "final_running_somewhere", "service": "vm103"}],
)
case(
    "half-fence-back",
    {"vm103": vm("node3")},
    [],
    [{"check": "final_running_somewhere", "service": "vm103"}],
    stored={
        "leader": "node1",
        "nodes": {"node1": "online", "node2": "online", "node3": "to_be_fenced"},
        "services": {"vm103": {"state": "waiting_for_fence", "node": "node3"}},
    },
)
case(
    "recovery-half",
    {"vm103": vm("node3")},
    [],
    [{"check": "final_running_somewhere", "service": "vm103"}],
    stored={
        "leader": "node1",
        "nodes": {"node1": "online", "node2": "online", "node3": "lost"},
        "services": {"vm103": {"state": "waiting_for_recovery", "node": "node3"}},
    },
)
case(
    "configured",
    {f"v{i}": vm("node3", size={"cpus": 2 * i, "mem_bytes": i << 30}) for i in range(1, 7)},
    [ev(120, "node_power_cut", node="node3")],
    [{"check": "final_running_counts", "sorted_counts": [3, 3], "strength": "expected"}],
    policy={"placement": "configured_size", "shutdown_policy": "conditional"},
)
case(
    "five",
    {f"v{i}": vm(f"node{i}") for i in range(1, 6)},
    [ev(120, "node_power_cut", node="node1"), ev(120, "node_power_cut", node="node2")],
    [
        {"check": "final_running_somewhere", "service": "v1"},
        {"check": "final_running_counts", "sorted_counts": [1, 2, 2], "strength": "expected"},
        fenced("node1", "node2"),
    ],
    names=tuple(f"node{i}" for i in range(1, 6)),
)
case(
    "quorum",
    {f"v{i}": vm(f"node{i}") for i in range(1, 4)},
    [
        ev(120, "node_power_cut", node="node1"),
        ev(120, "node_power_cut", node="node2"),
        ev(420, "node_power_on", node="node1"),
    ],
    [fenced(may=["node2"]), {"check": "final_running_somewhere", "service": "v2"}],
)
case(
    "version",
    {"v1": vm("node1")},
    [ev(120, "set_software_version", node="node1", version="2.0")],
    [runs("v1", "node1"), most("v1", 1)],
)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str) -> None:
    judge = importlib.util.spec_from_file_location("check", given() / "check.py")
    assert judge is not None
    assert judge.loader is not None
    module = importlib.util.module_from_spec(judge)
    judge.loader.exec_module(module)
    play = Play(parse(CASES[name]))
    play.run()
    bad = module.judge(CASES[name], json.loads(json.dumps(result(play))))
    assert not bad, "\n".join([*bad, *play.story])
