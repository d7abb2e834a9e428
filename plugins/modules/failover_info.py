#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_info
short_description: Show what would happen if a node died now
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns, for each node by itself, which of its VMs would run where, in what order, what would not fit, and why.
  - It is the plan that the leading agent would make, made of the cluster as it is. Nothing is changed.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  nodes:
    description:
      - Only if one of these nodes died. By default, each node of the cluster in turn.
      - A node that is not registered is refused.
    type: list
    elements: str
  only_problems:
    description: Only nodes of which not every VM would run elsewhere.
    type: bool
    default: false
seealso:
  - module: pvc.cluster.fence_info
  - module: pvc.cluster.settings
"""

EXAMPLES = r"""
- name: What if each of the nodes died
  pvc.cluster.failover_info:
  register: what_if

- name: Say it
  ansible.builtin.debug:
    msg: "{{ what_if.failovers | map(attribute='sentence') }}"

- name: The cluster could lose any one node
  ansible.builtin.assert:
    that: what_if.fits

- name: In detail, for one node
  pvc.cluster.failover_info:
    nodes: [node1]
"""

RETURN = r"""
failovers:
  description: One for each node that was asked for, by name.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node that dies.
      type: str
    sentence:
      description: The rest in a sentence or two.
      type: str
      sample: "If node1 died now, 1 of 2 VMs would run elsewhere. Waiting: db1 (no node can take it: node2 has 512 MiB free,
        4096 are needed)."
    fits:
      description: Whether every VM that should run elsewhere would.
      type: bool
    moves:
      description: The VMs that would run elsewhere, in the order in which they get their nodes.
      type: list
      elements: dict
      sample: [{to: node2, vm: web1, why: "11264 MiB free, the only node that fits"}]
    waiting:
      description: The VMs that would run nowhere, by priority, with the reason.
      type: list
      elements: dict
      sample: [{vm: db1, why: "no node can take it: node2 has 512 MiB free, 4096 are needed"}]
    staying:
      description: The VMs of the node that would be left alone, with the reason.
      type: list
      elements: dict
      sample: [{vm: old1, why: "it is disabled, and stays where it is"}]
    held:
      description: Why nothing would be done at all, such as maintenance of the cluster. Empty when something would.
      type: str
    proof:
      description: What could prove that the node is gone, as far as the settings accept it.
      type: list
      elements: str
      sample: [storage cut, powered off by bmc]
fits:
  description: Whether RV(failovers[].fits) is true for all of them.
  returned: success
  type: bool
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    if snapshot is None:
        return {"changed": False, "failovers": [], "fits": True}
    _module.warn(module, snapshot)
    return {"changed": False, **info.failover(snapshot, module.params["nodes"], module.params["only_problems"])}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {"nodes": {"type": "list", "elements": "str"}, "only_problems": {"type": "bool", "default": False}}
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
