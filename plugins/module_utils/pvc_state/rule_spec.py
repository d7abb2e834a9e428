# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that describe a rule, in tasks and in documents: which there are, and the request that they come to.

They are documented in ``doc_fragments/_rule.py``; keep the two in step. Tables have the form of Ansible's argument specs.
"""

from __future__ import annotations

from typing import Any

from .errors import InvalidRequest
from .plan_rules import STATES
from .records import RULES
from .requests import RuleRequest

_NODE = {
    "name": {"type": "str", "required": True},
    "priority": {"type": "int", "default": 0},
}
#: The options of one rule beside its name.
OPTIONS: dict[str, Any] = {
    "state": {"type": "str", "choices": list(STATES)},
    "kind": {"type": "str", "choices": list(RULES)},
    "vms": {"type": "list", "elements": "str"},
    "nodes": {"type": "list", "elements": "dict", "options": _NODE},
    "strict": {"type": "bool"},
}


def request(options: dict[str, Any]) -> RuleRequest:
    """What is asked for; ``options`` is what was given, the rule's name with it."""
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
