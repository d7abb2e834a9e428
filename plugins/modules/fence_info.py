#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence_info
short_description: Show which nodes were fenced, why, and what became of their VMs
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the fences that stand and those that are over, each with the evidence, the times, and where the VMs went.
  - RV(fences[].sentence) answers in plain words why a node was fenced and what became of its VMs.
  - A fence whose record is damaged is returned, too, with the reason.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  node:
    description: Only fences of this node.
    type: str
  active:
    description: Only fences that stand (V(true)), or only those that are over (V(false)).
    type: bool
  limit:
    description: Only so many, those that stand first, then those that ended last.
    type: int
notes:
  - The cluster remembers the newest hundred.
  - Times are of the leading agent's clock.
seealso:
  - module: pvc.cluster.node
  - module: pvc.cluster.failover_info
"""

EXAMPLES = r"""
- name: Why was node2 fenced
  pvc.cluster.fence_info:
    node: node2
    limit: 1
  register: last

- name: Say it
  ansible.builtin.debug:
    msg: "{{ last.fences | map(attribute='sentence') | first | default('It was not.') }}"

- name: Fences that stand now
  pvc.cluster.fence_info:
    active: true
"""

RETURN = r"""
fences:
  description: The fences that all filters let through. Those that stand come first, by node, then those that are over, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    node:
      description: The node that was gone.
      type: str
    id:
      description: Id of the fence.
      type: str
    active:
      description: Whether it stands.
      type: bool
    damaged:
      description: Empty, or why the record cannot be read. What is not known is empty then.
      type: str
    sentence:
      description: Why the node was fenced, what proved that it cannot write any more, and what became of its VMs.
      type: str
      sample: >-
        node2 was fenced at 2026-01-31T03:00:12Z: its session has ended, and it was proven cut off from its storage by Ceph's osdmap
        812 at 2026-01-31T03:00:13Z. 2 of its VMs went elsewhere (db1 to node1: 11264 MiB free, the only node that fits; web1 to
        node3: 9216 MiB free, the most of 2 nodes that fit).
    state:
      description:
        - V(held) means that nothing is done yet, V(collecting) that evidence is being collected, V(proven) that the node cannot
          write any more and its VMs are recovered, and V(lifting) that the node is back and its storage cut is being removed.
        - Of a fence that is over, it is the last one.
      type: str
    why:
      description: What made the leader fence the node, or hold the fence.
      type: str
    since:
      description: When it began.
      type: str
    evidence:
      description: All evidence that was asked for, and how far it has come.
      type: list
      elements: dict
      sample:
        - {at: "2026-01-31T03:00:13Z", device: "", epoch: 812, kind: storage_cut, state: proven, why: the monitors have committed it}
    proven_by:
      description: Kind of the evidence that was sufficient first. Empty while there is none.
      type: str
    proven_at:
      description: When that was.
      type: str
    osdmap_epoch:
      description: Epoch of Ceph's osdmap that holds the storage cut. V(null) without one.
      type: int
    addresses:
      description: The node's addresses, which a storage cut refuses.
      type: list
      elements: str
    moves:
      description: Where each VM went and why, by VM.
      type: dict
      sample: {web1: "to node3: 9216 MiB free, the most of 2 nodes that fit"}
    waiting:
      description: Why a VM has no node yet, by VM.
      type: dict
      sample: {db1: "no node can take it: node1 has 512 MiB free, 4096 are needed"}
    declared_dead:
      description: Who has declared the node dead for this fence, why and when. V(null) when nobody has, or it is over.
      type: dict
    ended:
      description: When it ended.
      type: str
    how:
      description: How it ended.
      type: str
    created_zxid:
      description: ZooKeeper's transaction that created it.
      type: int
    changed_zxid:
      description: ZooKeeper's transaction that wrote it last.
      type: int
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.history import load_history

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    only = module.params
    info.check_limit(only["limit"])
    snapshot = _module.load(module, store, vms=())
    if snapshot is None:
        return {"changed": False, "fences": []}
    _module.warn(module, snapshot)
    found = info.fences(snapshot, load_history(store), only["node"], only["active"], only["limit"])
    return {"changed": False, **found}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module({"node": {"type": "str"}, "active": {"type": "bool"}, "limit": {"type": "int"}})
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
