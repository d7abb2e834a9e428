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
  alive:
    description: Only nodes whose agent has a session with ZooKeeper, or only those whose agent has none.
    type: bool
  state:
    description: Only nodes of which this is wanted.
    type: str
    choices: [ready, drained, maintenance]
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
    alive: false
  register: missing

- name: Wait for a drain that another task has begun
  pvc.cluster.node_info:
    names: [node4]
  register: info
  until: info.drains | rejectattr('empty') | length == 0
  retries: 60
  delay: 10

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
    state:
      description: V(ready), V(drained) or V(maintenance), as it is wanted.
      type: str
    coordinator:
      description: Whether it runs the quorum services.
      type: bool
    memory_reserve:
      description: MiB that no VM may be given.
      type: int
    fence:
      description:
        - Its fence devices, in order. RV(ignore:healthy) is whether the coordinators could read the node's power from it when
          they last tried, V(null) when none has tried yet. RV(ignore:why) is what is wrong, by coordinator.
      type: list
      elements: dict
      sample:
        - address: 10.0.3.11
          credential: bmc
          healthy: true
          kind: ipmi
          name: bmc
          options: {cipher_suite: "17"}
          username: fence
          why: ""
    fence_together:
      description: Whether it is off only when all of its fence devices say so.
      type: bool
    devices:
      description: Its devices that VMs may have for themselves.
      type: list
      elements: dict
      sample: [{address: "0000:65:00.0", kind: pci, name: gpu}]
    generation:
      description: Number of changes by users, its registration included.
      type: int
    document:
      description: Name of the document that it belongs to, see M(pvc.cluster.apply). Empty for none.
      type: str
    alive:
      description: Whether its agent has a session with ZooKeeper.
      type: bool
    fenced:
      description: The fence of the node that stands, in short. V(null) when none does. See M(pvc.cluster.fence_info).
      type: dict
    vms:
      description: Names of the VMs that it has the claim of.
      type: list
      elements: str
    observed:
      description:
        - What its agent has reported last. V(null) until it has.
        - While the node shuts down, RV(ignore:leaving) is what becomes of its VMs. RV(ignore:signed_off) is what it declared when
          it went down on purpose.
      type: dict
      sample:
        addresses: {cluster: 10.0.1.11, storage: 10.0.2.11, upstream: 10.0.0.11}
        agent: 0.1.0
        boot_id: 2f1c7f5e-6a1e-4c53-9a55-0a1d8a2c4b11
        bridges: [br0]
        cpus: 16
        memory: 64220
        memory_free: 46812
        leaving: null
        memory_reserved: 16384
        pools: [vms]
        signed_off: null
        storage_address: 10.0.2.11
drains:
  description: How far those of the nodes are emptied that are to be drained or in maintenance.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: Its name.
      type: str
    empty:
      description: Whether no VM is left that should leave.
      type: bool
    left:
      description:
        - The VMs that have yet to leave it, with the node that each goes to and the reason. RV(ignore:to) is V(null) for one that
          can be moved nowhere. RV(ignore:why) says what is in the way.
      type: list
      elements: dict
      sample: [{vm: web1, to: null, why: "node4 is drained, but it is bound to node4 by its option node"}]
    staying:
      description: The VMs that are nobody's to move, with the reason.
      type: list
      elements: dict
      sample: [{vm: old, why: it is disabled}]
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.records import NODE_STATES

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    if snapshot is None:
        return {"changed": False, "nodes": [], "drains": []}
    _module.warn(module, snapshot)
    only = module.params
    found = info.nodes(snapshot, only["names"], only["alive"], only["state"], only["coordinator"])
    return {"changed": False, **found}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "names": {"type": "list", "elements": "str"},
            "alive": {"type": "bool"},
            "state": {"type": "str", "choices": list(NODE_STATES)},
            "coordinator": {"type": "bool"},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
