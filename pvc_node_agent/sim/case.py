# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case as it is written in JSON (schema ``ha-cases/1``), read strictly: what is not known is an error, never skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from pvc_state.paths import NAME
from pvc_state.records import PLACEMENTS, RULES, SHUTDOWN_POLICIES, Rule

KINDS = ("vm", "container_no_live_move", "faulty_no_live_move")
WANTED = ("started", "stopped", "disabled", "ignored")


class BadCase(Exception):
    """The case cannot be read, or asks for what this simulator does not do. One sentence."""


@dataclass(frozen=True)
class NodeSpec:
    """A node at the begin. memory: MiB."""

    powered: bool
    connected: bool
    cpus: int = 24
    memory: int = 131072


@dataclass(frozen=True)
class ServiceSpec:
    """A VM at the begin.

    Attributes:
        node: where it is. wanted: one of WANTED. kind: one of KINDS.
        start_fails, move_fails, stop_fails, faulty_node: scripted faults, see hypervisor.Faults.
        cpus, memory: its size; memory in MiB. running: whether it runs there already.
    """

    node: str
    kind: str = "vm"
    wanted: str = "started"
    failback: bool = True
    max_local_restarts: int = 1
    max_moves: int = 1
    start_fails: int = 0
    move_fails: int = 0
    stop_fails: bool = False
    faulty_node: str = ""
    cpus: int = 1
    memory: int = 512
    running: bool = False

    @property
    def live(self) -> bool:
        return self.kind == "vm"


@dataclass(frozen=True)
class Policy:
    """placement: one of records.PLACEMENTS. shutdown: one of records.SHUTDOWN_POLICIES."""

    placement: str = "fewest_vms"
    shutdown: str = "conditional"


@dataclass(frozen=True)
class StoredVm:
    """What an earlier leader had written of a VM.

    Attributes:
        state: one of SERVICE_STATES. node: where it was. to: the node that it was moving to, or empty.
        tried: nodes on which it did not start. home: the node that it was to return to, or empty.
    """

    state: str
    node: str
    to: str = ""
    tried: tuple[str, ...] = ()
    home: str = ""


@dataclass(frozen=True)
class Stored:
    """What an earlier leader had written.

    Attributes:
        leader: who it was, empty if unknown. nodes: one of NODE_STATES by node. services: by VM.
    """

    leader: str = ""
    nodes: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, StoredVm] = field(default_factory=dict)


@dataclass(frozen=True)
class Op:
    """Something that is done at a time. args: as ``OPS`` says, by its own names."""

    t: float
    op: str
    args: Mapping[str, Any]

    @property
    def node(self) -> str:
        return str(self.args["node"])

    @property
    def service(self) -> str:
        return str(self.args["service"])


@dataclass(frozen=True)
class Case:
    """A whole case; assertions and what a peer did are not read."""

    name: str
    nodes: Mapping[str, NodeSpec]
    services: Mapping[str, ServiceSpec]
    rules: Sequence[Rule]
    policy: Policy
    stored: Stored
    events: Sequence[Op]


#: What says nothing about the case itself.
_COMMENTS = frozenset(
    {"schema", "name", "class", "category", "tier", "needs", "purpose", "expected", "assertions", "conventions"}
)

NODE_STATES = {
    "online": "online",
    "unknown": "lost",
    "lost": "lost",
    "gone": "lost",
    "fence": "to_be_fenced",
    "to_be_fenced": "to_be_fenced",
    "maintenance": "maintenance",
}
SERVICE_STATES = {
    "started": "started",
    "starting": "started",
    "request_start": "started",
    "request_start_balance": "started",
    "stopped": "stopped",
    "stopping": "stopped",
    "request_stop": "stopped",
    "fence": "waiting_for_fence",
    "waiting_for_fence": "waiting_for_fence",
    "recovery": "waiting_for_recovery",
    "waiting_for_recovery": "waiting_for_recovery",
    "freeze": "frozen",
    "frozen": "frozen",
    "error": "failed",
    "failed": "failed",
    "migrate": "moving",
    "moving": "moving",
    "moving_live": "moving",
    "relocate": "moving",
    "moving_cold": "moving",
    "ignored": "unmanaged",
    "unmanaged": "unmanaged",
}

