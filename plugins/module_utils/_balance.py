# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""What the modules that spread VMs have in common. Documented in ``doc_fragments/_balance.py``; keep the two in step."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from .pvc_state.errors import InvalidRequest
from .pvc_state.plan_balance import MIN_GAIN, STAGES, Balance, plan_balance
from .pvc_state.snapshot import Snapshot

SPEC: dict[str, t.Any] = {
    "min_gain": {"type": "float", "default": MIN_GAIN},
    "cold": {"type": "bool", "default": False},
}


def plan(params: Mapping[str, t.Any], snapshot: Snapshot, *, stages: int = STAGES) -> Balance:
    """The plan that a task asks for; raises InvalidRequest."""
    if not 0.0 <= params["min_gain"] <= 1.0:
        raise InvalidRequest(
            f"{params['min_gain']:g} is no share of the spread", option="min_gain", remedy="give 0 to 1, such as 0.05"
        )
    count(params, "max_moves")
    return plan_balance(
        snapshot, max_moves=params["max_moves"], min_gain=params["min_gain"], cold=params["cold"], stages=stages
    )


def count(params: Mapping[str, t.Any], option: str) -> None:
    """Refuse less than none."""
    if params[option] is not None and params[option] < 0:
        raise InvalidRequest(f"{params[option]} is no number of VMs", option=option, remedy="give 0 or more")
