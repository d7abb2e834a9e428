# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual hardware: what may be asked for, what it may not be together, and who has what of a node for itself."""

from __future__ import annotations

from typing import Any

import pytest

from pvc_state.commit import commit_nodes
from pvc_state.errors import InvalidRequest
from pvc_state.plan_node import plan_nodes
from pvc_state.records import Cpu, Devices, Disk, DiskLimits, HostDevice, Nic
from pvc_state.requests import (
    CpuRequest,
    DevicesRequest,
    DiskRequest,
    MigrationRequest,
    NicRequest,
    NodeRequest,
    VmRequest,
)
from tests.unit.plugins.module_utils.pvc_state.builders import GIB, Cluster, request

GPU = HostDevice("gpu", "pci", "0000:65:00.0")


def refused(cluster: Cluster, *requests: VmRequest) -> str:
    before = cluster.snapshot
    with pytest.raises(InvalidRequest) as info:
        cluster.apply(*requests)
    assert cluster.snapshot == before
    return str(info.value)


def declare(cluster: Cluster, node: str, *devices: HostDevice) -> None:
    asked = [NodeRequest(node, devices=devices)]
    commit_nodes(cluster.store, lambda snapshot: plan_nodes(snapshot, asked, "lab"))


def test_everything_that_can_be_asked_for(cluster: Cluster) -> None:
    declare(cluster, "node1", GPU)
    cluster.apply(
        request(
            memory_max=2048,
            vcpus=2,
            vcpus_max=8,
            cpu=CpuRequest("host-model", 2, 2, 2, {"vmx": "disable", "aes": "require"}),
            devices=DevicesRequest("virtio", "vnc", False, False, "reset", True, ["gpu"]),
            machine="pc-q35-9.2",
            firmware="uefi",
            secure_boot=True,
            xml="\n<domain><pm/></domain>\n",
            disks=[DiskRequest(GIB, "vms", "", "scsi", "none", False, False, DiskLimits(1, 2, 3, 4))],
            nics=[NicRequest("br0", "02:00:00:00:00:01", "e1000e", False)],
        )
    )
    vm = cluster.vm("web1")
    assert (vm.memory_max, vm.vcpus_max, vm.memory_limit, vm.vcpus_limit) == (2048, 8, 2048, 8)
    assert vm.cpu == Cpu("host-model", 2, 2, 2, {"aes": "require", "vmx": "disable"})
    assert vm.devices == Devices("virtio", "vnc", False, False, "reset", True, ("gpu",))
    assert (vm.machine, vm.firmware, vm.secure_boot, vm.xml) == ("pc-q35-9.2", "uefi", True, "<domain><pm/></domain>")
    assert vm.disks == (Disk("vms", "web1-disk0", GIB, "", "scsi", "none", False, False, DiskLimits(1, 2, 3, 4)),)
    assert vm.nics == (Nic("br0", "02:00:00:00:00:01", "e1000e", False),)


def test_what_is_left_out_of_cpu_and_devices_keeps_its_value(cluster: Cluster) -> None:
    cluster.apply(request(cpu=CpuRequest(model="host-model"), devices=DevicesRequest(tpm=True)))
    cluster.apply(VmRequest("web1", cpu=CpuRequest(features={"vmx": "disable"}), devices=DevicesRequest(rng=False)))
    vm = cluster.vm("web1")
    assert vm.cpu == Cpu("host-model", features={"vmx": "disable"})
    assert vm.devices == Devices(tpm=True, rng=False)
    assert not cluster.plan(VmRequest("web1", cpu=CpuRequest(), devices=DevicesRequest())).changed


