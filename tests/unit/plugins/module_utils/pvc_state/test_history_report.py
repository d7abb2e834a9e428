# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commits as they are listed, and what was wanted after each of them."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pvc_state
from pvc_state import commit_log, paths, staging
from pvc_state.codec import encode
from pvc_state.commit import commit, commit_nodes
from pvc_state.commit_log import load_commits
from pvc_state.document import read
from pvc_state.document_export import as_document
from pvc_state.errors import DamagedRecord, InvalidRequest, PvcError
from pvc_state.history_report import State, history_views, state_at
from pvc_state.kinds import VM
from pvc_state.plan import Plan
from pvc_state.plan_document import Wishes, plan_document
from pvc_state.plan_move import plan_move
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_rules import plan_rules
from pvc_state.plan_settings import plan_settings
from pvc_state.plan_snapshots import plan_snapshots
from pvc_state.plan_vm import plan_vms
from pvc_state.records import CHANGED, Author, Node
from pvc_state.requests import (
    MoveRequest,
    NodeRequest,
    RuleRequest,
    SettingsRequest,
    SnapshotRequest,
    VmRequest,
)
from pvc_state.rule_report import desired_rule
from pvc_state.snapshot import Snapshot
from pvc_state.store import Delete, Set
from pvc_state.views import desired_node, desired_settings, desired_vm
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request

Planner = Callable[[Snapshot], Plan]

NOBODY = Author()
VMS, NODES = ["a", "b", "c"], ["node1", "node2", "node3"]
vm_names, node_names = st.sampled_from(VMS), st.sampled_from(NODES)


def vms(*requests: VmRequest) -> Planner:
    return lambda snapshot: plan_vms(snapshot, requests)


def nodes(*requests: NodeRequest) -> Planner:
    return lambda snapshot: plan_nodes(snapshot, requests, "lab")


def rules(*requests: RuleRequest) -> Planner:
    return lambda snapshot: plan_rules(snapshot, requests)


def policy(request: SettingsRequest) -> Planner:
    return lambda snapshot: plan_settings(snapshot, request)


def wanted(snapshot: Snapshot) -> State:
    """What users want of everything, read off the records."""
    return {
        "settings": {"": desired_settings(snapshot.policy)},
        "node": {name: desired_node(one.value) for name, one in snapshot.nodes.items() if one.value},
        "rule": {name: desired_rule(one.value) for name, one in snapshot.rules.items() if one.value},
        "vm": {
            name: desired_vm(one.value)
            for name, one in snapshot.vms.items()
            if one.value and one.value.state != "absent"
        },
    }


def at(cluster: Cluster, revision: int) -> State:
    return state_at(cluster.snapshot, load_commits(cluster.store), revision)


# --- whatever was committed -----------------------------------------------------------------------------------------

changes = st.one_of(
    st.builds(
        lambda names, **options: vms(*(VmRequest(name, memory=64, **options) for name in names)),
        st.lists(vm_names, min_size=1, unique=True),
        vcpus=st.integers(1, 3),
        state=st.sampled_from(["started", "stopped"]),
        autostart=st.booleans(),
        description=st.sampled_from(["", "x", "y" * 300]),
    ),
    st.builds(lambda name, delete: vms(VmRequest(name, "absent", delete_volumes=delete)), vm_names, st.booleans()),
    st.builds(lambda name, new: vms(VmRequest(name, new_name=new)), vm_names, vm_names),
    st.builds(lambda name: vms(VmRequest(name, "restarted")), vm_names),
    st.builds(
        lambda name, **options: nodes(NodeRequest(name, **options)),
        node_names,
        state=st.sampled_from(["present", "ready", "drained", "maintenance"]),
        memory_reserve=st.sampled_from([512, 1024]),
    ),
    st.builds(lambda name: nodes(NodeRequest(name, "absent")), node_names),
    st.builds(
        lambda name, members: rules(RuleRequest(name, kind="apart", vms=members)),
        st.sampled_from(["r", "s"]),
        st.lists(vm_names, min_size=2, unique=True),
    ),
    st.builds(lambda name: rules(RuleRequest(name, "absent")), st.sampled_from(["r", "s"])),
    st.builds(lambda moves: policy(SettingsRequest(parallel_moves=moves)), st.integers(7, 9)),
    st.builds(lambda name, to: lambda found: plan_move(found, [MoveRequest(name, to)]), vm_names, node_names),
    st.builds(lambda name, one: lambda found: plan_snapshots(found, [SnapshotRequest(name, one)]), vm_names, vm_names),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(changes, min_size=4, max_size=10), st.integers(0, 3), st.booleans())
