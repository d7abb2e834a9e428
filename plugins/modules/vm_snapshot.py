#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_snapshot
short_description: Make, remove and go back to snapshots of virtual machines
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - A snapshot is the state of all disks of a VM at one moment. This module makes one of each VM in O(vms), removes it, or takes
    their disks back to it. All of a task is one plan and one transaction. The nodes' agents make it true.
  - While the snapshot of a guest that runs is being made, its file systems are frozen by the guest's own agent if that answers.
    Otherwise a guest with several disks is paused. Either takes a fraction of a second, and ends after a few seconds even when Ceph
    does not answer; the snapshot is then made anew later.
  - The memory of a guest is not part of a snapshot.
  - Each VM has a moment of its own.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
attributes:
  idempotent:
    support: partial
    details: O(state=rolled_back) acts each time that it is given. Everything else is idempotent.
options:
  vms:
    description: Names of the VMs.
    type: list
    elements: str
    required: true
  name:
    description:
      - Name of the snapshot, unique within a VM. It has 1 to 63 letters, digits, underscores, dots and hyphens.
    type: str
    required: true
  state:
    description:
      - V(present) makes the snapshot if the VM has none of this name.
      - V(absent) removes it. Disks that were cloned from it keep what they need of it. A rollback to it that is not done is
        called off.
      - V(rolled_back) takes the disks of a VM back to it. What was written since is lost, but other snapshots stay. The VM must be
        stopped, and the snapshot must have all of its disks. Each request is carried out exactly once, and before the VM starts
        again. One that is not done yet is replaced by the next one.
    type: str
    choices: [present, absent, rolled_back]
    default: present
  series:
    description: What the snapshot is one of, such as V(daily). A new one belongs to none by default.
    type: str
  keep:
    description:
      - How many snapshots of its O(series) a VM keeps, the newest ones. Older ones are removed when this one has been made.
      - V(0), the default of a new one, keeps all.
    type: int
  description:
    description: Free text.
    type: str
  wait:
    description: Whether to wait until the agents have made it true, unchanged VMs included. Check mode never waits.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. The module then fails and says what is missing; the change stays committed.
    type: int
    default: 300
seealso:
  - module: pvc.cluster.vm_snapshot_info
  - module: pvc.cluster.vm
  - module: pvc.cluster.vm_export
"""

EXAMPLES = r"""
- name: Before the upgrade
  pvc.cluster.vm_snapshot:
    vms: [web1, web2]
    name: before-upgrade

- name: One for each day, and those of a week
  pvc.cluster.vm_snapshot:
    vms: "{{ groups['guests'] }}"
    name: daily-{{ now(utc=true, fmt='%Y-%m-%d') }}
    series: daily
    keep: 7

- name: The upgrade went wrong
  block:
    - name: Stop
      pvc.cluster.vm: {name: web1, state: stopped}
    - name: Go back
      pvc.cluster.vm_snapshot: {vms: [web1], name: before-upgrade, state: rolled_back}
    - name: Start
      pvc.cluster.vm: {name: web1, state: started}

- name: No longer needed
  pvc.cluster.vm_snapshot:
    vms: [web1, web2]
    name: before-upgrade
    state: absent
"""

RETURN = r"""
snapshots:
  description:
    - The snapshots of this name that the VMs have now, or would have in check mode, each with the keys of
      RV(pvc.cluster.vm_snapshot_info#module:snapshots).
  returned: success
  type: list
  elements: dict
  sample:
    - at: "2026-11-26T01:00:00Z"
      description: ""
      exists: true
      keep: 7
      name: daily-2026-11-26
      series: daily
      vm: web1
      wanted: true
why:
  description: By VM, what was changed and for what reason, or that there is nothing to change.
  returned: success
  type: dict
  sample: {web1: "snapshot before-upgrade is made"}
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(snapshot daily of vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(name).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import time
import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.errors import PvcError
from ..module_utils.pvc_state.option_values import given
from ..module_utils.pvc_state.plan_snapshots import STATES, plan_snapshots
from ..module_utils.pvc_state.requests import SnapshotRequest
from ..module_utils.pvc_state.snapshot import NotInitialised
from ..module_utils.pvc_state.views import settled, vm_snapshots

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store

SPEC: dict[str, t.Any] = {
    "vms": {"type": "list", "elements": "str", "required": True},
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(STATES), "default": "present"},
    "series": {"type": "str"},
    "keep": {"type": "int"},
    "description": {"type": "str"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 300},
}


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    vms, name = module.params["vms"], module.params["name"]
    options = given({key: module.params[key] for key in ("name", "state", "series", "keep", "description")})
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    requests = [SnapshotRequest(vm=vm, at=at, **options) for vm in vms]
    try:
        done = commit(
            store,
            lambda snapshot: plan_snapshots(snapshot, requests),
            check_mode=module.check_mode,
            vms=vms,
            author=_module.author(module),
        )
    except NotInitialised:
        if not module.check_mode:
            raise
        wanted = dict.fromkeys(vms, module.params["state"] == "present")
        return {**_module.on_empty_system(module, wanted), "snapshots": []}
    snapshot, result = done.snapshot_after, _module.outcome(module, done.plan)
    if module.params["wait"] and not module.check_mode and not all(settled(snapshot, vm) for vm in vms):
        # imported when it is needed: a call with nothing to do shall be quick
        from ..module_utils.pvc_state.wait import wait_for_vms

        try:
            snapshot = wait_for_vms(store, vms, module.params["wait_timeout"])
        except PvcError as err:
            _module.fail(module, err, **result)
    found = [one for vm in vms if vm in snapshot.vms for one in vm_snapshots(snapshot, vm)]
    return {**result, "snapshots": [one for one in found if one["name"] == name and one["wanted"]]}


def main(connect: _module.Connect | None = None) -> None:
    _module.run(_module.create_module(SPEC), work, connect)


if __name__ == "__main__":
    main()