ALONE: list[tuple[dict[str, Any], str]] = [
    ({"memory_max": -1}, "memory_max: -1 is not possible; give a whole number from 0 to 16777216 MiB"),
    ({"vcpus_max": 513}, "vcpus_max: 513 is not possible; give a whole number from 0 to 512"),
    ({"machine": "virt"}, "machine: 'virt' is not possible; give q35, pc, or one of their versions such as pc-q35-9.2"),
    ({"firmware": "efi"}, "firmware: 'efi' is not possible; give one of bios, uefi"),
    ({"secure_boot": 1}, "secure_boot: 1 is neither true nor false; give true or false"),
    ({"cpu": CpuRequest(model="a b")}, "cpu.model: 'a b' is not possible; give host-model,"),
    ({"cpu": CpuRequest(sockets=-1)}, "cpu.sockets: -1 is not possible; give a whole number from 0 to 512"),
    ({"cpu": CpuRequest(features={"vmx": "force"})}, "cpu.features.vmx: 'force' is not possible; give one of require,"),
    ({"cpu": CpuRequest(features={"VMX!": "require"})}, "cpu.features: 'VMX!' is not possible; give names of features"),
    ({"devices": DevicesRequest(video="cirrus")}, "devices.video: 'cirrus' is not possible; give one of none, virtio,"),
    ({"devices": DevicesRequest(graphics="rdp")}, "devices.graphics: 'rdp' is not possible; give one of none, vnc,"),
    ({"devices": DevicesRequest(watchdog="nmi")}, "devices.watchdog: 'nmi' is not possible; give one of none, reset,"),
    ({"devices": DevicesRequest(tpm="2.0")}, "devices.tpm: '2.0' is neither true nor false; give true or false"),
    ({"devices": DevicesRequest(host=["a", "a"])}, "devices.host: a device is in it twice; name each device once"),
    ({"devices": DevicesRequest(host=["A B"])}, "devices.host[0]: 'A B' is no valid name; use 1 to 63 of"),
    ({"disks": [DiskRequest(GIB, bus="ide")]}, "disks[0].bus: 'ide' is not possible; give one of virtio, scsi, sata"),
    ({"disks": [DiskRequest(GIB, cache="unsafe")]}, "disks[0].cache: 'unsafe' is not possible; give one of none,"),
    ({"disks": [DiskRequest(GIB, discard="unmap")]}, "disks[0].discard: 'unmap' is neither true nor false"),
    (
        {"disks": [DiskRequest(GIB, bus="scsi", iothread=True)]},
        "disks[0].iothread: a disk on bus scsi has no thread of its own; give bus virtio",
    ),
    (
        {"disks": [DiskRequest(GIB, limits=DiskLimits(read_iops=-1))]},
        "disks[0].limits.read_iops: -1 is not possible; give a whole number from 0 to",
    ),
    ({"nics": [NicRequest("br0", link="down")]}, "nics[0].link: 'down' is neither true nor false; give true or false"),
    ({"xml": "<domain>"}, "xml: it is no well-formed XML: "),
]

TOGETHER: list[tuple[dict[str, Any], str]] = [
    (
        {"memory_max": 256},
        "memory: 512 MiB are more than memory_max, 256 MiB; give at most 256, or a larger memory_max, or 0 for none",
    ),
    (
        {"vcpus": 4, "vcpus_max": 2},
        "vcpus: 4 are more than vcpus_max, 2; give at most 2, or a larger vcpus_max, or 0 for none",
    ),
    (
        {"vcpus": 4, "cpu": CpuRequest(sockets=2, cores=2, threads=2)},
        "cpu: 2 sockets of 2 cores of 2 threads are 8 vCPUs, but vcpus is 4; "
        "make their product vcpus, or give 0 for all three",
    ),
    (
        {"vcpus": 4, "vcpus_max": 6, "cpu": CpuRequest(sockets=1, cores=4, threads=1)},
        "cpu: 1 sockets of 4 cores of 1 threads are 4 vCPUs, but vcpus_max is 6; "
        "make their product vcpus_max, or give 0 for all three",
    ),
    (
        {"cpu": CpuRequest(cores=2)},
        "cpu: a topology has sockets, cores and threads; give all three, or 0 for all three",
    ),
    ({"secure_boot": True}, "secure_boot: firmware bios knows no secure boot; give firmware uefi, too"),
    (
        {"secure_boot": True, "firmware": "uefi", "machine": "pc"},
        "secure_boot: machine pc has no protected mode for it; give machine q35",
    ),
    (
        {"devices": DevicesRequest(graphics="vnc")},
        "devices.graphics: it has no graphics card whose screen could be shown; give devices.video, too",
    ),
    (
        {"disks": [DiskRequest(GIB, bus="sata")] * 7},
        "disks[6].bus: its controller has 6 ports; give bus virtio or scsi",
    ),
]


@pytest.mark.parametrize(("options", "text"), [*ALONE, *TOGETHER], ids=str)
def test_what_is_wrong(cluster: Cluster, options: dict[str, Any], text: str) -> None:
    assert refused(cluster, request(**options)).startswith(f"vm web1, {text}")
    cluster.apply(request())
    assert refused(cluster, VmRequest("web1", **options)).startswith(f"vm web1, {text}")


def test_what_was_right_together_stays_so(cluster: Cluster) -> None:
    cluster.apply(request(vcpus=4, cpu=CpuRequest(sockets=1, cores=4, threads=1), firmware="uefi", secure_boot=True))
    assert "but vcpus is 2" in refused(cluster, VmRequest("web1", vcpus=2))
    assert "no secure boot" in refused(cluster, VmRequest("web1", firmware="bios"))
    cluster.apply(VmRequest("web1", vcpus=2, cpu=CpuRequest(sockets=0, cores=0, threads=0)))


