#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_info
short_description: Show virtual machines, where they run, and why
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Returns what is wanted of VMs, which node they belong to, and what that node's agent reports of them.
  - A VM whose record is damaged is returned, too, with the reason. Only filters for its name and its node find it.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.info
options:
  names:
    description: Only VMs of these names. A name that does not exist is not an error.
    type: list
    elements: str
  state:
    description: Only VMs of which this is wanted.
    type: str
    choices: [started, stopped, disabled, ignored, absent]
  node:
    description: Only VMs that belong to this node.
    type: str
  tags:
    description: Only VMs that have all of these tags.
    type: list
    elements: str
seealso:
  - module: pvc.cluster.vm
  - module: pvc.cluster.node_info
"""

EXAMPLES = r"""
- name: All web servers that should run
  pvc.cluster.vm_info:
    state: started
    tags: [web]
  register: web

- name: Their nodes
  ansible.builtin.debug:
    msg: "{{ dict(web.vms | map(attribute='name') | zip(web.vms | map(attribute='claim.node'))) }}"
"""

RETURN = r"""
vms:
  description:
    - The VMs that all filters let through, by name, each with the keys of RV(pvc.cluster.vm#module:vm).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    damaged:
      description: Empty, or why its record or claim cannot be read. What is not known is missing then.
      type: str
    state:
      description: What is wanted. V(absent) while it is being deleted.
      type: str
    node:
      description: The node that it is bound to, V(null) for none.
      type: str
    memory:
      description: Memory in MiB.
      type: int
    vcpus:
      description: Number of virtual processors.
      type: int
    disks:
      description: Its disks, in order. Sizes are in bytes, V(null) for volumes that were attached as they were.
      type: list
      elements: dict
      sample:
        - {pool: vms, volume: web1-disk0, size: 21474836480, source: "", bus: virtio, cache: writeback, discard: true, iothread: false,
           limits: {read_bytes: 0, read_iops: 0, write_bytes: 0, write_iops: 500}}
    nics:
      description: Its network interfaces, in order.
      type: list
      elements: dict
      sample: [{bridge: br0, link: true, mac: "02:5e:0b:7a:91:c4", model: virtio}]
    boot:
      description: The kernel that it boots directly. All empty when it boots from its first disk.
      type: dict
      sample: {cmdline: "", initrd: "", kernel: ""}
    memory_max:
      description: MiB to which its memory can grow while it runs, V(0) for not beyond what it was started with.
      type: int
    vcpus_max:
      description: Number to which its virtual processors can grow while it runs, V(0) for not beyond what it was started with.
      type: int
    cpu:
      description: The processor that the guest sees.
      type: dict
      sample: {cores: 2, dedicated: false, features: {vmx: disable}, model: host-model, sockets: 1, threads: 2}
    devices:
      description: What else is built in.
      type: dict
      sample: {agent: true, graphics: vnc, host: [gpu], rng: true, tpm: false, video: virtio, watchdog: none}
    machine:
      description: Its machine type, empty for what the node's agent is configured to give.
      type: str
    firmware:
      description: What boots it.
      type: str
    secure_boot:
      description: Whether only what is signed is booted.
      type: bool
    xml:
      description: The fragment of libvirt's domain XML that is laid over what is made from the options.
      type: str
    description:
      description: Free text.
      type: str
    tags:
      description: Free labels, sorted.
      type: list
      elements: str
    shutdown_timeout:
      description: Seconds that a guest has to power off.
      type: int
    migration:
      description: How it gets to another node when it must.
      type: dict
      sample: {auto_converge: true, bandwidth: 0, max_downtime: 300, method: live, post_copy: false}
    ha:
      description: What happens when something fails.
      type: dict
      sample: {failback: true, max_local_restarts: 3, max_moves: 1, power_off: false, priority: 0}
    placement:
      description: What decides between nodes that all may run it. Empty when the cluster's settings do.
      type: str
    delete_volumes:
      description: Whether its volumes are deleted with it, while it is being deleted.
      type: bool
    protected_tags:
      description: Tags that are only taken away by name.
      type: list
      elements: str
    metadata:
      description: What its users keep with it.
      type: dict
    autostart:
      description: Whether it is started when its node gets ready again.
      type: bool
    restart:
      description: How often a restart was asked for.
      type: int
    reset:
      description: How often a reset was asked for.
      type: int
    kept_volumes:
      description: Its volumes that are not deleted with it, while it is being deleted.
      type: list
      elements: str
    uuid:
      description: Id of its libvirt domain.
      type: str
    generation:
      description: Number of changes by users, its creation included.
      type: int
    document:
      description: Name of the document that it belongs to, see M(pvc.cluster.apply). Empty for none.
      type: str
    claim:
      description:
        - The node that may run it, and how often that right has changed hands.
        - While it is being moved, RV(ignore:to) is where to and RV(ignore:why) for what reason. RV(ignore:home) is the node that
          it returns to when that takes VMs again, or with RV(ignore:away) when a user says so. They are V(null) otherwise.
      type: dict
      sample: {away: false, epoch: 1, home: null, node: node1, to: null, why: ""}
    waiting:
      description: Why it does not run elsewhere although its node is gone. V(null) when its node is not fenced.
      type: str
    observed:
      description: What that node's agent reports, with the reason in words. V(null) until it has reported.
      type: dict
      sample:
        console: /var/log/libvirt/qemu/web1-console.log
        generation: 1
        moved: ""
        node: node1
        node_alive: true
        reason: runs
        restarts: 0
        screen: vnc://127.0.0.1:5900
        state: running
    settled:
      description: Whether everything is as wanted.
      type: bool
    pending:
      description: What of its hardware waits until it is stopped and started, one phrase each.
      type: list
      elements: str
      sample: [firmware bios -> uefi]
    restart_required:
      description: Whether there is anything that waits so.
      type: bool
"""

import typing as t

from ..module_utils import _module
from ..module_utils.pvc_state import info
from ..module_utils.pvc_state.records import WANTED

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.store import Store


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    only = module.params
    snapshot = _module.load(module, store, only["names"])
    if snapshot is None:
        return {"changed": False, "vms": []}
    _module.warn(module, snapshot)
    return {"changed": False, **info.vms(snapshot, only["names"], only["state"], only["node"], only["tags"])}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {
            "names": {"type": "list", "elements": "str"},
            "state": {"type": "str", "choices": list(WANTED)},
            "node": {"type": "str"},
            "tags": {"type": "list", "elements": "str"},
        }
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
