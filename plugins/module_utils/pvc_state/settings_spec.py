# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that describe the cluster's settings, in tasks and in documents, and the request that they come to.

They are documented in the module settings; keep the two in step. The table has the form of Ansible's argument specs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .plan_settings import EVIDENCE, REJOIN
from .records import PLACEMENTS, SHUTDOWN_POLICIES
from .requests import SettingsRequest

#: The options of the settings.
OPTIONS: dict[str, Any] = {
    "maintenance": {"type": "bool"},
    "shutdown_policy": {"type": "str", "choices": list(SHUTDOWN_POLICIES)},
    "placement": {"type": "str", "choices": list(PLACEMENTS)},
    "evidence": {"type": "list", "elements": "str", "choices": list(EVIDENCE)},
    "rejoin": {"type": "str", "choices": list(REJOIN)},
    "ha_budget": {"type": "float"},
    "session_timeout": {"type": "float"},
    "boot_grace": {"type": "float"},
    "storm_limit": {"type": "int"},
    "early_suspicion": {"type": "bool"},
    "vcpu_ratio": {"type": "float"},
    "spare_nodes": {"type": "int"},
    "parallel_moves": {"type": "int"},
    "rebalance": {"type": "bool"},
    "rebalance_threshold": {"type": "float"},
}


def request(options: Mapping[str, Any]) -> SettingsRequest:
    """What is asked for; ``options`` is what was given."""
    return SettingsRequest(**options)