#: What each operation is about; ``?`` may be left out. Several names for one thing are separated by ``|``: the first is ours.
_MOVE = ("service", "to|target|to_node|node")
OPS: Mapping[str, Sequence[str]] = {
    "node_power_on": ("node",),
    "node_power_cut": ("node",),
    "node_isolate": ("node",),
    "node_reconnect": ("node",),
    "node_graceful_reboot": ("node",),
    "node_graceful_shutdown": ("node",),
    "agent_restart": ("node",),
    "manager_stop": ("node",),
    "manager_start": ("node",),
    "maintenance_on": ("node",),
    "maintenance_off": ("node",),
    "set_wanted_state": ("service", "state|wanted"),
    "move_live": _MOVE,
    "move_cold": _MOVE,
    "move_outside_ha": _MOVE,
    "stop": ("service", "timeout|timeout_s|seconds?"),
    "vm_lock": ("service", "lock|kind|name|lock_name?"),
    "vm_unlock": ("service", "lock|kind|name|lock_name?"),
    "service_add": (
        "service",
        "node",
        "wanted|state?",
        "running?",
        "kind?",
        "failback?",
        "max_local_restarts?",
        "max_moves_on_start_failure?",
        "faults?",
        "size?",
        "load?",
    ),
    "service_remove": ("service",),
    "set_load": ("service", "load?", "cpu|cpus?", "mem_bytes|mem|memory?", "node?"),
    "state_store_fault": ("node", "what|fault|kind|mode|access?"),
    "state_store_ok": ("node", "what|fault|kind|mode|access?"),
    "pause": ("seconds|duration|duration_s|for_s?",),
    "wait": ("seconds|duration|duration_s|for_s?", "rounds|n?", "what|who|component|of|role|skip?", "node?"),
    "set_software_version": ("node", "version|to"),
}
#: Known, and not done.
UNSUPPORTED = {
    "ha_suspend": "suspending HA as a whole",
    "ha_resume": "resuming HA as a whole",
}
#: Kinds of faults of a node's tie to the store.
STORE_FAULTS = (
    *("", "rw", "read_write", "unavailable", "unreachable", "not_mounted"),
    *("update", "updates", "reads_stale", "stale", "inconsistent", "write", "writes_fail"),
)


def parse(data: object) -> Case:
    """The case; raises BadCase."""
    top = _mapping("the case", data)
    name = str(top.get("name", "case"))
    _only("the case", top, {*_COMMENTS, "nodes", "services", "rules", "policy", "stored_state_at_start", "events"})
    nodes = {key: _node(key, value) for key, value in _mapping("nodes", top.get("nodes")).items()}
    if not nodes:
        raise BadCase("nodes: there are none")
    known = frozenset(nodes)
    services = {
        key: _service(key, _mapping(f"service {key}", value), known)
        for key, value in _mapping("services", top.get("services", {})).items()
    }
    for key in (*nodes, *services):
        if not NAME.fullmatch(key):
            raise BadCase(f"{key!r} is no name: lower-case letters, digits and hyphens are")
    rules = [_rule(number, _mapping(f"rule {number}", value), known) for number, value in _numbered(top, "rules")]
    policy = _policy(_mapping("policy", top.get("policy", {})))
    stored = _stored(_mapping("stored_state_at_start", top.get("stored_state_at_start") or {}), known)
    events = [_op(number, _mapping(f"event {number}", value), known) for number, value in _numbered(top, "events")]
    return Case(name, nodes, services, rules, policy, stored, sorted(events, key=lambda op: op.t))


def _node(name: str, value: object) -> NodeSpec:
    what = f"node {name}"
    given = _mapping(what, value)
    _only(what, given, {"power", "network", "cpus", "mem_bytes"})
    for key in ("power", "network"):
        if given.get(key, "off") not in ("on", "off"):
            raise BadCase(f"{what}: {key} {given[key]!r} is neither on nor off")
    powered = given.get("power", "off") == "on"
    return NodeSpec(
        powered,
        powered and given.get("network", "off") == "on",
        _count(what, "cpus", given.get("cpus", 24)),
        _mebibytes(what, "mem_bytes", given.get("mem_bytes", 128 << 30)),
    )


