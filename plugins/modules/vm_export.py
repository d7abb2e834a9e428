#!/usr/bin/python

# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: vm_export
short_description: Write the disks of a virtual machine into files
version_added: 0.2.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Writes each disk of a VM into a file, as it is in a snapshot, or as it is while the VM is stopped. Beside them it writes
    C(manifest.json), with the VM's definition and the checksums of the files. M(pvc.cluster.vm_import) makes a VM of it again.
  - The module reads Ceph itself, so it runs on a node, with C(delegate_to). The connection options name files of that node.
  - Files that are there already are compared with the disks. When their content is the same, nothing changes. What is written
    takes the place of old files when all of it is there; a run that fails leaves the old ones and no parts of new ones.
extends_documentation_fragment:
  - pvc.cluster.connection
  - pvc.cluster._attributes
  - pvc.cluster._attributes.state
options:
  name:
    description: Name of the VM.
    type: str
    required: true
  snapshot:
    description: One of its snapshots. Without it, the VM must be stopped, and stay so until the export is done.
    type: str
  dest:
    description: Directory on the machine that the module runs on. It is made when it is missing, for its owner only.
    type: path
    required: true
  format:
    description: Format of the files. V(qcow2) leaves out what is empty. V(raw) files have holes instead.
    type: str
    choices: [qcow2, raw]
    default: qcow2
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
  - module: pvc.cluster.vm_import
  - module: pvc.cluster.vm_snapshot
"""

EXAMPLES = r"""
- name: A snapshot of a VM that runs on, as files
  pvc.cluster.vm_export:
    name: web1
    snapshot: daily-2026-11-26
    dest: /srv/exports/web1
    ca_file: /etc/pvc/tls/ca.pem
    cert_file: /etc/pvc/tls/cert.pem
    key_file: /etc/pvc/tls/key.pem
  delegate_to: node1
  become: true
"""

RETURN = r"""
manifest:
  description: Path of the manifest.
  returned: success
  type: str
  sample: /srv/exports/web1/manifest.json
disks:
  description: The disks, in order. Their checksums are empty for files that have yet to be written, in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - file: web1-disk0.qcow2
      format: qcow2
      pool: vms
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      size: 21474836480
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

import contextlib
import dataclasses
import os
import typing as t

from ..module_utils import _images, _module
from ..module_utils._images import ExportedDisk, Images, Manifest
from ..module_utils.pvc_state import vm_rules
from ..module_utils.pvc_state.plan_vm_actions import as_defined
from ..module_utils.pvc_state.snapshot import load
from ..module_utils.pvc_state.views import vm_status
from ..module_utils.pvc_state.vm_options import VmChecker

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ..module_utils.pvc_state.records import Vm
    from ..module_utils.pvc_state.store import Store

SPEC: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "snapshot": {"type": "str"},
    "dest": {"type": "path", "required": True},
    "format": {"type": "str", "choices": list(_images.FORMATS), "default": "qcow2"},
    **_images.SPEC,
}


def exportable(store: Store, name: str, wanted: str) -> Vm:
    """The VM as its disks can be read now: in the snapshot that is wanted, or since nothing writes to them."""
    snapshot = load(store, [name])
    check = VmChecker(name, snapshot.schema.id)
    before = vm_rules.present(snapshot, check.name(name))
    if before is None or before.vm.state == "absent":
        check.refuse(
            "name", "it does not exist" if before is None else "it is being deleted", "name a VM of the cluster"
        )
    if not before.vm.disks:
        check.refuse("name", "it has no disks", "there is nothing to export")
    if wanted:
        observed = vm_status(snapshot, name)
        made = observed.snapshots if observed is not None else ()
        if wanted not in made:
            listed = f"give one of {', '.join(made)}" if made else "it has none: make one first"
            check.refuse("snapshot", f"there is no snapshot {wanted}", listed)
    else:
        remedy = "a VM that may run is exported from one of its snapshots: name that, or stop the VM"
        vm_rules.at_rest(check, snapshot, before, "snapshot", remedy)
    return before.vm


def work(module: AnsibleModule, store: Store) -> dict[str, t.Any]:
    if _module.load(module, store, []) is None:
        return {"changed": True, "manifest": "", "disks": [], "why": "would be written, once the VM exists"}
    name, taken, dest, kind = (module.params[key] or "" for key in ("name", "snapshot", "dest", "format"))
    vm = exportable(store, name, taken)
    images = Images(module)
    path = os.path.join(dest, _images.MANIFEST)
    old = None
    with contextlib.suppress(_images.ImageError):
        old = _images.read_manifest(dest)[0]
    disks = []
    for index, disk in enumerate(vm.disks):
        source = images.source(disk.pool, disk.volume, taken)
        kept = old.disks[index] if old is not None and old.name == name and index < len(old.disks) else None
        file = os.path.join(dest, kept.file) if kept is not None else ""
        good = (
            kept is not None and kept.format == kind and kept.pool == disk.pool and _images.sha256(file) == kept.sha256
        )
        if good and kept is not None and images.same(file, kind, source):
            disks.append(kept)
        else:
            disks.append(ExportedDisk(f"{name}-disk{index}.{kind}", kind, "", 0, disk.pool))
    manifest = Manifest(name, as_defined(vm), tuple(disks), taken)
    new = [disk for disk in disks if not disk.sha256]
    changed = bool(new) or old is None or dataclasses.replace(old, snapshot=taken) != manifest
    why = (
        f"{len(new)} of {len(disks)} disks written"
        if new
        else "the manifest is written"
        if changed
        else "nothing to do"
    )
    if changed and not module.check_mode:
        disks = write(store, images, vm, manifest, dest, taken)
    result = {"changed": changed, "manifest": path, "disks": [dataclasses.asdict(disk) for disk in disks], "why": why}
    if module._diff:
        result["diff"] = {"before": "", "after": "".join(f"{disk.file}\n" for disk in new)}
    return result


def write(store: Store, images: Images, vm: Vm, manifest: Manifest, dest: str, taken: str) -> list[ExportedDisk]:
    """All files under other names first, then what the VM is now, then the names: a run that fails leaves what was there."""
    os.makedirs(dest, mode=0o700, exist_ok=True)
    parts: dict[str, str] = {}
    disks = []
    try:
        for disk, volume in zip(manifest.disks, vm.disks, strict=True):
            if not disk.sha256:
                final = os.path.join(dest, disk.file)
                parts[final + _images.PART] = final
                images.convert(
                    images.source(volume.pool, volume.volume, taken), "raw", final + _images.PART, disk.format
                )
                _images.write_through(final + _images.PART)
                size = images.size(final + _images.PART, disk.format)
                disk = dataclasses.replace(disk, sha256=_images.sha256(final + _images.PART), size=size)
            disks.append(disk)
        still = exportable(store, manifest.name, taken)
        if not taken and still.generation != vm.generation:
            check = VmChecker(manifest.name, "")
            check.refuse("name", "it was changed while it was exported", "leave it stopped, and run the task again")
        text = _images.manifest_text(dataclasses.replace(manifest, disks=tuple(disks)))
        final = os.path.join(dest, _images.MANIFEST)
        parts[final + _images.PART] = final
        _images.write_through(final + _images.PART, text.encode())
        for part, whole in parts.items():
            os.replace(part, whole)
    finally:
        for part in parts:
            with contextlib.suppress(FileNotFoundError):
                os.remove(part)
    return disks


def main(connect: _module.Connect | None = None) -> None:
    _module.run(_module.create_module(SPEC), work, connect)


if __name__ == "__main__":
    main()
