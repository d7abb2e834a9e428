#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: export_info
short_description: Write today's cluster as a document
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns what is wanted of the cluster as a document for M(pvc.cluster.apply). Applied to the same cluster, it changes nothing.
  - What is damaged, and VMs that are being deleted, are not in it.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  mark:
    description: Only what belongs to the document of this name. By default, everything, in a document without a name.
    type: str
  full:
    description: Whether every option is given. By default, those that a new object would have anyway are left out.
    type: bool
    default: false
seealso:
  - module: pvc.cluster.apply
"""

EXAMPLES = r"""
- name: Today's cluster
  pvc.cluster.export_info:
  register: today

- name: As a file, to begin an infrastructure repository with
  ansible.builtin.copy:
    content: "{{ today.document | to_nice_yaml(sort_keys=false) }}"
    dest: cluster/everything.yml
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
document:
  description: The document.
  returned: success
  type: dict
  sample:
    cluster: lab
    settings: {placement: free_memory, spare_nodes: 1}
    vms:
      - {name: web1, memory: 2G, disks: [{pool: vms, volume: web1-disk0, size: 20G}]}
revision:
  description: Revision of the desired state that it is of.
  returned: success
  type: int
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(memory).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.document_export import export

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    snapshot = _module.load(module, store)
    if snapshot is None:
        return {"changed": False, "document": {}, "revision": 0}
    document = export(snapshot, document=module.params["mark"], full=module.params["full"])
    return {"changed": False, "document": document, "revision": snapshot.journal}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module({"mark": {"type": "str"}, "full": {"type": "bool", "default": False}})
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
