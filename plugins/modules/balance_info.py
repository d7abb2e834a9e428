#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: balance_info
short_description: Propose moves that spread the VMs more evenly
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns how unevenly the nodes are loaded, and the moves that would change that, the best first, each with its gain and reason.
    Nothing is changed.
  - Every rule holds for every move, and so does the room on each node. A VM counts on both ends of its move until it has arrived.
  - VMs that do not run stay where they are. So do those that cannot be moved while they run, unless O(cold=true), those that are bound to a
    node, and those that are to return home.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._balance
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  max_moves:
    description: How many VMs are moved at most. By default any number.
    type: int
seealso:
  - module: pvc.cluster.balance
    description: Carries the moves out.
  - module: pvc.cluster.settings
    description: Says what decides where VMs go, and whether the cluster spreads them by itself.
"""

EXAMPLES = r"""
- name: What would make it more even
  pvc.cluster.balance_info:
    max_moves: 5
  register: proposal

- name: Say it
  ansible.builtin.debug:
    msg: "{{ [proposal.sentence] + proposal.moves | map(attribute='why') }}"

- name: Nothing is to be done
  ansible.builtin.assert:
    that: proposal.moves == []
"""

RETURN = r"""
resources:
  description: What counts, which follows from O(pvc.cluster.settings#module:placement).
  returned: success
  type: list
  elements: str
  sample: [memory, vcpus]
spread:
  description:
    - How unevenly the nodes are loaded. It is the standard deviation of their shares of a resource, divided by the mean of these, on
      average over the resources. V(0) is even, V(1) is as far from it as what they carry on average.
  returned: success
  type: float
spread_after:
  description: The spread after all moves of the plan.
  returned: success
  type: float
sentence:
  description: The plan in a sentence.
  returned: success
  type: str
  sample: "The spread is 0.55; 4 moves would make it 0.02."
moves:
  description: The moves, the best first.
  returned: success
  type: list
  elements: dict
  contains:
    vms:
      description: The VM, or those that are kept together and go as one.
      type: list
      elements: str
    from:
      description: The node that they leave.
      type: str
    to:
      description: The node that they go to.
      type: str
    stage:
      description: Moves of one stage can be under way together. Those of a later one need the room that earlier ones leave.
      type: int
    spread:
      description: The spread after this move and all before it.
      type: float
    gain:
      description: The share of the spread before it that this move takes away. Of an exchange, the second move may show the gain of both.
      type: float
    why:
      description: In words, what the two nodes carry before it.
      type: str
  sample:
    - vms: [web1]
      from: node1
      to: node2
      stage: 1
      spread: 0.31
      gain: 0.44
      why: "node1 has 71% of its memory given away and 1.25 vCPUs for each processor, node2 12% of its memory given away and 0.25 vCPUs for
        each processor"
nodes:
  description: The nodes that take VMs, with what they carry. No other nodes count.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node.
      type: str
    load:
      description: By resource, the share of what it has that is given away. For V(vcpus) it is vCPUs for each processor.
      type: dict
    load_after:
      description: The same after all moves of the plan.
      type: dict
  sample: [{node: node1, load: {memory: 0.71, vcpus: 1.25}, load_after: {memory: 0.4, vcpus: 0.75}}]
staying:
  description: VMs of these nodes that are not moved for this, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{vm: db1, why: "it is bound to node1 by its option node"}]
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(min_gain).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils._balance import SPEC, plan
from ..module_utils.pvc_state.balance_report import balance_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    found = plan(module.params, snapshot if snapshot is not None else _module.empty_system(module))
    if snapshot is None:
        return {"changed": False, **balance_view(found)}
    _module.warn(module, snapshot)
    return {"changed": False, **balance_view(found), "cluster_name": snapshot.schema.cluster}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module({**SPEC, "max_moves": {"type": "int"}})
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