def _service(name: str, given: Mapping[str, Any], nodes: frozenset[str]) -> ServiceSpec:
    what = f"service {name}"
    options = {"kind", "node", "wanted", "failback", "max_local_restarts", "max_moves_on_start_failure"}
    _only(what, given, {*options, "faults", "load", "size", "running"})
    faults = _mapping(f"{what}: faults", given.get("faults") or {})
    _only(f"{what}: faults", faults, {"start_fails_times", "move_fails_times", "stop_always_fails", "only_on_node"})
    size = _mapping(f"{what}: size", given.get("size") or {})
    size = _renamed(f"{what}: size", size, ("cpus|maxcpu|cpu|vcpus?", "mem_bytes|maxmem|mem|memory_bytes?"))
    _mapping(f"{what}: load", given.get("load") or {})
    faulty_node = faults.get("only_on_node") or ""
    return ServiceSpec(
        node=_one_of(what, "node", given.get("node"), nodes),
        kind=_one_of(what, "kind", given.get("kind", "vm"), KINDS),
        wanted=_one_of(what, "wanted", given.get("wanted", "started"), WANTED),
        failback=_truth(what, "failback", given.get("failback", True)),
        max_local_restarts=_count(what, "max_local_restarts", given.get("max_local_restarts", 1), least=-1),
        max_moves=_count(what, "max_moves_on_start_failure", given.get("max_moves_on_start_failure", 1)),
        start_fails=_count(what, "start_fails_times", faults.get("start_fails_times", 0)),
        move_fails=_count(what, "move_fails_times", faults.get("move_fails_times", 0)),
        stop_fails=_truth(what, "stop_always_fails", faults.get("stop_always_fails", False)),
        faulty_node=_one_of(what, "only_on_node", faulty_node, nodes) if faulty_node else "",
        cpus=max(1, _count(what, "cpus", size.get("cpus", 1))),
        memory=max(64, _mebibytes(what, "mem_bytes", size.get("mem_bytes", 512 << 20))),
        running=_truth(what, "running", given.get("running", False)),
    )


def _rule(number: int, given: Mapping[str, Any], nodes: frozenset[str]) -> Rule:
    what = f"rule {number}"
    _only(what, given, {"kind", "services", "nodes", "strict", "name", "comment"})
    kind = _one_of(what, "kind", given.get("kind"), RULES)
    vms = given.get("services")
    if not isinstance(vms, list) or not all(isinstance(vm, str) for vm in vms):
        raise BadCase(f"{what}: services is no list of names")
    preferred = given.get("nodes", {})
    if isinstance(preferred, list):
        preferred = dict.fromkeys(preferred, 0)
    preferred = _mapping(f"{what}: nodes", preferred)
    if kind == "node_preference" and not preferred:
        raise BadCase(f"{what}: nodes is missing")
    priorities = {
        _one_of(what, "nodes", node, nodes): _count(what, "priority", priority) for node, priority in preferred.items()
    }
    return Rule(kind, tuple(vms), priorities, _truth(what, "strict", given.get("strict", kind != "node_preference")))


def _policy(given: Mapping[str, Any]) -> Policy:
    # what is switched off need not be known
    given = {key: value for key, value in given.items() if value not in (None, False)}
    _only("policy", given, {"placement", "shutdown_policy", "rebalance_on_start", "auto_rebalance"})
    for key in ("rebalance_on_start", "auto_rebalance"):
        if given.get(key):
            raise BadCase(f"policy {key} is not supported")
    placement = given.get("placement", "fewest_vms")
    if placement == "measured_load":
        raise BadCase("policy placement measured_load is not supported")
    shutdown = given.get("shutdown_policy", "conditional")
    return Policy(
        _one_of("policy", "placement", placement, PLACEMENTS),
        _one_of("policy", "shutdown_policy", shutdown, SHUTDOWN_POLICIES),
    )


def _stored(given: Mapping[str, Any], nodes: frozenset[str]) -> Stored:
    what = "stored_state_at_start"
    given = _renamed(
        what,
        {key: value for key, value in given.items() if value},
        (
            "leader|master_node|manager|leader_node?",
            "nodes|node_status|node_states?",
            "services|service_status|service_states|vms?",
            # counters of the peer that mean nothing here
            "timestamp?",
            "relocate_tried_nodes?",
        ),
    )
    leader = given.get("leader") or ""
    states = {
        _one_of(what, "nodes", node, nodes): NODE_STATES[_one_of(f"{what}: node {node}", "state", state, NODE_STATES)]
        for node, state in _mapping(f"{what}: nodes", given.get("nodes") or {}).items()
    }
    services = {
        vm: _stored_vm(f"{what}: service {vm}", value, nodes)
        for vm, value in _mapping(f"{what}: services", given.get("services") or {}).items()
    }
    return Stored(_one_of(what, "leader", leader, nodes) if leader else "", states, services)


