# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from pvc_state import staging
from pvc_state.commit import commit
from pvc_state.commit_log import load_commits
from pvc_state.errors import Conflict, OutcomeUnknown, StoreUnavailable
from pvc_state.plan import Plan
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Author
from pvc_state.requests import DiskRequest, VmRequest
from pvc_state.snapshot import Snapshot, load
from pvc_state.store import Op
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request
from tests.unit.plugins.module_utils.pvc_state.faults import Wrapped


def planner(*requests: VmRequest) -> Callable[[Snapshot], Plan]:
    return lambda snapshot: plan_vms(snapshot, requests)


def test_check_mode_makes_nothing_and_shows_the_same(cluster: Cluster) -> None:
    before = cluster.snapshot
    checked = commit(cluster.store, planner(request()), check_mode=True)
    assert cluster.snapshot == before
    made = commit(cluster.store, planner(request()))
    assert checked.plan == made.plan
    assert checked.snapshot_after == made.snapshot_after
    assert checked.plan.diff() == made.plan.diff()


def test_a_conflict_plans_again_from_what_is_there_now(cluster: Cluster) -> None:
    interferences = [request("one"), request("two")]

    def plan(snapshot: Snapshot) -> Plan:
        made = plan_vms(snapshot, [request("mine", memory=1536)])
        if interferences:
            cluster.apply(interferences.pop())
        return made

    result = commit(cluster.connect(), plan)
    assert result.plan.changed
    assert sorted(cluster.snapshot.vms) == ["mine", "one", "two"]


def test_two_plans_never_use_the_same_room_twice(cluster: Cluster) -> None:
    owners = []

    def plan(snapshot: Snapshot) -> Plan:
        made = plan_vms(snapshot, [request("mine", memory=2048, force=True)])
        owners.append(made.after.owner("mine"))
        if len(owners) == 1:
            cluster.apply(request("rival", memory=2048, force=True))
        return made

    commit(cluster.connect(), plan)
    assert owners == ["node1", "node2"]


def test_two_plans_never_use_the_same_volume_twice(cluster: Cluster) -> None:
    rival = [request("rival", disks=[DiskRequest(volume="golden")])]

    def plan(snapshot: Snapshot) -> Plan:
        made = plan_vms(snapshot, [request("mine", disks=[DiskRequest(volume="golden")])])
        if rival:
            cluster.apply(rival.pop())
        return made

    with pytest.raises(Exception, match="used by vm rival"):
        commit(cluster.connect(), plan)


def test_an_agents_removal_in_between_is_seen(cluster: Cluster) -> None:
    cluster.apply(request())
    cluster.apply(VmRequest("web1", state="absent"))
    done: list[str] = []

    def plan(snapshot: Snapshot) -> Plan:
        made = plan_vms(snapshot, [VmRequest("web1", state="absent", delete_volumes=True)])
        if not done:
            cluster.agents["node1"].remove("web1")
            done.append("web1")
        return made

    result = commit(cluster.connect(), plan)
    assert not result.plan.changed
    assert result.plan.why == {"web1": "it does not exist"}


def test_conflicts_without_end_fail_clearly(cluster: Cluster) -> None:
    count = iter(range(1000))

    def plan(snapshot: Snapshot) -> Plan:
        made = plan_vms(snapshot, [request("mine")])
        cluster.apply(VmRequest("busy", memory=100 + next(count)))
        return made

    with pytest.raises(Conflict) as info:
        commit(cluster.connect(), plan, attempts=5)
    assert str(info.value) == (
        "others came between in each of 5 attempts; the last time /journal was changed meanwhile; "
        "try again when fewer jobs run"
    )
    assert "mine" not in cluster.snapshot.vms


def test_a_cluster_that_never_rests_cannot_be_read(cluster: Cluster) -> None:
    count = iter(range(100_000))

    class Busy(Wrapped):
        def get_many(self, paths: Sequence[str]) -> list[object]:  # type: ignore[override]
            cluster.apply(VmRequest("busy", memory=100 + next(count) % 1000))
            return list(super().get_many(paths))

    with pytest.raises(Conflict, match=r"^others changed the cluster during 100 attempts to read it"):
        load(Busy(cluster.connect()))


# --- broken connections ---------------------------------------------------------------------------------------------


class Breaking(Wrapped):
    """Breaks the connection during the first commit, before or after it took effect; patient or not afterwards."""

    def __init__(self, cluster: Cluster, *, effective: bool, patient: bool) -> None:
        super().__init__(cluster.connect())
        self.effective = effective
        self.patient = patient
        self.broken = False

    def commit(self, ops: Sequence[Op]) -> None:
        if self.broken:
            super().commit(ops)
            return
        if self.effective:
            super().commit(ops)
        self.broken = True
        raise OutcomeUnknown("connection lost")

    def sync(self) -> None:
        if self.broken and not self.patient:
            raise StoreUnavailable("no server answers")


@pytest.mark.parametrize("effective", [True, False])
def test_a_commit_that_broke_is_looked_for_before_it_is_made_again(cluster: Cluster, effective: bool) -> None:
    result = commit(Breaking(cluster, effective=effective, patient=True), planner(request()))
    assert result.plan.changed
    assert result.plan.changes[0].after is not None
    assert cluster.vm("web1").generation == 1
    assert result.snapshot_after.vms["web1"].value == cluster.vm("web1")


@pytest.mark.parametrize("effective", [True, False])
def test_what_is_done_once_is_not_done_twice_when_the_connection_breaks(cluster: Cluster, effective: bool) -> None:
    cluster.apply(request())
    result = commit(Breaking(cluster, effective=effective, patient=True), planner(VmRequest("web1", state="restarted")))
    assert cluster.vm("web1").restart == 1
    assert result.revision == cluster.snapshot.journal == next(load_commits(cluster.store))[0]


def test_a_commit_that_broke_before_another_made_the_same_change_was_none(cluster: Cluster) -> None:
    class Overtaken(Breaking):
        def sync(self) -> None:
            if self.broken and "web1" not in cluster.snapshot.vms:
                cluster.apply(request())

    broken = Overtaken(cluster, effective=False, patient=True)
    result = commit(broken, planner(request()), author=Author("alice"))
    assert not result.plan.changed
    assert result.revision is None


@pytest.mark.parametrize("effective", [True, False])
def test_a_commit_that_broke_for_good_says_so(cluster: Cluster, effective: bool) -> None:
    with pytest.raises(OutcomeUnknown, match="took effect as a whole or not at all; run the same again"):
        commit(Breaking(cluster, effective=effective, patient=False), planner(request()))
    assert ("web1" in cluster.snapshot.vms) == effective


def test_a_large_plan_is_one_change(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "LIMIT", 6000)
    requests = [request(f"vm{index:03}", memory=16) for index in range(100)]
    before = cluster.snapshot.journal
    assert commit(cluster.store, planner(*requests)).plan.changed
    snapshot = cluster.snapshot
    assert len(snapshot.vms) == len(snapshot.claims) == 100
    assert snapshot.journal > before + 10  # chunks
    assert cluster.store.children("/staged") == []
    assert not commit(cluster.store, planner(*requests)).plan.changed
    changes = [VmRequest(f"vm{index:03}", vcpus=2) for index in range(100)]
    commit(cluster.store, planner(*changes))
    assert all(vm.value and vm.value.vcpus == 2 for vm in cluster.snapshot.vms.values())
