#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rule_info
short_description: Show where VMs may run, and whether that is kept
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the cluster's rules, with what breaks them now and what they name that does not exist.
  - A rule whose record is damaged is returned, too, with the reason.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  names:
    description: Only rules of these names. A name that does not exist is not an error.
    type: list
    elements: str
  vms:
    description: Only rules that are about any of these VMs.
    type: list
    elements: str
  kind:
    description: Only rules of this kind.
    type: str
    choices: [node_preference, together, apart]
  only_broken:
    description: Only rules that are not kept at the moment.
    type: bool
    default: false
seealso:
  - module: pvc.cluster.rule
"""

EXAMPLES = r"""
- name: Rules that are not kept at the moment
  pvc.cluster.rule_info:
    only_broken: true
  register: info

- name: All are kept
  ansible.builtin.assert:
    that: info.rules | length == 0
"""

RETURN = r"""
rules:
  description: The rules, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    damaged:
      description: Empty, or why its record cannot be read. What is not known is missing then.
      type: str
    kind:
      description: What it is about.
      type: str
    vms:
      description: The VMs that it is about, sorted.
      type: list
      elements: str
    nodes:
      description: The nodes that they prefer, the most preferred first.
      type: list
      elements: dict
      sample: [{name: node1, priority: 10}, {name: node2, priority: 5}]
    strict:
      description: Whether it is never broken. For rules that are not node preferences it is always V(true).
      type: bool
    generation:
      description: Number of changes by users, its creation included.
      type: int
    document:
      description: Name of the document that it belongs to, see M(pvc.cluster.apply). Empty for none.
      type: str
    missing:
      description: VMs and nodes that it names and that do not exist (any more).
      type: list
      elements: str
      sample: [vm old, node node9]
    merged_with:
      description: Other rules of kind V(together) that are one group with it, since they share VMs.
      type: list
      elements: str
    broken:
      description:
        - What breaks it where the VMs are now, one sentence each. Empty when it is kept.
        - The cluster moves them by itself, unless something is against that.
      type: list
      elements: str
      sample: ["web1, web2 are on node1"]
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.records import RULES

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    if snapshot is None:
        return {"changed": False, "rules": []}
    _module.warn(module, snapshot)
    only = module.params
    found = info.rules(snapshot, only["names"], only["vms"], only["kind"], only["only_broken"])
    return {"changed": False, **found}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "names": {"type": "list", "elements": "str"},
            "vms": {"type": "list", "elements": "str"},
            "kind": {"type": "str", "choices": list(RULES)},
            "only_broken": {"type": "bool", "default": False},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