def _stored_vm(what: str, value: object, nodes: frozenset[str]) -> StoredVm:
    names = ("state", "node", "to|target?", "failed_nodes|tried?", "maintenance_node|home?", "uid?", "running?")
    entry = _renamed(what, {key: field for key, field in _mapping(what, value).items() if field}, names)
    tried = entry.get("failed_nodes") or []
    if not isinstance(tried, list):
        raise BadCase(f"{what}: failed_nodes is no list of nodes")
    return StoredVm(
        SERVICE_STATES[_one_of(what, "state", entry["state"], SERVICE_STATES)],
        _one_of(what, "node", entry["node"], nodes),
        _one_of(what, "to", entry["to"], nodes) if entry.get("to") else "",
        tuple(_one_of(what, "failed_nodes", node, nodes) for node in tried),
        _one_of(what, "maintenance_node", entry["maintenance_node"], nodes) if entry.get("maintenance_node") else "",
    )


def _op(number: int, given: Mapping[str, Any], nodes: frozenset[str]) -> Op:
    op = str(given.get("op"))
    what = f"event {number} ({op})"
    if op in UNSUPPORTED:
        raise BadCase(f"{what}: {UNSUPPORTED[op]} is not supported")
    if op not in OPS:
        raise BadCase(f"{what}: there is no such operation; there are: {', '.join(sorted(OPS))}")
    time = given.get("t")
    if isinstance(time, bool) or not isinstance(time, (int, float)) or time < 0:
        raise BadCase(f"{what}: t is no time")
    args = _renamed(what, {key: value for key, value in given.items() if key not in ("t", "op")}, OPS[op])
    for key in ("node", "to"):
        if key in args:
            _one_of(what, key, args[key], nodes)
    if op == "set_wanted_state":
        _one_of(what, "state", args["state"], WANTED)
    if op in ("state_store_fault", "state_store_ok"):
        _one_of(what, "what", args.get("what", ""), STORE_FAULTS)
    if op == "service_add":
        args = {"service": args["service"], "spec": _service(str(args["service"]), _without(args, "service"), nodes)}
    return Op(float(time), op, args)


# --- small checks -----------------------------------------------------------------------------------------------------


def _renamed(what: str, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The arguments by our own names; raises BadCase for those unknown, missing or given twice."""
    result: dict[str, Any] = {}
    left = dict(given)
    for entry in names:
        aliases = entry.removesuffix("?").split("|")
        present = [alias for alias in aliases if alias in left]
        if len(present) > 1:
            raise BadCase(f"{what}: {' and '.join(present)} mean the same")
        if present:
            result[aliases[0]] = left.pop(present[0])
        elif not entry.endswith("?"):
            raise BadCase(f"{what}: {aliases[0]} is missing")
    if left:
        raise BadCase(f"{what}: {', '.join(sorted(left))} is not known")
    return result


def _only(what: str, given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadCase(f"{what}: {', '.join(unknown)} is not known")


def _without(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != key}


def _numbered(top: Mapping[str, Any], key: str) -> list[tuple[int, object]]:
    value = top.get(key) or []
    if not isinstance(value, list):
        raise BadCase(f"{key} is no list")
    return list(enumerate(value, 1))


def _mapping(what: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadCase(f"{what} is no object")
    return value


def _one_of(what: str, key: str, value: object, known: Any) -> str:
    if not isinstance(value, str) or value not in known:
        _refuse(what, key, value, f"there are: {', '.join(sorted(known))}")
    return value


def _truth(what: str, key: str, value: object) -> bool:
    if value not in (True, False, 0, 1):
        _refuse(what, key, value, "true or false is wanted")
    return bool(value)


def _count(what: str, key: str, value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        _refuse(what, key, value, f"a number of at least {least} is wanted")
    return int(value)


def _mebibytes(what: str, key: str, value: object) -> int:
    return _count(what, key, value) >> 20


def _refuse(what: str, key: str, value: object, remedy: str) -> NoReturn:
    raise BadCase(f"{what}: {key} {value!r} is not right; {remedy}")
