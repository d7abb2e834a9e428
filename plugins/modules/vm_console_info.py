#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_console_info
short_description: Show the last lines of a virtual machine's serial console
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns the last lines that a VM has written to its serial console. They are in a file on the VM's node, so the module reads them
    when it runs there, with C(delegate_to). Anywhere else it says where the file is.
  - The file holds what the VM has written since it first ran on that node. What it wrote on another node is there.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  name:
    description: Name of the VM.
    type: str
    required: true
  lines:
    description: How many lines, from 1 to 10000. At most one mebibyte is read.
    type: int
    default: 50
seealso:
  - module: pvc.cluster.vm_info
"""

EXAMPLES = r"""
- name: Where web1 runs
  pvc.cluster.vm_info:
    names: [web1]
  register: web1

- name: What it said last
  pvc.cluster.vm_console_info:
    name: web1
    lines: 20
    ca_file: /etc/pvc/tls/ca.pem
    cert_file: /etc/pvc/tls/cert.pem
    key_file: /etc/pvc/tls/key.pem
  delegate_to: "{{ web1.vms[0].claim.node }}"
  become: true
  register: console

- name: Show it
  ansible.builtin.debug:
    var: console.lines
"""

RETURN = r"""
lines:
  description: The lines, oldest first. V(null) where they cannot be read; RV(ignore:where) tells why.
  returned: success
  type: list
  elements: str
  sample: ["[    0.412305] Freeing unused kernel image memory", "web1 login:"]
node:
  description: The node that the VM belongs to.
  returned: success
  type: str
path:
  description: Path of the file on that node. Empty while the VM has never run there.
  returned: success
  type: str
  sample: /var/log/libvirt/qemu/web1-console.log
where:
  description: Where the lines are, or why there are none, in words.
  returned: success
  type: str
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned.
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state.console import LINES, console_view
from ..module_utils.pvc_state.vm_options import VmChecker

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    name = module.params["name"]
    check = VmChecker(name, "")
    count = check.number("lines", module.params["lines"], LINES)
    snapshot = _module.load(module, store, [check.name(name)])
    nothing: dict[str, t.Any] = {"changed": False, "lines": None, "node": None, "path": ""}
    if snapshot is None:
        return {**nothing, "where": "there is no cluster yet"}
    if name not in snapshot.vms:
        check.refuse("name", "it does not exist", "name a VM of the cluster")
    return {"changed": False, **console_view(snapshot, name, count)}


def main(connect: _module.Connect | None = None) -> None:
    spec = {"name": {"type": "str", "required": True}, "lines": {"type": "int", "default": 50}}
    _module.run(_module.create_module(spec), work, connect)


if __name__ == "__main__":
    main()
