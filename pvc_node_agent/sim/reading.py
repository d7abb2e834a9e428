# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A case as it is written in JSON (schema ``ha-cases/1``), read strictly: what is not known is an error, never skipped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvc_state.paths import NAME
from pvc_state.records import PLACEMENTS, RULES, SHUTDOWN_POLICIES, Rule

from ..lead.rebalancing import UNEVEN
from . import checks
from .case import Case, NodeSpec, Policy, Stored, StoredVm
from .checks import BadCase
from .ops import operation
from .services import service

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
#: Of policy auto_rebalance. How long the nodes must have been uneven is a matter of time, and the peer's times are its own; the
#: method is how it searches.
_REBALANCE = (
    "enabled?",
    "threshold|imbalance_threshold?",
    "margin|gain?",
    "hold|hold_rounds|hold_duration?",
    "method?",
)


def parse(data: object) -> Case:
    """The case; raises BadCase."""
    top = checks.mapping("the case", data)
    name = str(top.get("name", "case"))
    checks.only(
        "the case", top, {*_COMMENTS, "nodes", "services", "rules", "policy", "stored_state_at_start", "events"}
    )
    nodes = {key: _node(key, value) for key, value in checks.mapping("nodes", top.get("nodes")).items()}
    if not nodes:
        raise BadCase("nodes: there are none")
    known = frozenset(nodes)
    services = {
        key: service(key, checks.mapping(f"service {key}", value), known)
        for key, value in checks.mapping("services", top.get("services", {})).items()
    }
    for key in (*nodes, *services):
        if not NAME.fullmatch(key):
            raise BadCase(f"{key!r} is no name: lower-case letters, digits and hyphens are")
    rules = [
        _rule(number, checks.mapping(f"rule {number}", value), known) for number, value in checks.numbered(top, "rules")
    ]
    policy = _policy(checks.mapping("policy", top.get("policy", {})))
    stored = _stored(checks.mapping("stored_state_at_start", top.get("stored_state_at_start") or {}), known)
    events = [
        operation(number, checks.mapping(f"event {number}", value), known)
        for number, value in checks.numbered(top, "events")
    ]
    return Case(name, nodes, services, rules, policy, stored, sorted(events, key=lambda one: one.t))


def _node(name: str, value: object) -> NodeSpec:
    what = f"node {name}"
    given = checks.mapping(what, value)
    checks.only(what, given, {"power", "network", "cpus", "mem_bytes"})
    for key in ("power", "network"):
        if given.get(key, "off") not in ("on", "off"):
            raise BadCase(f"{what}: {key} {given[key]!r} is neither on nor off")
    powered = given.get("power", "off") == "on"
    return NodeSpec(
        powered,
        powered and given.get("network", "off") == "on",
        checks.count(what, "cpus", given.get("cpus", 24)),
        checks.mebibytes(what, "mem_bytes", given.get("mem_bytes", 128 << 30)),
    )


def _rule(number: int, given: Mapping[str, Any], nodes: frozenset[str]) -> Rule:
    what = f"rule {number}"
    checks.only(what, given, {"kind", "services", "nodes", "strict", "name", "comment"})
    kind = checks.one_of(what, "kind", given.get("kind"), RULES)
    vms = given.get("services")
    if not isinstance(vms, list) or not all(isinstance(vm, str) for vm in vms):
        raise BadCase(f"{what}: services is no list of names")
    preferred = given.get("nodes", {})
    if isinstance(preferred, list):
        preferred = dict.fromkeys(preferred, 0)
    preferred = checks.mapping(f"{what}: nodes", preferred)
    if kind == "node_preference" and not preferred:
        raise BadCase(f"{what}: nodes is missing")
    priorities = {
        checks.one_of(what, "nodes", node, nodes): checks.count(what, "priority", priority)
        for node, priority in preferred.items()
    }
    return Rule(
        kind, tuple(vms), priorities, checks.truth(what, "strict", given.get("strict", kind != "node_preference"))
    )


def _policy(given: Mapping[str, Any]) -> Policy:
    # what is switched off need not be known
    given = {key: value for key, value in given.items() if value not in (None, False)}
    checks.only("policy", given, {"placement", "shutdown_policy", "rebalance_on_start", "auto_rebalance"})
    if given.get("rebalance_on_start"):
        raise BadCase("policy rebalance_on_start is not supported")
    rebalance = given.get("auto_rebalance") or {}
    if rebalance is not True and not isinstance(rebalance, dict):
        checks.refuse("policy", "auto_rebalance", rebalance, "true, false or an object is wanted")
    gain = Policy.gain
    if isinstance(rebalance, dict):
        options = checks.renamed("policy: auto_rebalance", rebalance, _REBALANCE)
        gain = checks.number("policy: auto_rebalance", "margin", options.get("margin", gain))
        if options.get("threshold", UNEVEN) != UNEVEN:
            raise BadCase(f"policy auto_rebalance: a threshold other than {UNEVEN} is not supported")
        if options.get("enabled") is False:
            rebalance = {}
    return Policy(
        checks.one_of("policy", "placement", given.get("placement", "fewest_vms"), PLACEMENTS),
        checks.one_of("policy", "shutdown_policy", given.get("shutdown_policy", "conditional"), SHUTDOWN_POLICIES),
        bool(rebalance),
        gain,
    )


def _stored(given: Mapping[str, Any], nodes: frozenset[str]) -> Stored:
    what = "stored_state_at_start"
    given = checks.renamed(
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
        checks.one_of(what, "nodes", node, nodes): NODE_STATES[
            checks.one_of(f"{what}: node {node}", "state", state, NODE_STATES)
        ]
        for node, state in checks.mapping(f"{what}: nodes", given.get("nodes") or {}).items()
    }
    services = {
        vm: _stored_vm(f"{what}: service {vm}", value, nodes)
        for vm, value in checks.mapping(f"{what}: services", given.get("services") or {}).items()
    }
    return Stored(checks.one_of(what, "leader", leader, nodes) if leader else "", states, services)


def _stored_vm(what: str, value: object, nodes: frozenset[str]) -> StoredVm:
    names = ("state", "node", "to|target?", "failed_nodes|tried?", "maintenance_node|home?", "uid?", "running?")
    entry = checks.renamed(what, {key: field for key, field in checks.mapping(what, value).items() if field}, names)
    tried = entry.get("failed_nodes") or []
    if not isinstance(tried, list):
        raise BadCase(f"{what}: failed_nodes is no list of nodes")
    return StoredVm(
        SERVICE_STATES[checks.one_of(what, "state", entry["state"], SERVICE_STATES)],
        checks.one_of(what, "node", entry["node"], nodes),
        checks.one_of(what, "to", entry["to"], nodes) if entry.get("to") else "",
        tuple(checks.one_of(what, "failed_nodes", node, nodes) for node in tried),
        checks.one_of(what, "maintenance_node", entry["maintenance_node"], nodes)
        if entry.get("maintenance_node")
        else "",
    )
