# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every request whatsoever."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pvc_state.commit import commit
from pvc_state.errors import PvcError
from pvc_state.plan import Plan
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Boot
from pvc_state.requests import UNSET, DiskRequest, NicRequest, VmRequest
from pvc_state.snapshot import Snapshot, load
from tests.unit.plugins.module_utils.pvc_state.builders import GIB, Cluster

names = st.sampled_from(["a", "b", "c", "d", "Bad!"])
disks = st.builds(
    DiskRequest,
    st.sampled_from([None, GIB, 2 * GIB]),
    st.sampled_from(["vms", "vms", "ssd"]),
    st.sampled_from(["", "", "x", "y"]),
)
nics = st.builds(
    NicRequest, st.sampled_from(["br0", "br0", "br9"]), st.sampled_from(["", "", "02:00:00:00:00:01", "zz"])
)


def option(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.just(UNSET) | strategy


vm_requests = st.builds(
    VmRequest,
    names,
    state=option(st.sampled_from(["started", "stopped", "disabled", "absent"])),
    node=option(st.sampled_from([None, "node1", "node2", "node9"])),
    memory=option(st.sampled_from([0, 256, 512, 1024, 3072])),
    vcpus=option(st.integers(0, 3)),
    disks=option(st.lists(disks, max_size=2)),
    nics=option(st.lists(nics, max_size=2)),
    boot=option(st.sampled_from([Boot(), Boot("/vmlinuz", "/initrd", "quiet")])),
    description=option(st.sampled_from(["", "x"])),
    tags=option(st.lists(st.sampled_from("ab"), max_size=2)),
    delete_volumes=option(st.booleans()),
)
batches = st.lists(st.lists(vm_requests, max_size=3), min_size=1, max_size=6)


@settings(max_examples=150, deadline=None)
@given(batches, st.data())
def test_plans_keep_their_promises(requests: list[list[VmRequest]], data: st.DataObject) -> None:
    cluster = Cluster()
    for batch in requests:
        before = cluster.snapshot
        plan = planned(before, batch)
        if plan is None:
            continue
        checked = commit(cluster.store, lambda snapshot, batch=batch: plan_vms(snapshot, batch), check_mode=True)  # type: ignore[misc]
        assert cluster.snapshot == before
        made = cluster.apply(*batch)
        assert made.plan == checked.plan == plan
        assert plan.changed == bool(plan.ops) == bool(plan.diff()["before"] or plan.diff()["after"])
        after = cluster.snapshot
        assert {name: vm.value for name, vm in after.vms.items()} == {
            name: vm.value for name, vm in plan.after.vms.items()
        }
        assert not cluster.plan(*batch).changed, "twice is once"
        invariants(cluster)
        agents_act(cluster, data)
        invariants(cluster)


def planned(snapshot: Snapshot, batch: list[VmRequest]) -> Plan | None:
    """The plan, None for a refusal, which then names what it is about and what would be right."""
    refusal: PvcError | None = None
    try:
        return plan_vms(snapshot, batch)
    except PvcError as err:
        refusal = err
    assert refusal.obj.startswith(("vm ", "vms "))
    assert refusal.remedy
    return None


def invariants(cluster: Cluster) -> None:
    """What no sequence of accepted requests can break."""
    snapshot = cluster.snapshot
    vms = {name: stored.value for name, stored in snapshot.vms.items() if stored.value}
    volumes = [(disk.pool, disk.volume) for vm in vms.values() for disk in vm.disks]
    assert len(volumes) == len(set(volumes)), "a volume has one user"
    macs = [nic.mac for vm in vms.values() for nic in vm.nics]
    assert len(macs) == len(set(macs)), "an address has one user"
    assert len({vm.uuid for vm in vms.values()}) == len(vms)
    assert set(snapshot.claims) == set(vms), "each VM has one claim"
    for node, memory in snapshot.reserved.items():
        assert memory <= 4096 - 1024, f"{node} is given more than it has"
    for node in snapshot.nodes:
        assigned = cluster.store.children(f"/assigned/{node}")
        assert assigned == sorted(name for name in vms if snapshot.owner(name) == node)


def agents_act(cluster: Cluster, data: st.DataObject) -> None:
    """Some of what agents may do now: start, stop, hand over, remove."""
    snapshot = load(cluster.store)
    for name, stored in snapshot.vms.items():
        owner, vm = snapshot.owner(name), stored.value
        if vm is None or owner is None or not data.draw(st.booleans(), label=f"the agent acts on {name}"):
            continue
        agent = cluster.agents[owner]
        if vm.state == "absent":
            agent.remove(name)
        elif vm.state == "started":
            agent.observe(name, "running")
        elif vm.node is not None and vm.node != owner:
            agent.hand_over(name, vm.node)
        else:
            agent.observe(name, "stopped")
