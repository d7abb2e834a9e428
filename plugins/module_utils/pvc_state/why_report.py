# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a VM is where it is and not yet as wanted, and why a node is as it is: in words. Pure.

Everything is asked of those who decide: placement, the leader's plan of moves, the drain's report, the judge of health.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from .drain_report import drain_view, drains, why_held
from .fence_report import summary
from .health import Report
from .node_limits import EMPTY, why_closed
from .placement import Choice, Placement
from .plan_moves import plan_moves
from .records import Vm
from .rule_book import RuleBook
from .snapshot import Snapshot
from .views import LIVE, reports_now, settled, vm_status, why_late


def why_vm(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """A VM that exists: what holds it back, why it is where it is, and what placement and the leader would do with it.

    ``late`` is empty for a VM that is as wanted. ``placement`` is None where the record is damaged. ``reported`` is whether what is
    observed is of its node's present boot.
    """
    vm, claim, observed = snapshot.vms[name].value, snapshot.claims.get(name), vm_status(snapshot, name)
    owner = claim.value if claim is not None else None
    book = RuleBook(snapshot)
    live = observed is not None and observed.state in LIVE
    return {
        "name": name,
        "state": vm.state if vm is not None else None,
        "observed": observed.state if observed is not None else None,
        "reported": reports_now(snapshot, snapshot.owner(name)),
        "node": owner.node if owner is not None else None,
        "to": (owner.to or None) if owner is not None else None,
        "settled": settled(snapshot, name),
        "late": why_late(snapshot, name),
        "reason": observed.reason if observed is not None else "",
        "here": _here(snapshot, name),
        "moved": observed.moved if observed is not None else "",
        "home": (owner.home or None) if owner is not None else None,
        "pending": list(observed.pending) if observed is not None and live else [],
        "rules": sorted(
            {rule.rule for rule in book.preferences(name) if rule.rule}
            | set(book.apart(name))
            | set(book.groups[name].rules if name in book.groups else ())
        ),
        "placement": _placement(snapshot, name, vm) if vm is not None else None,
        "leader": _leader(snapshot, name),
    }


def why_node(report: Report, name: str) -> dict[str, Any]:
    """A node that exists: whether it takes VMs and why not, what is wrong on it, and what keeps it from being empty."""
    snapshot = report.snapshot
    node, status = snapshot.nodes[name].value, snapshot.report(name)
    emptied = node is not None and node.state in EMPTY
    return {
        "name": name,
        "state": node.state if node is not None else None,
        "damaged": snapshot.nodes[name].invalid,
        "alive": name in snapshot.alive,
        "closed": why_closed(snapshot, name),
        "leading": report.leader == name,
        "fenced": summary(snapshot, name),
        "signed_off": status.signed_off.why if status is not None and status.signed_off is not None else None,
        "leaving": status.leaving or None if status is not None else None,
        "unhealthy": [finding.text for finding in report.findings if finding.node == name],
        "drain": drain_view(drains(snapshot, [name]).nodes[name]) if emptied else None,
    }


def _here(snapshot: Snapshot, name: str) -> str:
    """Why the VM has its claim where it has it, as far as that was noted."""
    claim, vm = snapshot.claims.get(name), snapshot.vms[name].value
    if claim is None:
        return ""
    if claim.value is None:
        return f"its claim is damaged ({claim.invalid})"
    if claim.value.why:
        return claim.value.why
    return "bound to it by its option node" if vm is not None and vm.node == claim.value.node else ""


def _placement(snapshot: Snapshot, name: str, vm: Vm) -> dict[str, Any]:
    """Where the engine would put it if it were nowhere yet, and what speaks against each of the other nodes."""
    others = {other: claim for other, claim in snapshot.claims.items() if other != name}
    placement = Placement(replace(snapshot, claims=MappingProxyType(others)))
    found = placement.find({name: vm})
    best = found.node if isinstance(found, Choice) else None
    against = {node: placement.why_not({name: vm}, node) for node in placement.nodes}
    return {"node": best, "why": found.why, "against": {node: why for node, why in against.items() if why}}


def _leader(snapshot: Snapshot, name: str) -> dict[str, Any]:
    """What the leader is about to do with it: where it moves it and why, or why it cannot."""
    held = why_held(snapshot)
    if held:
        return {"to": None, "why": "", "blocked": held}
    moves = plan_moves(snapshot)
    wish = next((wish for wish in moves.wishes if wish.vm == name), None)
    return {
        "to": wish.to if wish is not None else None,
        "why": wish.why if wish is not None else "",
        "blocked": moves.blocked.get(name, ""),
    }
