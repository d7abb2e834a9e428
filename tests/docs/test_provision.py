# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook that makes one VM of a few answers, as docs/vms.md tells to run it."""

from __future__ import annotations

from ansible_collections.pvc.cluster.plugins.modules import vm, vm_info

from tests.docs.reader import Reader
from tests.unit.plugins.modules.harness import Cluster

TEMPLATE = {"name": "debian-13", "memory": "2G", "state": "disabled", "disks": [{"volume": "debian-13"}]}


def test_a_vm_is_a_copy_of_a_template_or_has_a_disk_of_its_own(cluster: Cluster, reader: Reader) -> None:
    cluster.ok(vm, TEMPLATE)
    for name, more in (("web3", ["-e", "pvc_vm_template=debian-13"]), ("web4", ["-e", "pvc_vm_disk=2G"])):
        answers = ["-e", f"pvc_vm_name={name}", "-e", "pvc_vm_bridge=br0", *more]
        assert "failed=0" in reader.does("ansible-playbook", "pvc.cluster.provision", *answers)
    made = {one["name"]: one for one in cluster.ok(vm_info, {"names": ["web3", "web4"]})["vms"]}
    assert made["web3"]["disks"][0]["source"] == "vms/debian-13"
    assert (made["web4"]["disks"][0]["source"], made["web4"]["disks"][0]["size"]) == ("", 2 << 30)
    assert [one["nics"][0]["bridge"] for one in made.values()] == ["br0", "br0"]
