# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan of balance says, as results show it, and what it comes to as moves that are asked for."""

from __future__ import annotations

from typing import Any

from .plan_balance import Balance, BalanceMove
from .requests import MoveRequest


def balance_view(plan: Balance) -> dict[str, Any]:
    """A plan as a plain dictionary."""
    return {
        "resources": list(plan.kinds),
        "spread": round(plan.before, 4),
        "spread_after": round(plan.after, 4),
        "sentence": sentence(plan),
        "moves": [move_view(move) for move in plan.moves],
        "nodes": [
            {"node": node, "load": _rounded(load), "load_after": _rounded(plan.loads_after[node])}
            for node, load in sorted(plan.loads.items())
        ],
        "staying": [{"vm": vm, "why": why} for vm, why in sorted(plan.staying.items())],
    }


def move_view(move: BalanceMove) -> dict[str, Any]:
    """One move of a plan."""
    return {
        "vms": list(move.vms),
        "from": move.source,
        "to": move.to,
        "stage": move.stage,
        "spread": round(move.spread, 4),
        "gain": round(move.gain, 4),
        "why": move.why,
    }


def sentence(plan: Balance) -> str:
    """A plan in words."""
    if not plan.loads:
        return "No node takes VMs: there is nothing to spread them over."
    if not plan.moves:
        return f"The spread is {plan.before:.2f}, and no move makes it much smaller."
    vms = sum(len(move.vms) for move in plan.moves)
    stages = max(move.stage for move in plan.moves)
    more = f", in {stages} stages" if stages > 1 else ""
    moves = f"{vms} move{'' if vms == 1 else 's'}{more}"
    return f"The spread is {plan.before:.2f}; {moves} would make it {plan.after:.2f}."


def requests(plan: Balance) -> list[MoveRequest]:
    """The moves as a user could ask for them: of VMs that are kept together the first one, which leads the others."""
    return [
        MoveRequest(
            move.vms[0],
            to=move.to,
            why=f"for a spread of {move.spread:.2f} instead of {plan.before:.2f}: {move.why}",
        )
        for move in plan.moves
    ]


def _rounded(load: Any) -> dict[str, float]:
    return {kind: round(share, 4) for kind, share in load.items()}
