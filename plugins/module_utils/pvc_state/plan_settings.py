# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""*(snapshot, request) -> Plan* for the cluster's settings: pure, and what is not safe is refused here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from . import ha_budget, paths
from .codec import Stored, encode
from .errors import DamagedRecord
from .plan import Change, Plan, guard
from .records import NODE_STATES, PLACEMENTS, SHUTDOWN_POLICIES, Settings
from .requests import UNSET, SettingsRequest
from .snapshot import Snapshot
from .store import Create, Op, Set
from .views import desired_settings
from .vm_options import Checker

#: Kinds of evidence that a policy may ask for; what a node or an operator says itself always counts.
EVIDENCE = tuple(ha_budget.FENCE)
REJOIN = tuple(state for state in NODE_STATES if state != "maintenance")
BOOT_GRACE = (10.0, 86_400.0)
#: vCPUs for each processor of a node; 0 for any number. Below one, some processors could never be given away.
VCPU_RATIO = (1.0, 1000.0)
SPARE_NODES = range(1001)
PARALLEL_MOVES = range(1, 1001)
REBALANCE_THRESHOLD = (0.001, 1.0)
_ANY = (0.0, 86_400.0)


def plan_settings(snapshot: Snapshot, request: SettingsRequest) -> Plan:
    """Plan a change of the settings; raises InvalidRequest or DamagedRecord."""
    stored = snapshot.settings
    if stored is not None and stored.value is None:
        raise DamagedRecord(
            f"{paths.SETTINGS} holds no valid record: {stored.invalid}",
            obj="settings",
            remedy=f"restore it, or set {paths.SETTINGS} to {{}} for all defaults",
        )
    before = snapshot.policy
    after = _with_options(Checker("settings"), snapshot, request, before)
    changes: tuple[Change, ...] = ()
    groups: tuple[tuple[Op, ...], ...] = ()
    why = "nothing to change"
    if after != before:
        after = dataclasses.replace(after, generation=before.generation + 1)
        old, new = desired_settings(before), desired_settings(after)
        why = ", ".join(f"{key} {_words(old[key])} -> {_words(new[key])}" for key in old if old[key] != new[key])
        data = encode(after)
        write = Create(paths.SETTINGS, data) if stored is None else Set(paths.SETTINGS, data, stored.version)
        changes, groups = (Change("settings", "", old, new, why),), ((write,),)
        settings = Stored(after, 0 if stored is None else stored.version + 1)
        snapshot = dataclasses.replace(snapshot, settings=settings)
    return Plan(changes, groups, guard(snapshot), snapshot, MappingProxyType({"settings": why}))


def _with_options(check: Checker, snapshot: Snapshot, request: SettingsRequest, base: Settings) -> Settings:
    values: dict[str, Any] = {}
    for option in ("maintenance", "early_suspicion", "rebalance"):
        if getattr(request, option) is not UNSET:
            values[option] = check.truth(option, getattr(request, option))
    for option, allowed in (
        ("shutdown_policy", tuple(SHUTDOWN_POLICIES)),
        ("placement", tuple(PLACEMENTS)),
        ("rejoin", REJOIN),
    ):
        if getattr(request, option) is not UNSET:
            values[option] = check.choice(option, getattr(request, option), allowed)
    if request.evidence is not UNSET:
        values["evidence"] = _evidence(check, snapshot, request.evidence)
    if request.boot_grace is not UNSET:
        values["boot_grace"] = check.seconds("boot_grace", request.boot_grace, *BOOT_GRACE)
    if request.storm_limit is not UNSET:
        values["storm_limit"] = _storm_limit(check, snapshot, request.storm_limit)
    if request.vcpu_ratio is not UNSET:
        values["vcpu_ratio"] = check.fraction("vcpu_ratio", request.vcpu_ratio, *VCPU_RATIO, or_zero=True)
    if request.spare_nodes is not UNSET:
        values["spare_nodes"] = check.number("spare_nodes", request.spare_nodes, SPARE_NODES, "nodes")
    if request.parallel_moves is not UNSET:
        values["parallel_moves"] = check.number("parallel_moves", request.parallel_moves, PARALLEL_MOVES, "VMs")
    if request.rebalance_threshold is not UNSET:
        threshold = check.fraction("rebalance_threshold", request.rebalance_threshold, *REBALANCE_THRESHOLD)
        values["rebalance_threshold"] = threshold
    session = _session_timeout(check, request, values.get("evidence", base.evidence))
    if session is not None:
        values["session_timeout"] = session
    return dataclasses.replace(base, **values)


def _session_timeout(check: Checker, request: SettingsRequest, evidence: Sequence[str]) -> float | None:
    """The session's time, given or derived from the budget; None when neither was given."""
    if request.ha_budget is not UNSET:
        if request.session_timeout is not UNSET:
            check.refuse("ha_budget", "session_timeout follows from it", "give one of the two")
        budget = check.seconds("ha_budget", request.ha_budget, *_ANY)
        session = ha_budget.session_timeout(budget, evidence)
        unsafe = ha_budget.why_unsafe(session)
        if unsafe:
            spent = f"{budget - session:g} s of it are for all but the session, with evidence {_words(list(evidence))}"
            allowed = f"give from {ha_budget.least(evidence):g} to {ha_budget.most(evidence):g} seconds"
            check.refuse("ha_budget", f"{budget:g} s is not safe: {spent}, and {unsafe}", allowed)
        return session
    if request.session_timeout is not UNSET:
        session = check.seconds("session_timeout", request.session_timeout, *_ANY)
        unsafe = ha_budget.why_unsafe(session)
        if unsafe:
            allowed = f"give from {ha_budget.SHORTEST_SESSION:g} to {ha_budget.LONGEST_SESSION:g} seconds"
            check.refuse("session_timeout", unsafe, allowed)
        return session
    return None


def _evidence(check: Checker, snapshot: Snapshot, wanted: Sequence[str]) -> tuple[str, ...]:
    kinds = {check.choice(f"evidence[{index}]", kind, EVIDENCE) for index, kind in enumerate(wanted)}
    if not kinds:
        problem = "without any evidence no fence is ever proven by itself, and no VM recovered"
        check.refuse("evidence", problem, f"give {' or '.join(EVIDENCE)}, or both")
    if kinds == {"powered_off"}:
        lacking = [name for name, node in sorted(snapshot.nodes.items()) if node.value and not node.value.fence]
        if lacking:
            problem = f"powered_off alone is evidence that no device can give for {', '.join(lacking)}"
            check.refuse("evidence", problem, "declare fence devices of these nodes first, or accept storage_cut, too")
    if "powered_off" not in kinds:
        need = [name for name, vm in sorted(snapshot.vms.items()) if vm.value and vm.value.ha.power_off]
        if need:
            more = f" and {len(need) - 5} more" if len(need) > 5 else ""
            problem = f"{', '.join(need[:5])}{more} need powered_off, since a storage cut is not enough for them"
            check.refuse("evidence", problem, "accept powered_off, too, or set ha.power_off of these VMs to false")
    return tuple(kind for kind in EVIDENCE if kind in kinds)


def _storm_limit(check: Checker, snapshot: Snapshot, wanted: int) -> int:
    limit = check.number("storm_limit", wanted, range(1001), "nodes")
    nodes = len(snapshot.nodes)
    if limit and nodes and 2 * limit > nodes:
        problem = (
            f"{limit} of {nodes} nodes are a majority: a part of the cluster that was cut off could fence the rest"
        )
        check.refuse("storm_limit", problem, f"give at most {nodes // 2}; 0 stands for fewer than half of all")
    return limit


def _words(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
