# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""The options that describe rules, as arguments and as requests to the library.

They are documented in ``doc_fragments/_rule.py``; keep the two in step.
"""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from ._module import given
from .pvc_state.errors import InvalidRequest
from .pvc_state.plan_rules import STATES
from .pvc_state.records import RULES
from .pvc_state.requests import RuleRequest

_NODE = {
    "name": {"type": "str", "required": True},
    "priority": {"type": "int", "default": 0},
}
_RULE: dict[str, t.Any] = {
    "state": {"type": "str", "choices": list(STATES)},
    "kind": {"type": "str", "choices": list(RULES)},
    "vms": {"type": "list", "elements": "str"},
    "nodes": {"type": "list", "elements": "dict", "options": _NODE},
    "strict": {"type": "bool"},
}

#: Arguments that describe one rule or a list of them.
SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "rules": {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}, **_RULE}},
    **_RULE,
}


def requests(params: Mapping[str, t.Any]) -> list[RuleRequest]:
    """What a task asks for; options beside a list are the defaults of everything in it."""
    common = given({key: params[key] for key in _RULE})
    listed = params["rules"] if params["name"] is None else [{"name": params["name"]}]
    return [_request({**common, **given(options)}) for options in listed]


def _request(options: dict[str, t.Any]) -> RuleRequest:
    if options.get("state") == "absent":
        # So that a rule in a list is removed by changing its state, whatever else describes it there.
        options = {key: options[key] for key in ("name", "state")}
    if "nodes" in options:
        nodes: dict[str, int] = {}
        for node in options["nodes"]:
            if node["name"] in nodes:
                raise InvalidRequest(
                    f"node {node['name']} is in it twice",
                    obj=f"rule {options['name']}",
                    option="nodes",
                    remedy="name each node once",
                )
            nodes[node["name"]] = node["priority"]
        options["nodes"] = nodes
    return RuleRequest(**options)
