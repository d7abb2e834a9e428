#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm
short_description: Create, change, start, stop and delete virtual machines
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Says what is wanted of one VM (O(name)) or of any number of them (O(vms)). All VMs of a task are one plan and one
    transaction. Either everything is committed or nothing.
  - An option that is left out keeps its value on an existing VM, and has the default that is named here on a new one.
  - The nodes' agents make it true. By default, the module waits until they have.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
  - pvc.cluster._vm
attributes:
  idempotent:
    support: partial
    details: O(state=restarted) and O(state=reset) act each time that they are given. Everything else is idempotent.
options:
  wait:
    description:
      - Whether to wait until the agents have made it true, unchanged VMs included. Check mode never waits.
    type: bool
    default: true
  wait_timeout:
    description: Seconds to wait. The module then fails and says what is missing; the change stays committed.
    type: int
    default: 300
seealso:
  - module: pvc.cluster.vm_info
  - module: pvc.cluster.vm_snapshot
  - module: pvc.cluster.node_info
"""

EXAMPLES = r"""
- name: A web server, on a node of the cluster's choice
  pvc.cluster.vm:
    name: web1
    memory: 2G
    vcpus: 2
    disks: [{size: 20G}]
    nics: [{bridge: br0}]
    tags: [web]

- name: Three workers as one transaction, on volumes that exist
  pvc.cluster.vm:
    memory: 2G
    nics: [{bridge: br0}]
    vms:
      - {name: worker1, disks: [{pool: fast, volume: worker1-root}]}
      - {name: worker2, disks: [{pool: fast, volume: worker2-root}]}
      - {name: worker3, disks: [{pool: fast, volume: worker3-root}], memory: 4G}

- name: A diskless appliance
  pvc.cluster.vm:
    name: probe
    memory: 256
    boot: {kernel: /srv/probe/vmlinuz, initrd: /srv/probe/initrd, cmdline: console=ttyS0}

- name: Move it to another node while it runs, and keep it there
  pvc.cluster.vm:
    name: probe
    node: node2

- name: The first to run elsewhere when its node dies, and moved after a single failed start
  pvc.cluster.vm:
    name: web1
    ha:
      priority: 100
      max_local_restarts: 1

- name: A Windows server with a screen, that boots only what is signed
  pvc.cluster.vm:
    name: win1
    memory: 2G
    vcpus: 4
    cpu: {sockets: 1, cores: 4, threads: 1}
    firmware: uefi
    secure_boot: true
    devices: {video: vga, graphics: vnc, tpm: true}
    disks: [{size: 60G, bus: scsi}]

- name: A database that can grow to four times its size while it runs, with a disk that does not starve the others
  pvc.cluster.vm:
    name: db1
    memory: 1G
    memory_max: 4G
    vcpus: 2
    vcpus_max: 8
    disks: [{size: 20G}, {size: 200G, cache: none, iothread: true, limits: {write_iops: 2000}}]

- name: A node's graphics processor, as node3 has declared it, and pages of one gigabyte
  pvc.cluster.vm:
    name: render1
    memory: 1G
    devices: {host: [gpu]}
    xml: |
      <domain>
        <memoryBacking><hugepages><page size="1" unit="GiB"/></hugepages></memoryBacking>
      </domain>

- name: Stop one, and restart another, which gets the hardware that was changed
  pvc.cluster.vm:
    vms: [{name: web1, state: stopped}, {name: worker1, state: restarted}]

- name: Two copies of the one that is stopped
  pvc.cluster.vm:
    clone_from: {vm: web1}
    memory: 512
    vms: [{name: web2, state: stopped}, {name: web3, memory: 256}]

- name: A tag that other playbooks do not take away
  pvc.cluster.vm:
    name: web1
    protected_tags: [billed]
    metadata: {owner: shop, ticket: "4711"}

- name: Another name
  pvc.cluster.vm:
    name: web2
    new_name: template

