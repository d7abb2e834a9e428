#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Show the cluster's nodes
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns what is registered of nodes, whether their agents are alive, and what these report.
  - A node whose record is damaged is returned, too, with the reason.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  names:
    description: Only nodes of these names. A name that does not exist is not an error.
    type: list
    elements: str
  state:
    description:
      - Only nodes whose agent has a session with ZooKeeper (V(alive)), or only those whose agent has none (V(dead)).
    type: str
    choices: [alive, dead]
  coordinator:
    description: Only coordinators, or only nodes that are none.
    type: bool
seealso:
  - module: pvc.cluster.node
  - module: pvc.cluster.vm_info
"""

EXAMPLES = r"""
- name: Nodes that do not answer
  pvc.cluster.node_info:
    state: dead
  register: missing

- name: None is missing
  ansible.builtin.assert:
    that: missing.nodes | length == 0
"""

RETURN = r"""
nodes:
  description:
    - The nodes that all filters let through, by name, each with the keys of RV(pvc.cluster.node#module:node).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    damaged:
      description: Empty, or why its record or status cannot be read. What is not known is missing then.
      type: str
    coordinator:
      description: Whether it runs the quorum services.
      type: bool
    memory_reserve:
      description: MiB that no VM may be given.
      type: int
    generation:
      description: Number of changes by users, its registration included.
      type: int
    alive:
      description: Whether its agent has a session with ZooKeeper.
      type: bool
    vms:
      description: Names of the VMs that it has the claim of.
      type: list
      elements: str
    observed:
      description: What its agent has reported last. V(null) until it has.
      type: dict
      sample:
        addresses: {cluster: 10.0.1.11, storage: 10.0.2.11, upstream: 10.0.0.11}
        agent: 0.1.0
        boot_id: 2f1c7f5e-6a1e-4c53-9a55-0a1d8a2c4b11
        bridges: [br0]
        cpus: 16
        memory: 64220
        memory_free: 46812
        memory_reserved: 16384
        pools: [vms]
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.views import node_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    if snapshot is None:
        return {"changed": False, "nodes": []}
    only = module.params
    names = sorted(snapshot.nodes) if only["names"] is None else sorted(set(only["names"]) & set(snapshot.nodes))
    nodes = [
        node
        for node in (node_view(snapshot, name) for name in names)
        if only["state"] in (None, "alive" if node["alive"] else "dead")
        and only["coordinator"] in (None, node.get("coordinator"))
    ]
    return {"changed": False, "nodes": nodes, "cluster_name": snapshot.schema.cluster}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "names": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": ["alive", "dead"]},
            "coordinator": {"type": "bool"},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