# --- devices of nodes -------------------------------------------------------------------------------------------------


def test_a_vm_goes_where_its_device_is(cluster: Cluster) -> None:
    declare(cluster, "node2", GPU)
    cluster.apply(request(devices=DevicesRequest(host=["gpu"])))
    assert cluster.snapshot.owner("web1") == "node2"


def test_a_device_that_no_node_has(cluster: Cluster) -> None:
    text = refused(cluster, request(devices=DevicesRequest(host=["gpu"])))
    assert "gpu" in text
    cluster.apply(request())
    assert refused(cluster, VmRequest("web1", devices=DevicesRequest(host=["gpu"]))) == (
        "vm web1, devices.host[0]: node node1 has no device gpu; declare it of the node, or name another one"
    )


def test_a_device_is_one_vms(cluster: Cluster) -> None:
    declare(cluster, "node1", GPU)
    cluster.apply(request(devices=DevicesRequest(host=["gpu"])))
    text = refused(cluster, request("web2", node="node1", devices=DevicesRequest(host=["gpu"])))
    assert "has given its gpu to web1" in text
    cluster.apply(request("web2", node="node1"))
    assert refused(cluster, VmRequest("web2", devices=DevicesRequest(host=["gpu"]))) == (
        "vm web2, devices.host[0]: device gpu of node node1 is used by vm web1; name another one"
    )


def test_a_vm_with_a_device_of_its_node_is_stopped_to_be_moved(cluster: Cluster) -> None:
    declare(cluster, "node1", GPU)
    declare(cluster, "node2", GPU)
    cluster.apply(request(migration=MigrationRequest(method="live")))
    assert cluster.vm("web1").live
    why = cluster.apply(VmRequest("web1", devices=DevicesRequest(host=["gpu"]))).plan.why["web1"]
    assert "with devices of its node it cannot move while it runs, and is stopped for that" in why
    assert not cluster.vm("web1").live
    assert "and is stopped for that" in cluster.plan(VmRequest("web1", node="node2")).why["web1"]


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        ([HostDevice("a b", "pci", "0000:65:00.0")], "devices[0].name: 'a b' is no valid name"),
        ([HostDevice("gpu", "scsi", "0")], "devices[0].kind: 'scsi' is not possible; give one of pci, usb"),
        ([HostDevice("gpu", "pci", "65:00.0")], "devices[0].address: '65:00.0' is not possible; give its address as lspci"),
        ([HostDevice("key", "usb", "1-1.2")], "devices[0].address: '1-1.2' is not possible; give its vendor and product"),
        ([GPU, HostDevice("gpu", "usb", "046d:0825")], "devices[1].name: two devices have the name gpu"),
        ([GPU, HostDevice("gpu2", "pci", "0000:65:00.0")], "devices[1].address: gpu is at 0000:65:00.0, too"),
    ],
)  # fmt: skip
def test_devices_that_are_declared_wrong(cluster: Cluster, devices: list[HostDevice], text: str) -> None:
    with pytest.raises(InvalidRequest) as info:
        declare(cluster, "node1", *devices)
    assert str(info.value).startswith(f"node node1, {text}")


def test_a_device_in_use_stays_declared(cluster: Cluster) -> None:
    declare(cluster, "node1", GPU)
    cluster.apply(request(devices=DevicesRequest(host=["gpu"])))
    for other in ((), (HostDevice("gpu", "pci", "0000:66:00.0"),)):
        with pytest.raises(InvalidRequest, match="node node1, devices: vm web1 has gpu of it; take it from the VM"):
            declare(cluster, "node1", *other)
    declare(cluster, "node1", GPU, HostDevice("key", "usb", "046D:0825"))
    node = cluster.snapshot.nodes["node1"].value
    assert node is not None
    assert [device.address for device in node.devices] == ["0000:65:00.0", "046d:0825"]


def test_processors_of_its_own_are_limited_by_those_of_the_node(cluster: Cluster) -> None:
    """Nodes of these tests have two processors, of which one is left to all."""
    own = CpuRequest(dedicated=True)
    cluster.apply(request("a", cpu=own), request("b", cpu=own))
    assert {cluster.snapshot.owner(name) for name in "ab"} == {"node1", "node2"}
    assert "has 0 processors that a VM can have to itself, 1 are needed" in refused(cluster, request("c", cpu=own))
    cluster.apply(request("c"))
    text = refused(cluster, VmRequest("c", cpu=own))
    assert text.startswith("vm c, cpu.dedicated: node node1 has 0 processors that a VM can have to itself")