def test_every_state_that_was_can_be_had(planners: list[Planner], lazy: int, staged: bool) -> None:
    """From a cluster in which something can happen: agents that act at once, or at every second to fourth commit only."""
    cluster = Cluster(nodes=2)
    begin(cluster)
    known: dict[int, State] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "LIMIT", 2000 if staged else staging.LIMIT)
        for turn, planner in enumerate(planners):
            known[cluster.snapshot.journal] = wanted(cluster.snapshot)
            with contextlib.suppress(PvcError):
                commit_nodes(cluster.store, planner)  # type: ignore[arg-type]
            if not turn % (lazy + 1):
                agents_act(cluster)
    known[cluster.snapshot.journal] = wanted(cluster.snapshot)
    for revision, state in known.items():
        assert at(cluster, revision) == state
    assert all(one["changes"] for one in history_views(load_commits(cluster.store)))


def begin(cluster: Cluster) -> None:
    commit(
        cluster.store,
        vms(VmRequest("a", "stopped", memory=64, autostart=True), VmRequest("b", memory=64), request("e")),
    )
    commit(cluster.store, rules(RuleRequest("r", kind="apart", vms=["a", "b"])))
    commit_nodes(cluster.store, nodes(NodeRequest("node3"), NodeRequest("node1", "drained")))  # type: ignore[arg-type]
    agents_act(cluster)


def agents_act(cluster: Cluster) -> None:
    """Agents finish deletions, and report what is as wanted."""
    for name, stored in cluster.snapshot.vms.items():
        owner = cluster.snapshot.owner(name)
        if stored.value is None or owner not in cluster.agents:
            continue
        if stored.value.state == "absent":
            cluster.agents[owner].remove(name)
        else:
            cluster.agents[owner].observe(name, "stopped" if stored.value.state == "stopped" else "running")


@pytest.mark.parametrize(
    "planner",
    [
        vms(VmRequest("a", new_name="c")),
        vms(VmRequest("a", "absent"), VmRequest("b", "absent")),
        vms(VmRequest("c", memory=64)),
        nodes(NodeRequest("node1", "ready")),
        nodes(NodeRequest("node3", "absent")),
        rules(RuleRequest("r", "absent")),
        policy(SettingsRequest(parallel_moves=9)),
        lambda found: plan_move(found, [MoveRequest("e")]),
        lambda found: plan_snapshots(found, [SnapshotRequest("e", "daily")]),
    ],
    ids=["rename", "delete", "create", "autostart", "node-gone", "rule-gone", "settings", "move", "snapshot"],
)
def test_each_kind_of_commit_can_be_taken_back(planner: Planner) -> None:
    cluster = Cluster()
    begin(cluster)
    revision, state = cluster.snapshot.journal, wanted(cluster.snapshot)
    before = commit_nodes(cluster.store, planner).revision  # type: ignore[arg-type]
    assert before is not None
    after = wanted(cluster.snapshot)
    agents_act(cluster)
    commit(cluster.store, vms(VmRequest("d", memory=64)))
    assert at(cluster, revision) == state
    assert at(cluster, before) == after


def test_a_document_of_several_kinds_can_be_taken_back_and_be_had_again() -> None:
    """What apply does with ``commit``: the state at a commit, as a document, makes the cluster so again."""
    cluster = Cluster()
    begin(cluster)
    commit_nodes(cluster.store, nodes(NodeRequest("node1", "ready")))  # type: ignore[arg-type]
    agents_act(cluster)
    revision, state = cluster.snapshot.journal, wanted(cluster.snapshot)
    data = {
        "settings": {"parallel_moves": 3},
        "nodes": [{"name": "node1", "memory_reserve": "512M"}],
        "rules": [{"name": "r", "state": "absent"}, {"name": "s", "kind": "together", "vms": ["a", "c"]}],
        "vms": [{"name": "a", "state": "absent"}, {"name": "b", "vcpus": 2}, {"name": "c", "memory": 64}],
    }
    apply(cluster, data)
    assert at(cluster, revision) == state
    agents_act(cluster)
    apply(cluster, as_document("lab", at(cluster, revision), full=True))
    now = wanted(cluster.snapshot)
    assert {kind: {name: now[kind].get(name) for name in named} for kind, named in state.items()} == state


