# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""One rule or a list of them, as arguments and as requests to the library."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping

from .pvc_state import rule_spec
from .pvc_state.option_values import given
from .pvc_state.requests import RuleRequest

#: Arguments that describe one rule or a list of them.
SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str", "required": True}, **rule_spec.OPTIONS},
    },
    **rule_spec.OPTIONS,
}


def requests(params: Mapping[str, t.Any]) -> list[RuleRequest]:
    """What a task asks for; options beside a list are the defaults of everything in it."""
    common = given({key: params[key] for key in rule_spec.OPTIONS})
    listed = params["rules"] if params["name"] is None else [{"name": params["name"]}]
    return [rule_spec.request({**common, **given(options)}) for options in listed]
