#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_snapshot_info
short_description: Show snapshots of virtual machines
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the snapshots of VMs' disks, oldest first for each VM, with whether they exist yet.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  vms:
    description: Only snapshots of these VMs. A name that does not exist is not an error.
    type: list
    elements: str
  names:
    description: Only snapshots of these names.
    type: list
    elements: str
  series:
    description: Only snapshots of this series.
    type: str
seealso:
  - module: pvc.cluster.vm_snapshot
"""

EXAMPLES = r"""
- name: What web1 can go back to
  pvc.cluster.vm_snapshot_info:
    vms: [web1]
  register: web1

- name: The newest daily one
  ansible.builtin.debug:
    msg: "{{ (web1.snapshots | selectattr('series', 'eq', 'daily') | last).name }}"
"""

RETURN = r"""
snapshots:
  description: The snapshots that all filters let through, by VM.
  returned: success
  type: list
  elements: dict
  contains:
    vm:
      description: The VM that it belongs to.
      type: str
    name:
      description: Its name, unique within the VM.
      type: str
    at:
      description: When it was asked for, by the clock of who asked.
      type: str
    series:
      description: What it is one of. Empty for none.
      type: str
    keep:
      description: How many of its series are kept. V(0) for all.
      type: int
    description:
      description: Free text.
      type: str
    exists:
      description: Whether the VM's agent has made it, and not removed it yet.
      type: bool
    wanted:
      description: Whether it is to exist. One that is not is being removed, and nothing else is known of it.
      type: bool
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store, module.params["vms"])
    only = module.params
    if snapshot is None:
        return {"changed": False, "snapshots": []}
    return {"changed": False, **info.snapshots(snapshot, only["names"], only["series"])}


def main(connect: _module.Connect | None = None) -> None:
    spec = {
        "vms": {"type": "list", "elements": "str"},
        "names": {"type": "list", "elements": "str"},
        "series": {"type": "str"},
    }
    _module.run(_module.create_module(spec), work, connect)


if __name__ == "__main__":
    main()