def apply(cluster: Cluster, data: dict[str, Any]) -> None:
    document = read(data)
    commit_nodes(cluster.store, lambda found: plan_document(found, document, Wishes()).sound())


def test_a_vm_that_is_being_deleted_is_no_state(cluster: Cluster) -> None:
    made(cluster, vms(request()))
    made(cluster, vms(VmRequest("web1", "absent")))
    assert VM.views(cluster.snapshot) == {}


def test_a_deletion_that_is_asked_for_twice_is_one(cluster: Cluster) -> None:
    made(cluster, vms(VmRequest("a", memory=64)))
    first = made(cluster, vms(VmRequest("a", "absent")))
    made(cluster, vms(VmRequest("a", "absent", delete_volumes=True)))
    assert at(cluster, first)["vm"] == {}
    assert at(cluster, first - 1)["vm"].keys() == {"a"}


# --- what is remembered, and what is not ----------------------------------------------------------------------------


def made(cluster: Cluster, planner: Planner, author: Author = NOBODY) -> int:
    revision = commit(cluster.store, planner, author=author).revision
    assert revision is not None
    return revision


def test_a_revision_between_two_commits_is_the_one_before(cluster: Cluster) -> None:
    first = made(cluster, vms(request()))
    cluster.store.commit([Set(paths.JOURNAL, b"", cluster.snapshot.journal)])  # as a leader does
    between = cluster.snapshot.journal
    made(cluster, vms(VmRequest("web1", memory=64)))
    assert at(cluster, between) == at(cluster, first)
    assert at(cluster, first)["vm"]["web1"]["memory"] == 512


def test_what_a_leader_wrote_counts_from_the_next_commit_of_the_object(cluster: Cluster) -> None:
    first = made(cluster, nodes(NodeRequest("node1", memory_reserve=512)))
    stored = cluster.snapshot.nodes["node1"]
    assert stored.value is not None
    drained = encode(Node(memory_reserve=512, state="drained", generation=3))
    cluster.store.commit([Set(paths.node("node1"), drained, stored.version)])
    last = made(cluster, nodes(NodeRequest("node1", memory_reserve=1024)))
    assert at(cluster, first)["node"]["node1"]["state"] == "drained", "as the next commit has found it"
    assert at(cluster, last)["node"]["node1"]["state"] == "drained"


def test_what_is_forgotten_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "KEEP", 2)
    first, second, third = (made(cluster, vms(VmRequest("web1", memory=size))) for size in (64, 65, 66))
    assert at(cluster, second)["vm"]["web1"]["memory"] == 65
    assert at(cluster, third)["vm"]["web1"]["memory"] == 66
    with pytest.raises(InvalidRequest) as info:
        at(cluster, first)
    assert str(info.value) == (
        f"commit: what was wanted at revision {first} is not remembered; "
        f"the oldest commit that is has revision {second}"
    )


def test_what_has_not_been_yet_is_refused(cluster: Cluster) -> None:
    newest = cluster.snapshot.journal
    with pytest.raises(InvalidRequest, match=rf"^commit: there is no revision 999 yet: the newest is {newest}"):
        at(cluster, 999)


def test_a_tree_without_records_remembers_only_today(cluster: Cluster) -> None:
    cluster.apply(request())
    for name in cluster.store.children(paths.COMMITS) or []:
        cluster.store.commit([Delete(f"{paths.COMMITS}/{name}", 0)])
    assert at(cluster, cluster.snapshot.journal) == wanted(cluster.snapshot)
    with pytest.raises(InvalidRequest, match=r"at revision 0 is not remembered; no commit is$"):
        at(cluster, 0)


def test_a_commit_that_cannot_be_read_is_a_wall(cluster: Cluster) -> None:
    first, second, third = (made(cluster, vms(VmRequest("web1", memory=size))) for size in (64, 65, 66))
    cluster.overwrite(paths.commit(second), b"?")
    assert at(cluster, second)["vm"]["web1"]["memory"] == 65
    with pytest.raises(DamagedRecord, match=rf"^commit {second}: its record cannot be read.*from revision {second} on"):
        at(cluster, first)
    shown = history_views(load_commits(cluster.store))
    assert [one["revision"] for one in shown if one["damaged"]] == [second]
    assert third in [one["revision"] for one in history_views(load_commits(cluster.store), who="")]