- name: Delete VMs and all their data
  pvc.cluster.vm:
    vms: [{name: web1}, {name: template}, {name: web3}]
    state: absent
    delete_volumes: true
"""

RETURN = r"""
vm:
  description:
    - The VM as it is now, or would be in check mode. V(null) when it does not exist.
  returned: success, with O(name)
  type: dict
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
vms:
  description: The VMs of the task that exist now, or would in check mode, in its order, each like RV(vm).
  returned: success, with O(vms)
  type: list
  elements: dict
why:
  description: By VM, what was changed and for what reason, or that there is nothing to change.
  returned: success
  type: dict
  sample: {web1: "created on node2: 11264 MiB free, the most of 3 nodes that fit"}
kept_volumes:
  description: Volumes of VMs deleted by this task that were not deleted, as pool and image.
  returned: success
  type: list
  elements: str
  sample: [vms/web1-disk0]
restart_required:
  description: Names of the VMs of the task that get a part of their hardware only when they are stopped and started.
  returned: success
  type: list
  elements: str
problem:
  description: What is wrong. The text of RV(ignore:msg) has all four parts of an error.
  returned: failure
  type: str
object:
  description: The object concerned, such as V(vm web1).
  returned: failure
  type: str
option:
  description: The option concerned, such as V(disks[0].pool).
  returned: failure
  type: str
remedy:
  description: What would be right, or what to do.
  returned: failure
  type: str
"""

import typing as t

from ..module_utils import _module, _vm
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.errors import PvcError
from ..module_utils.pvc_state.plan_vm import plan_vms
from ..module_utils.pvc_state.snapshot import NotInitialised
from ..module_utils.pvc_state.views import settled, vm_view, waits_for_a_start

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.plan import Plan
    from ..module_utils.pvc_state.store import Store


def kept_volumes(plan: Plan) -> list[str]:
    """Volumes that a plan's deletions leave behind."""
    deleted = [change for change in plan.changes if change.before and not change.after]
    kept = [change.before for change in deleted if not plan.after.vms[change.name].value.delete_volumes]
    return [f"{disk['pool']}/{disk['volume']}" for vm in kept for disk in vm["disks"]]


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    requests = _vm.requests(module.params)
    names, concerned = _vm.names(requests), _vm.concerned(requests)
    check, author = module.check_mode, _module.author(module)
    try:
        done = commit(
            store, lambda snapshot: plan_vms(snapshot, requests), check_mode=check, vms=concerned, author=author
        )
    except NotInitialised:
        if not module.check_mode:
            raise
        return _module.on_empty_system(module, {one.name: one.state != "absent" for one in requests})
    snapshot = done.snapshot_after
    result = {**_module.outcome(module, done.plan), "kept_volumes": kept_volumes(done.plan)}
    if module.params["wait"] and not module.check_mode and not all(settled(snapshot, name) for name in names):
        # imported when it is needed: a call with nothing to do shall be quick
        from ..module_utils.pvc_state.wait import wait_for_vms

        try:
            snapshot = wait_for_vms(store, names, module.params["wait_timeout"])
        except PvcError as err:
            _module.fail(module, err, **result)
    vms = [vm_view(snapshot, name) for name in names if name in snapshot.vms]
    shown = {"vms": vms} if module.params["name"] is None else {"vm": vms[0] if vms else None}
    waiting = [
        vm["name"]
        for vm in vms
        if vm["restart_required"]
        or (not vm["settled"] and waits_for_a_start(done.snapshot_before, snapshot, vm["name"]))
    ]
    return {**result, **shown, "restart_required": waiting}


def main(connect: _module.Connect | None = None) -> None:
    module = _module.create_module(
        {**_vm.SPEC, "wait": {"type": "bool", "default": True}, "wait_timeout": {"type": "int", "default": 300}},
        mutually_exclusive=[("name", "vms")],
        required_one_of=[("name", "vms")],
    )
    _module.run(module, work, connect)


if __name__ == "__main__":
    main()
