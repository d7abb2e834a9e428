#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Register, drain, fence and remove nodes of the cluster
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Says which machines belong to the cluster. One node (O(name)) or any number of them (O(nodes)) are one plan and one
    transaction. Either everything is committed or nothing.
  - The first registration also initialises the cluster's tree in ZooKeeper.
  - An option that is left out keeps its value on a registered node, and has the default that is named here on a new
    one.
  - It does not touch the machine itself. The roles of this collection deploy it.
extends_documentation_fragment:
  - pvc.cluster._node
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  verify:
    description:
      - Whether to wait until the coordinators have read the nodes' power from the devices in O(fence), for half a minute at most.
        Nothing is switched.
      - The task fails when one of them cannot use a device that is new or was changed. The device is declared all the same, so
        that the task can be repeated once the cause is removed.
      - It only warns of other devices, and when nobody could try, as long as no agent runs.
    type: bool
    default: true
  wait:
    description:
      - Whether to wait until nodes with O(state=drained) or O(state=maintenance) are empty, and until VMs have returned to nodes
        with O(state=ready).
      - When some VMs can be moved nowhere, and nothing else moves any more, the task fails at once. RV(drains) says which and
        why. What remains moves by itself once the reasons are gone. VMs that are disabled or ignored stay, and the task
        warns of them.
      - A VM that cannot return is warned of.
      - Each VM that has gone is written to the log of the machine that the module runs on.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait for nodes and VMs before the task fails.
    type: int
    default: 600
  force:
    description:
      - Whether to drain even the last node that takes VMs, while VMs run on it. They can go nowhere, so that the task fails
        all the same unless O(wait=false).
    type: bool
    default: false
  cluster_name:
    description:
      - Name of the cluster. Required when the tree has not been initialised yet.
      - When the tree belongs to a cluster of another name, the module fails and changes nothing.
    type: str
seealso:
  - module: pvc.cluster.node_info
"""

EXAMPLES = r"""
- name: Register the cluster's nodes, and initialise the cluster when these are its first
  pvc.cluster.node:
    cluster_name: lab
    nodes:
      - {name: node1, coordinator: true}
      - {name: node2, coordinator: true}
      - {name: node3, coordinator: true}
      - {name: node4, memory_reserve: 2G}

- name: Each of these has a management controller, whose password is in the file bmc on the coordinators
  pvc.cluster.node:
    nodes:
      - {name: node1, fence: [{name: bmc, kind: ipmi, address: 10.0.3.11, username: fence, credential: bmc}]}
      - {name: node2, fence: [{name: bmc, kind: ipmi, address: 10.0.3.12, username: fence, credential: bmc}]}

- name: This one has two power supplies, each at a socket of its own
  pvc.cluster.node:
    name: node4
    fence_together: true
    fence:
      - {name: left, kind: redfish, address: "https://pdu1.example.com", username: fence, credential: pdu}
      - {name: right, kind: redfish, address: "https://pdu2.example.com", username: fence, credential: pdu}

- name: Both have a graphics processor that one VM at a time can have
  pvc.cluster.node:
    nodes:
      - {name: node2, devices: [{name: gpu, kind: pci, address: "0000:65:00.0"}]}
      - {name: node3, devices: [{name: gpu, kind: pci, address: "0000:b3:00.0"}]}

- name: Move all VMs away before its memory is replaced
  pvc.cluster.node:
    name: node4
    state: maintenance

- name: Empty a whole rack, as many VMs at a time as the settings allow
  pvc.cluster.node:
    nodes: [{name: node3}, {name: node4}]
    state: drained
    wait_timeout: 3600
  register: rack

- name: Where they went
  ansible.builtin.debug:
    var: rack.drains

- name: What a drain would do, without doing it
  pvc.cluster.node:
    name: node4
    state: drained
  check_mode: true

- name: It takes VMs again, and those that it had return
  pvc.cluster.node:
    name: node4
    state: ready

- name: It takes VMs again, but what has left it stays where it is
  pvc.cluster.node:
    name: node4
    state: ready
    return_vms: false

- name: Remove a node that no VM belongs to any more
  pvc.cluster.node:
    name: node4
    state: absent
"""

RETURN = r"""
node:
  description: The node as it is now, or would be in check mode. V(null) when it does not exist.
  returned: success, with O(name)
  type: dict
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
nodes:
  description: The nodes of the task that exist now, or would in check mode, in its order, each like RV(node).
  returned: success, with O(nodes)
  type: list
  elements: dict
drains:
  description:
    - How far the nodes with O(state=drained) or O(state=maintenance) are emptied. In check mode, what would become of their VMs.
    - Also returned when the task fails since VMs are left.
  returned: when a node is to be empty
  type: list
  elements: dict
  contains:
    node:
      description: Its name.
      type: str
    empty:
      description: Whether no VM is left that should leave.
      type: bool
    moved:
      description: The VMs that have left it during this task, in order, with the node where each is now, and after how many seconds.
      type: list
      elements: dict
      sample: [{vm: web1, to: node2, seconds: 3.4}]
    left:
      description:
        - The VMs that have yet to leave it, with the node that each goes to and the reason. RV(ignore:to) is V(null) for one that
          can be moved nowhere. RV(ignore:why) says what is in the way.
      type: list
      elements: dict
      sample:
        - vm: web1
          to: null
          why: "node4 is drained, but it is bound to node4 by its option node"
    staying:
      description: The VMs that are nobody's to move, with the reason.
      type: list
      elements: dict
      sample: [{vm: old, why: it is disabled}]
why:
  description: By node, what was changed and for what reason, or that there is nothing to change.
  returned: success
  type: dict
  sample: {node1: added to the cluster}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(node node4).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(memory_reserve).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module, _node
from ..module_utils.pvc_state.commit import commit_nodes
from ..module_utils.pvc_state.errors import InvalidRequest, PvcError
from ..module_utils.pvc_state.plan_node import plan_nodes
from ..module_utils.pvc_state.views import node_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.plan import Plan
    from ..module_utils.pvc_state.snapshot import Snapshot
    from ..module_utils.pvc_state.store import Store
    from ..module_utils.pvc_state.wait_node import Gone


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    params = module.params
    requests = _node.requests(params)

    def plan(snapshot: Snapshot | None) -> Plan:
        if snapshot is None and not params["cluster_name"]:
            raise InvalidRequest(
                "it is missing, and the store holds no cluster yet",
                obj="cluster",
                option="cluster_name",
                remedy="name the cluster to be made, or check hosts and root",
            )
        name = params["cluster_name"] or snapshot.schema.cluster
        return plan_nodes(snapshot, requests, name, force=params["force"])

    done = commit_nodes(store, plan, check_mode=module.check_mode, author=_module.author(module))
    names, snapshot, result = [one.name for one in requests], done.snapshot_after, _module.outcome(module, done.plan)
    _node.warn(module, requests, done)
    gone: t.Sequence[Gone] = ()
    if not module.check_mode:
        try:
            if params["verify"]:
                _node.verify(module, store, requests, done)
            if params["wait"]:
                snapshot, gone = _node.settle(module, store, requests, done, result)
        except PvcError as err:
            _module.fail(module, err, **result)
    result |= _node.show(snapshot, requests, gone)
    nodes = [node_view(snapshot, name) for name in names if name in snapshot.nodes]
    shown = {"nodes": nodes} if params["name"] is None else {"node": nodes[0] if nodes else None}
    return {**result, **shown}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            **_node.SPEC,
            "cluster_name": {"type": "str"},
            "verify": {"type": "bool", "default": True},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 600},
            "force": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("name", "nodes")],
        required_one_of=[("name", "nodes")],
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
