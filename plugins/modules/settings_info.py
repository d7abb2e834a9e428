#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings_info
short_description: Show the policies of the whole cluster
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the settings that hold now, and how long it takes with them at worst until a VM of a dead node runs elsewhere.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options: {}
seealso:
  - module: pvc.cluster.settings
"""

EXAMPLES = r"""
- name: What holds
  pvc.cluster.settings_info:
  register: info

- name: The cluster is not in maintenance
  ansible.builtin.assert:
    that: not info.settings.maintenance
"""

RETURN = r"""
settings:
  description: The settings, with the keys of RV(pvc.cluster.settings#module:settings).
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
cluster_name:
  description: Name of the cluster.
  returned: success, when the tree has been initialised
  type: str
  sample: lab
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.views import settings_view

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store, vms=())
    if snapshot is None:
        return {"changed": False, "settings": settings_view(_module.empty_system(module))}
    _module.warn(module, snapshot)
    return {"changed": False, **info.settings(snapshot)}


def main(connect: _module.Connect | None = None) -> None:
    _module.run(_module.create_module({}), work, connect)


if __name__ == "__main__":
    main()
