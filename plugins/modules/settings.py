#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
short_description: Change the policies of the whole cluster
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Says how soon a silent node counts as dead, which evidence is needed before its VMs run elsewhere, and how VMs are placed.
  - An option that is left out keeps its value. Give its default to reset it.
  - What is not safe is refused with the reason.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  maintenance:
    description:
      - While this is V(true), no node is fenced and no VM is recovered, whatever happens. Every module that shows something of
        the cluster warns of it.
      - The default is V(false).
    type: bool
  shutdown_policy:
    description:
      - How a node that shuts down cleanly treats its VMs.
      - With V(conditional), a reboot stops them, and they start there again. A shutdown stops them, and they start elsewhere.
      - With V(freeze), they are stopped, and start there again.
      - With V(failover), they are stopped, and start elsewhere.
      - With V(migrate), which is the default, they are moved away first, and return when the node is back.
    type: str
    choices: [conditional, freeze, failover, migrate]
  placement:
    description:
      - What decides between nodes that all may run a VM, unless the VM's own option O(pvc.cluster.vm#module:placement) says it.
      - V(free_memory), the default, is the most memory that no VM holds, and V(free_share) the largest share of it.
      - V(fewest_vms) is the fewest VMs that are to run, and V(fewest_vcpus) the fewest vCPUs of them for each processor.
      - V(configured_size) is the lowest share of processors and memory that is given away.
      - V(measured_load) is the least that the VMs really use of processors or of memory, whichever is the scarcer.
      - V(balanced) weighs the share of memory, the vCPUs for each processor and the number of VMs together.
    type: str
    choices: [free_memory, fewest_vms, configured_size, free_share, fewest_vcpus, measured_load, balanced]
  evidence:
    description:
      - What suffices as evidence that a node cannot write any more, each by itself. The default is both.
      - V(storage_cut) is Ceph's word that it refuses every client on the node's addresses.
      - V(powered_off) is what the node's fence devices read back. Alone, it is refused while any node has no such device.
      - What a node itself says when it shuts down always counts, and so does O(pvc.cluster.node#module:declared_dead).
    type: list
    elements: str
    choices: [storage_cut, powered_off]
  rejoin:
    description:
      - State of a node that comes back after it was fenced. V(ready) takes VMs at once, which is the default. V(drained) waits
        for somebody who has looked at it.
    type: str
    choices: [ready, drained]
  ha_budget:
    description:
      - The longest time in seconds that may pass from the power cut of a node until its first VM runs elsewhere, if that node led
        neither ZooKeeper nor Ceph's monitors nor the agents. The session time is derived from it.
      - It is O(session_timeout), and 1.5 s until the servers notice its end, and the time for the quickest kind of O(evidence)
        (1.5 s for V(storage_cut), 6 s for V(powered_off)), and 1 s to place and start.
      - So V(10), which is the default, makes for sessions of 6 s. What is not safe is refused.
    type: float
  session_timeout:
    description:
      - How long in seconds a node may be silent before it counts as dead, from 4 to 8. The default is 6.
      - Give this or O(ha_budget).
    type: float
  boot_grace:
    description:
      - How long in seconds a node may stay away that nobody has seen alive since the leading agent started, such as after
        a power failure of everything. The default is 120.
    type: float
  storm_limit:
    description:
      - How many nodes may be fenced at the same time. When more vanish, as when a switch dies, nothing is done until it is fewer,
        or an administrator has decided. A majority is refused.
      - The default, V(0), stands for fewer than half of all nodes.
    type: int
  early_suspicion:
    description:
      - Whether a majority of its neighbours may have a node fenced before its session has ended.
      - It is sooner, and a false alarm costs a restart of the node's VMs. The default is V(false).
    type: bool
  vcpu_ratio:
    description:
      - How many vCPUs of VMs a node may be given for each of its processors, from 1 to 1000.
      - The default, V(0), stands for any number.
    type: float
  spare_nodes:
    description:
      - How many nodes the cluster must be able to lose with room left for all VMs on those that remain. It is at most one less
        than there are nodes.
      - What would leave less room is refused when a VM is created, started or grows, unless O(pvc.cluster.vm#module:force) is set.
      - The default is 1. V(0) allows the cluster to be filled to the last.
    type: int
  parallel_moves:
    description:
      - How many VMs the cluster has on their way to other nodes at the same time, from 1 to 1000, when it empties nodes, brings
        VMs home or keeps rules. Of these, each node is the origin or the target of two at most.
      - What users move themselves counts, but is not held back. The default is 8.
    type: int
  rebalance:
    description:
      - Whether the cluster moves VMs by itself to spread them better, slowly, and only while nothing else goes on. What even means
        follows from O(placement). The default is V(false).
    type: bool
  rebalance_threshold:
    description:
      - The share of the spread that such moves must gain together, from 0.001 to 1. With two nodes each single move must gain as much;
        with more nodes, the share of two of them. The default is 0.1. M(pvc.cluster.balance_info) shows the spread.
    type: float
seealso:
  - module: pvc.cluster.settings_info
  - module: pvc.cluster.node
  - module: pvc.cluster.failover_info
"""

EXAMPLES = r"""
- name: VMs of a dead node run elsewhere within nine seconds
  pvc.cluster.settings:
    ha_budget: 9

- name: Nothing is fenced while the switches are replaced
  pvc.cluster.settings:
    maintenance: true

- name: The switches are in place
  pvc.cluster.settings:
    maintenance: false

- name: Nodes that were fenced wait for an administrator
  pvc.cluster.settings:
    rejoin: drained
    shutdown_policy: failover

- name: At most four vCPUs for each processor, and room for the loss of any two nodes
  pvc.cluster.settings:
    vcpu_ratio: 4
    spare_nodes: 2
"""

RETURN = r"""
settings:
  description: The settings as they are now, or would be in check mode.
  returned: success
  type: dict
  contains:
    maintenance:
      description: Whether no node is fenced, and no VM recovered.
      type: bool
    shutdown_policy:
      description: How a node that shuts down cleanly treats its VMs.
      type: str
    placement:
      description: What decides between nodes that all may run a VM.
      type: str
    evidence:
      description: What suffices as evidence that a node cannot write any more, each by itself.
      type: list
      elements: str
    rejoin:
      description: State of a node that comes back after it was fenced.
      type: str
    session_timeout:
      description: How long in seconds a node may be silent before it counts as dead.
      type: float
    boot_grace:
      description: How long in seconds a node may stay away that nobody has seen alive since the leading agent started.
      type: float
    storm_limit:
      description: How many nodes may be fenced at the same time. V(0) stands for fewer than half of all.
      type: int
    early_suspicion:
      description: Whether neighbours may have a node fenced before its session has ended.
      type: bool
    vcpu_ratio:
      description: How many vCPUs a node may be given for each of its processors. V(0) stands for any number.
      type: float
    spare_nodes:
      description: How many nodes may be lost with room left for all VMs.
      type: int
    parallel_moves:
      description: How many VMs the cluster has on their way to other nodes at the same time.
      type: int
    rebalance:
      description: Whether the cluster moves VMs by itself to spread them better.
      type: bool
    rebalance_threshold:
      description: The share of the spread that such moves must gain together.
      type: float
    ha_budget:
      description: Seconds that it takes at worst from the power cut of a node that led nothing until its first VM runs elsewhere.
      type: float
    worst_case:
      description: The parts of RV(ignore:ha_budget), in seconds.
      type: dict
      sample: {detect: 6.75, fence: 1.5, recover: 0.3, start: 1.45}
    generation:
      description: Number of changes by users, 1 for settings that nobody has changed.
      type: int
    damaged:
      description: Empty, or why the record cannot be read. All settings have their defaults then.
      type: str
why:
  description: What was changed, or that there is nothing to change, under the key V(settings).
  returned: success
  type: dict
  sample: {settings: "maintenance False -> True"}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, which is V(settings).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(ha_budget).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import settings_spec
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.option_values import given
from ..module_utils.pvc_state.plan_settings import plan_settings
from ..module_utils.pvc_state.snapshot import NotInitialised
from ..module_utils.pvc_state.views import settings_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    request = settings_spec.request(given({option: module.params[option] for option in settings_spec.OPTIONS}))
    try:
        done = commit(
            store,
            lambda snapshot: plan_settings(snapshot, request),
            check_mode=module.check_mode,
            author=_module.author(module),
        )
    except NotInitialised:
        if not module.check_mode:
            raise
        plan = plan_settings(_module.empty_system(module), request)
        return {**_module.outcome(module, plan), "settings": settings_view(plan.after)}
    return {**_module.outcome(module, done.plan), "settings": settings_view(done.snapshot_after)}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(settings_spec.OPTIONS, mutually_exclusive=[("ha_budget", "session_timeout")])
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