# --- disks that are taken away ----------------------------------------------------------------------------------------

THIEF = request("thief", disks=[DiskRequest(volume="web1-disk1")], nics=[])
TWO = [DiskRequest(GIB), DiskRequest(GIB)]
HELD = "was taken from vm web1, which has not let go of it yet"


@pytest.fixture
def running(cluster: Cluster) -> Cluster:
    """web1 runs with two disks."""
    cluster.apply(request(disks=TWO))
    cluster.agents["node1"].observe("web1", "running")
    return cluster


def test_a_volume_is_nobody_elses_before_it_was_let_go_of(running: Cluster) -> None:
    agent = running.agents["node1"]
    running.apply(VmRequest("web1", disks=TWO[:1]))
    assert running.vm("web1").parting == {"vms/web1-disk1": 2}
    assert refused(running, THIEF) == (
        "vm thief, disks[0].volume: volume vms/web1-disk1 was taken from vm web1, which has not let go of it yet; "
        "wait until it has, or stop web1"
    )
    running.apply(VmRequest("web1", description="x"))
    agent.observe("web1", "running", generation=1)
    assert HELD in refused(running, THIEF)
    agent.observe("web1", "running", generation=2)
    running.apply(THIEF)
    running.apply(VmRequest("web1", description="y"))
    assert running.vm("web1").parting == {}


def test_a_volume_that_is_taken_back_is_no_longer_parting(running: Cluster) -> None:
    running.apply(VmRequest("web1", disks=TWO[:1]))
    running.apply(VmRequest("web1", disks=TWO))
    assert running.vm("web1").parting == {}
    assert "is used by vm web1" in refused(running, THIEF)


def test_nobody_knows_what_a_node_does_that_does_not_report(running: Cluster) -> None:
    running.apply(VmRequest("web1", disks=TWO[:1]))
    running.agents["node1"].report(lambda status: type(status)(status.agent))
    assert HELD in refused(running, THIEF)


def test_another_owner_says_that_it_is_free(running: Cluster) -> None:
    running.apply(VmRequest("web1", disks=TWO[:1]))
    running.agents["node1"].hand_over("web1", "node2")
    assert HELD in refused(running, THIEF)
    running.agents["node2"].observe("web1", "running")
    running.apply(THIEF)


def test_a_volume_of_a_vm_that_is_being_stopped(running: Cluster) -> None:
    running.apply(VmRequest("web1", state="stopped", disks=TWO[:1]))
    running.agents["node1"].observe("web1", "stopping", generation=1)
    assert HELD in refused(running, THIEF)
    running.agents["node1"].observe("web1", "stopped")
    running.apply(THIEF)


def test_a_vm_that_does_not_run_lets_go_at_once(running: Cluster) -> None:
    running.apply(VmRequest("web1", state="stopped"))
    running.agents["node1"].observe("web1", "stopped")
    running.apply(VmRequest("web1", disks=TWO[:1]))
    assert running.vm("web1").parting == {}
    running.apply(THIEF)


def test_what_was_said_of_an_older_record_is_no_proof(running: Cluster) -> None:
    """It was off, is started and at once stopped again: a start may be under way that its agent has yet to tell of."""
    agent = running.agents["node1"]
    running.apply(VmRequest("web1", state="stopped"))
    agent.observe("web1", "stopped")
    running.apply(VmRequest("web1", state="started"))
    running.apply(VmRequest("web1", state="stopped"))
    running.apply(VmRequest("web1", disks=TWO[:1]))
    assert HELD in refused(running, THIEF)
    agent.observe("web1", "stopped")
    running.apply(THIEF)


def test_one_plan_gives_a_volume_to_nobody_else(running: Cluster) -> None:
    assert "is used by vm web1" in refused(running, VmRequest("web1", disks=TWO[:1]), THIEF)


def test_what_is_left_alone_keeps_its_disks(running: Cluster) -> None:
    for asked in (VmRequest("web1", state="ignored", disks=[]), VmRequest("web1", state="ignored")):
        running.apply(VmRequest("web1", disks=TWO[:1])) if asked.disks != [] else None
        text = refused(running, asked)
        assert "cannot be taken away while the VM may run, since it is ignored" in text or "has not let go" in text


def test_a_disk_on_a_bus_that_is_fixed_stays_while_it_may_run(cluster: Cluster) -> None:
    cluster.apply(request(disks=[DiskRequest(GIB, bus="sata")]))
    assert refused(cluster, VmRequest("web1", disks=[])) == (
        "vm web1, disks: volume vms/web1-disk0 cannot be taken away while the VM may run, since it is on bus sata; "
        "stop the VM first, in a request before this one"
    )