def test_an_object_that_cannot_be_read_is_named_unless_it_was_not_there(cluster: Cluster) -> None:
    before = cluster.snapshot.journal
    made(cluster, vms(request()))
    cluster.overwrite(paths.vm("web1"), b"?")
    with pytest.raises(DamagedRecord, match=r"^vm web1: its record cannot be read; restore or remove it first"):
        at(cluster, cluster.snapshot.journal)
    assert at(cluster, before)["vm"] == {}


def test_commits_made_meanwhile_do_not_count(cluster: Cluster) -> None:
    seen = cluster.snapshot
    state = wanted(seen)
    made(cluster, vms(request()))
    assert state_at(seen, load_commits(cluster.store), seen.journal) == state


# --- the list -------------------------------------------------------------------------------------------------------


def test_a_commit_is_shown_with_its_difference(cluster: Cluster) -> None:
    made(cluster, vms(request()))
    revision = made(cluster, vms(VmRequest("web1", memory=1024)), Author("alice", "playbook site.yml"))
    (shown,) = history_views(load_commits(cluster.store), limit=1)
    assert shown.pop("at").endswith("Z")
    assert shown == {
        "revision": revision,
        "damaged": "",
        "who": "alice",
        "via": "playbook site.yml",
        "objects": 1,
        "changes": [{"kind": "vm", "name": "web1", "action": "changed", "why": "memory 512 -> 1024"}],
        "diff": {
            "before": '{\n  "vm web1": {\n    "memory": 512\n  }\n}\n',
            "after": '{\n  "vm web1": {\n    "memory": 1024\n  }\n}\n',
        },
    }


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({}, ["rule pair", "web1 gone", "web1+web2", "nodes"]),
        ({"limit": 2}, ["rule pair", "web1 gone"]),
        ({"limit": 0}, []),
        ({"kind": "vm"}, ["web1 gone", "web1+web2"]),
        ({"kind": "settings"}, []),
        ({"name": "web2"}, ["web1+web2"]),
        ({"name": "pair", "kind": "rule"}, ["rule pair"]),
        ({"name": "pair", "kind": "vm"}, []),
        ({"who": "alice"}, ["web1 gone"]),
        ({"who": "ali"}, ["web1 gone"]),
        ({"who": "nobody"}, []),
        ({"via": "site.yml"}, ["rule pair", "web1+web2"]),
        ({"via": "site.yml", "limit": 1}, ["rule pair"]),
    ],
)
def test_filters(cluster: Cluster, filters: Mapping[str, Any], shown: Sequence[str]) -> None:
    labels = {
        cluster.snapshot.journal: "nodes",
        made(cluster, vms(request(), request("web2")), Author("bob", "site.yml")): "web1+web2",
        made(cluster, vms(VmRequest("web1", "absent")), Author("alice on desk", "vm.yml")): "web1 gone",
        made(
            cluster, rules(RuleRequest("pair", kind="apart", vms=["web1", "web2"])), Author("", "site.yml")
        ): "rule pair",
    }
    assert [labels[one["revision"]] for one in history_views(load_commits(cluster.store), **filters)] == shown


def test_only_what_was_asked_for_is_shown_of_a_commit(cluster: Cluster) -> None:
    made(cluster, vms(request(), request("web2"), request("web3")))
    (shown,) = history_views(load_commits(cluster.store), name="web2")
    assert [one["name"] for one in shown["changes"]] == ["web2"]
    assert "web1" not in shown["diff"]["after"]
    assert shown["objects"] == 3


def test_what_belongs_to_a_vm_is_found_by_its_name(cluster: Cluster) -> None:
    made(cluster, vms(request(state="stopped")))
    cluster.agents["node1"].observe("web1", "stopped")
    made(cluster, lambda found: plan_snapshots(found, [SnapshotRequest("web1", "daily")]))
    cluster.agents["node1"].observe("web1", "stopped")
    made(cluster, vms(VmRequest("web1", new_name="www")))
    old, new = (
        [one["changes"][0]["kind"] for one in history_views(load_commits(cluster.store), name=name)]
        for name in ("web1", "www")
    )
    assert old == ["vm", "snapshot", "vm"]
    assert new == ["vm"]


def test_every_kind_of_change_is_documented() -> None:
    """The kinds that plans make are the ones that the option ``kind`` knows."""
    made = {
        node.args[0].value
        for path in Path(pvc_state.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Change"
        and isinstance(node.args[0], ast.Constant)
    }
    assert made == set(CHANGED)
