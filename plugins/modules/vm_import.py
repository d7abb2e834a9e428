#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_import
short_description: Make a virtual machine of exported files
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Makes a VM of what M(pvc.cluster.vm_export) has written. All checksums are verified before anything is made.
  - The module writes to Ceph itself, so it runs on a node, with C(delegate_to). The connection options name files of that node.
  - A volume gets its name when it is whole, and is marked with what it was made of. So a run that was interrupted is finished by the
    next one, and a VM that was imported from the same files is left as it is, whatever has become of it since.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  name:
    description: Name of the VM. By default that of the VM that was exported. Its libvirt id and addresses are its own.
    type: str
  src:
    description: Directory with the export, on the machine that the module runs on.
    type: path
    required: true
  pool:
    description: Ceph pool of its disks. By default the one that each disk was in.
    type: str
  state:
    description: What is wanted of the new VM.
    type: str
    choices: [started, stopped, disabled]
    default: stopped
  node:
    description: The node that the new VM is bound to. By default it is bound to none.
    type: str
  ceph_conf:
    description: Configuration of Ceph on the machine that the module runs on.
    type: path
    default: /etc/ceph/ceph.conf
  ceph_user:
    description: User of Ceph, whose key that machine has.
    type: str
    default: libvirt
  timeout:
    description: Seconds that reading or writing one disk may take. It is then given up and cleaned away.
    type: int
    default: 3600
seealso:
  - module: pvc.cluster.vm_export
  - module: pvc.cluster.vm
"""

EXAMPLES = r"""
- name: A VM from another cluster
  pvc.cluster.vm_import:
    name: web1
    src: /srv/exports/web1
    ca_file: /etc/pvc/tls/ca.pem
    cert_file: /etc/pvc/tls/cert.pem
    key_file: /etc/pvc/tls/key.pem
  delegate_to: node1
  become: true

- name: Start it
  pvc.cluster.vm:
    name: web1
    state: started
"""

RETURN = r"""
vm:
  description: The VM, with the keys of RV(pvc.cluster.vm#module:vm). V(null) in check mode when it does not exist.
  returned: success
  type: dict
why:
  description: What was done, or that there is nothing to do.
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

import os
import typing as t

from ..module_utils import _images, _module
from ..module_utils._images import Images
from ..module_utils.pvc_state.commit import commit
from ..module_utils.pvc_state.plan_vm import plan_vms
from ..module_utils.pvc_state.requests import UNSET, DiskRequest, VmRequest
from ..module_utils.pvc_state.snapshot import load
from ..module_utils.pvc_state.views import vm_view
from ..module_utils.pvc_state.vm_options import VmChecker

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils._images import Manifest
    from ..module_utils.pvc_state.store import Store

SPEC: dict[str, t.Any] = {
    "name": {"type": "str"},
    "src": {"type": "path", "required": True},
    "pool": {"type": "str"},
    "state": {"type": "str", "choices": ["started", "stopped", "disabled"], "default": "stopped"},
    "node": {"type": "str"},
    **_images.SPEC,
}


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    if _module.load(module, store, []) is None:
        return {"changed": True, "vm": None, "why": "would be imported, if the cluster can take it"}
    manifest, digest = _images.read_manifest(module.params["src"])
    name = module.params["name"] or manifest.name
    images = Images(module)
    disks = [
        DiskRequest(disk.size, module.params["pool"] or disk.pool, f"{name}-disk{index}")
        for index, disk in enumerate(manifest.disks)
    ]
    marks = [images.mark_of(disk.pool, disk.volume) for disk in disks]
    snapshot = load(store, [name])
    check = VmChecker(name, snapshot.schema.id)
    if check.name(name) in snapshot.vms:
        if any(mark != digest for mark in marks):
            check.refuse("name", "there is a VM of this name that was not imported from this", "give another name")
        return {"changed": False, "vm": vm_view(snapshot, name), "why": "it was imported from this already"}
    request = VmRequest(
        name,
        state=module.params["state"],
        node=module.params["node"] or UNSET,
        memory=manifest.vm.memory,
        vcpus=manifest.vm.vcpus,
        disks=disks,
        like=manifest.vm,
    )
    # whatever speaks against the VM does so before its disks are made
    commit(store, lambda found: plan_vms(found, [request]), check_mode=True)
    verify(check, images, manifest, module.params["src"])
    for disk, mark in zip(disks, marks, strict=True):
        if mark != digest and images.exists(disk.pool, disk.volume):
            problem = f"volume {disk.pool}/{disk.volume} exists, and was not imported from this"
            check.refuse("name", problem, "give another name or pool, or remove it")
    missing = [index for index, mark in enumerate(marks) if mark != digest]
    why = f"{len(missing)} of {len(disks)} disks written, and the VM made"
    result: dict[str, t.Any] = {"changed": True, "vm": None, "why": why}
    if module._diff:
        result["diff"] = {"before": "", "after": "".join(f"{disk.pool}/{disk.volume}\n" for disk in disks)}
    if module.check_mode:
        return result
    for index in missing:
        disk, exported = disks[index], manifest.disks[index]
        path = os.path.join(module.params["src"], exported.file)
        images.write(path, exported.format, disk.pool, disk.volume, digest)
    done = commit(store, lambda found: plan_vms(found, [request]), author=_module.author(module))
    return {**result, "vm": vm_view(done.snapshot_after, name)}


def verify(check: VmChecker, images: Images, manifest: Manifest, src: str) -> None:
    """Each file is what the manifest says."""
    for disk in manifest.disks:
        path = os.path.join(src, disk.file)
        found = _images.sha256(path)
        if found != disk.sha256:
            problem = (
                f"{path} has the checksum {found}, the manifest says {disk.sha256}" if found else f"{path} is missing"
            )
            check.refuse("src", problem, "copy the export again, or export the VM anew")
        size = images.size(path, disk.format)
        if size != disk.size:
            check.refuse("src", f"{path} holds {size} bytes, the manifest says {disk.size}", "export the VM anew")


def main(connect: _module.Connect | None = None) -> None:
    _module.run(_module.create_module(SPEC), work, connect)


if __name__ == "__main__":
    main()
