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
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  name:
    description:
      - Name of the node, which is its short host name.
      - Exactly one of O(name) and O(nodes) is required.
    type: str
  nodes:
    description:
      - Any number of nodes, each with its name and the same options as a single one.
      - Options given beside O(nodes) are the defaults of all nodes in the list.
    type: list
    elements: dict
    suboptions:
      name:
        description: Name of the node, which is its short host name.
        type: str
        required: true
      state: &state
        description:
          - V(ready) is for a node that takes VMs. A new node is V(ready) by default.
          - V(drained) moves its VMs away, and none is placed on it.
          - V(maintenance) is the same, and once it is empty nobody is worried when it goes down.
          - V(present) registers the node or changes what is registered, and leaves alone which of these it is. It is what
            happens by default.
          - V(absent) removes it. That is refused while it holds the claim of any VM.
        type: str
        choices: [present, ready, drained, maintenance, absent]
      coordinator: &coordinator
        description: Whether the node runs the quorum services. A new node does not by default.
        type: bool
      memory_reserve: &memory_reserve
        description:
          - Memory that no VM may be given, for the host and its daemons, in MiB or with a unit, such as V(2G).
          - A new node has 1024 MiB by default.
        type: str
      fence: &fence
        description:
          - All devices that can take the node's power, in the order in which they are tried. The default is none.
          - The coordinators' agents use them. The module itself contacts none.
        type: list
        elements: dict
        suboptions:
          name:
            description: Name of the device, unique within the node.
            type: str
            required: true
          kind:
            description: What the device speaks.
            type: str
            choices: [ipmi, redfish]
            required: true
          address:
            description: Host name or address, with a port where it is not the usual one. For V(redfish) a URL.
            type: str
            required: true
          username:
            description: As whom to log in.
            type: str
            default: ""
          credential:
            description:
              - Name of the file on the coordinators that holds the password. Role P(pvc.cluster.node_agent#role) writes these
                files.
              - The password itself is never a part of the cluster's state, so there is no option for it.
            type: str
            default: ""
          options:
            description: What else the kind knows, such as V(cipher_suite) of V(ipmi) or V(system) of V(redfish).
            type: dict
            default: {}
      fence_together: &fence_together
        description:
          - Whether the node is off only when all of its devices say so, as with several power supplies. Otherwise one is enough.
          - The default is V(false).
        type: bool
      declared_dead: &declared_dead
        description:
          - Vouches that the node is off, so that its VMs may run elsewhere. For a node that is fenced while no other evidence can
            be had.
          - If the node is not off, its VMs will run twice, and destroy their disks. Look at it, or pull its plugs.
          - Refused while the node has a session, and while no fence of it stands. Holds for that one fence only.
        type: dict
        suboptions:
          why:
            description: How you know that the node is off.
            type: str
            required: true
          by:
            description: Who you are. By default the user and the host that the module runs as and on.
            type: str
  state: *state
  coordinator: *coordinator
  memory_reserve: *memory_reserve
  fence: *fence
  fence_together: *fence_together
  declared_dead: *declared_dead
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
        - Its fence devices, in order. RV(ignore:healthy) is whether a coordinator could read the node's power from it when it
          last tried, V(null) when none has tried yet. RV(ignore:why) is what is wrong.
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
    generation:
      description: Number of changes by users, its registration included.
      type: int
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

import getpass
import json
import os
import socket
import time
import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.commit import commit_nodes
from ..module_utils.pvc_state.errors import InvalidRequest
from ..module_utils.pvc_state.plan_node import STATES, plan_nodes
from ..module_utils.pvc_state.records import FENCE_DEVICES, FenceDevice
from ..module_utils.pvc_state.requests import DeadRequest, NodeRequest
from ..module_utils.pvc_state.views import node_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.plan import Plan
    from ..module_utils.pvc_state.snapshot import Snapshot
    from ..module_utils.pvc_state.store import Store

_DEVICE = {
    "name": {"type": "str", "required": True},
    "kind": {"type": "str", "choices": list(FENCE_DEVICES), "required": True},
    "address": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "credential": {"type": "str", "default": ""},
    "options": {"type": "dict", "default": {}},
}
NODE = {
    "state": {"type": "str", "choices": list(STATES)},
    "coordinator": {"type": "bool"},
    "memory_reserve": {"type": "str"},
    "fence": {"type": "list", "elements": "dict", "options": _DEVICE},
    "fence_together": {"type": "bool"},
    "declared_dead": {"type": "dict", "options": {"why": {"type": "str", "required": True}, "by": {"type": "str"}}},
}


def request(options: dict[str, t.Any]) -> NodeRequest:
    given = _module.given(options)
    if given.get("state") == "absent":
        given = {"name": given["name"], "state": "absent"}
    if "fence" in given:
        given["fence"] = [_device(device) for device in given["fence"]]
    if "declared_dead" in given:
        word = given["declared_dead"]
        given["declared_dead"] = DeadRequest(word["why"], _whoever() if word["by"] is None else word["by"], _now())
    if "memory_reserve" in given:
        given["memory_reserve"] = _module.mebibytes(given["memory_reserve"], f"node {given['name']}", "memory_reserve")
    return NodeRequest(**given)


def _device(options: dict[str, t.Any]) -> FenceDevice:
    # numbers and truth as YAML has them; records hold texts
    more = {
        str(key): value if isinstance(value, str) else json.dumps(value) for key, value in options["options"].items()
    }
    return FenceDevice(**{**options, "options": more})


def _whoever() -> str:
    return f"{os.environ.get('SUDO_USER') or getpass.getuser()} on {socket.gethostname()}"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    params = module.params
    common = _module.given({key: params[key] for key in NODE})
    listed = params["nodes"] if params["name"] is None else [{"name": params["name"]}]
    requests = [request({**common, **_module.given(options)}) for options in listed]

    def plan(snapshot: Snapshot | None) -> Plan:
        if snapshot is None and not params["cluster_name"]:
            raise InvalidRequest(
                "it is missing, and the store holds no cluster yet",
                obj="cluster",
                option="cluster_name",
                remedy="name the cluster to be made, or check hosts and root",
            )
        return plan_nodes(snapshot, requests, params["cluster_name"] or snapshot.schema.cluster)

    done = commit_nodes(store, plan, check_mode=module.check_mode)
    names, snapshot = [one.name for one in requests], done.snapshot_after
    nodes = [node_view(snapshot, name) for name in names if name in snapshot.nodes]
    shown = {"nodes": nodes} if params["name"] is None else {"node": nodes[0] if nodes else None}
    return {**_module.outcome(module, done.plan), **shown}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "name": {"type": "str"},
            "nodes": {
                "type": "list",
                "elements": "dict",
                "options": {"name": {"type": "str", "required": True}, **NODE},
            },
            **NODE,
            "cluster_name": {"type": "str"},
        },
        mutually_exclusive=[("name", "nodes")],
        required_one_of=[("name", "nodes")],
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
