# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""The options that describe rules; keep in step with ``module_utils/_rule.py``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the rule. It has 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends.
      - Exactly one of O(name) and O(rules) is required.
    type: str
  rules:
    description:
      - Any number of rules, each with its name and the same options as a single one.
      - Options given beside O(rules) are the defaults of all rules in the list.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the rule.
        type: str
        required: true
      state: &state
        description:
          - V(present) declares the rule or changes it. It is what happens by default.
          - V(absent) removes it. All other options but O(name) are ignored then.
        type: str
        choices: [present, absent]
      kind: &kind
        description:
          - V(node_preference) has the VMs run on certain nodes, see O(nodes) and O(strict).
          - V(together) has them run on the same node. Rules that share a VM are one group.
          - V(apart) has no two of them run on the same node.
          - Required for a new rule.
        type: str
        choices: [node_preference, together, apart]
      vms: &vms
        description:
          - All VMs that the rule is about, in any order. They must exist. One that is deleted later may stay in the list, and the
            rule is about it again if it is created again.
          - Required for a new rule.
        type: list
        elements: str
      nodes: &nodes
        description:
          - All nodes that the VMs prefer, for O(kind=node_preference). Of those that can take a VM, one with the highest priority
            does, and the VM returns to such a node when it can, unless its O(pvc.cluster.vm#module:ha.failback) says otherwise.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the node.
            type: str
            required: true
          priority:
            description: The higher is preferred, from -1000 to 1000.
            type: int
            default: 0
      strict: &strict
        description:
          - For O(kind=node_preference), whether the VMs never run on any other node. They wait for one of these nodes then, also
            when a node dies. A new rule is not strict by default.
          - Rules of the other kinds always are.
        type: bool
  state: *state
  kind: *kind
  vms: *vms
  nodes: *nodes
  strict: *strict
"""
