#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rule
short_description: Say where VMs may run, and which run together or apart
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Declares rules that every placement keeps, whether a VM is created, moved, or recovered from a dead node. One rule (O(name)) or
    any number of them (O(rules)) are one plan and one transaction. Either everything is committed or nothing.
  - An option that is left out keeps its value, and has the default that is named here in a new rule.
  - VMs that break a rule when it is declared are moved by the cluster. The result says which.
  - Rules that can never be kept are refused, whatever room nodes have. The error names the fewest of them that contradict each other.
extends_documentation_fragment:
  - pvc.cluster._rule
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
seealso:
  - module: pvc.cluster.rule_info
  - module: pvc.cluster.vm
"""

EXAMPLES = r"""
- name: The first two workers never share a node
  pvc.cluster.rule:
    name: workers
    kind: apart
    vms: [worker1, worker2]

- name: The third runs beside the first, and its licence is for two nodes, of which the first is faster
  pvc.cluster.rule:
    rules:
      - {name: beside, kind: together, vms: [worker1, worker3]}
      - name: licence
        kind: node_preference
        strict: true
        vms: [worker3]
        nodes: [{name: node1, priority: 10}, {name: node2, priority: 5}]

- name: The workers may share a node again, and the licence is for all nodes
  pvc.cluster.rule:
    rules: [{name: workers}, {name: licence}]
    state: absent
"""

RETURN = r"""
rule:
  description: The rule as it is now, or would be in check mode. V(null) when it does not exist.
  returned: success, with O(name)
  type: dict
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
rules:
  description: The same for each rule in O(rules) that exists.
  returned: success, with O(rules)
  type: list
  elements: dict
why:
  description: By rule, what was changed and which VMs will move for it, or that there is nothing to change.
  returned: success
  type: dict
  sample: {workers: "declared; worker2 moves to node2 (rule workers keeps it apart from worker1)"}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(rule workers).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(vms).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module, _rule
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.plan_rules import plan_rules
from ..module_utils.pvc_state.rule_report import rule_views
from ..module_utils.pvc_state.snapshot import NotInitialised

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    requests = _rule.requests(module.params)
    try:
        done = commit(
            store,
            lambda snapshot: plan_rules(snapshot, requests),
            check_mode=module.check_mode,
            author=_module.author(module),
        )
    except NotInitialised:
        if not module.check_mode:
            raise
        return _module.on_empty_system(module, {one.name: one.state != "absent" for one in requests})
    after = done.snapshot_after
    rules = rule_views(after, [one.name for one in requests if one.name in after.rules])
    shown = {"rules": rules} if module.params["name"] is None else {"rule": rules[0] if rules else None}
    return {**_module.outcome(module, done.plan), **shown}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        _rule.SPEC, mutually_exclusive=[("name", "rules")], required_one_of=[("name", "rules")]
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
