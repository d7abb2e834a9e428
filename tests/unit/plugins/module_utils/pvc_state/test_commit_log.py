# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every commit leaves a record, in its own transaction; none that changes nothing does, and the oldest go."""

from __future__ import annotations

import random
import re
import string
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zlib import compress

import pytest

from pvc_state import commit_log, paths, staging
from pvc_state.codec import encode
from pvc_state.commit import commit, commit_nodes
from pvc_state.commit_log import load_commits
from pvc_state.memory_store import MemoryEnsemble
from pvc_state.plan import Plan
from pvc_state.plan_node import plan_nodes
from pvc_state.plan_vm import plan_vms
from pvc_state.records import Author, Commit, FenceDevice
from pvc_state.requests import NodeRequest, VmRequest
from pvc_state.snapshot import Snapshot
from pvc_state.store import Create, Delete, Store
from tests.unit.plugins.module_utils.pvc_state.builders import Cluster, request

ALICE = Author("alice", "playbook site.yml")


def planner(*requests: VmRequest) -> Callable[[Snapshot], Plan]:
    return lambda snapshot: plan_vms(snapshot, requests)


def newest(store: Store) -> Commit:
    (_revision, stored) = next(load_commits(store))
    assert stored.value is not None, stored.invalid
    return stored.value


def revisions(store: Store) -> list[int]:
    return [revision for revision, _stored in load_commits(store)]


def test_a_commit_leaves_who_what_and_why(cluster: Cluster) -> None:
    done = commit(cluster.store, planner(request()), author=ALICE)
    found = newest(cluster.store)
    assert (found.who, found.via) == ("alice", "playbook site.yml")
    assert found.revision == done.revision == cluster.snapshot.journal
    assert found.changes == done.plan.changes
    assert found.at.endswith("Z")


def test_what_changes_nothing_leaves_nothing(cluster: Cluster) -> None:
    commit(cluster.store, planner(request()))
    before = revisions(cluster.store)
    assert commit(cluster.store, planner(request())).revision is None
    assert commit(cluster.store, planner(request("web2")), check_mode=True).revision is None
    with pytest.raises(Exception, match="memory"):
        commit(cluster.store, planner(request("web3", memory=1 << 30)))
    assert revisions(cluster.store) == before


def test_the_first_commit_of_all_has_revision_0() -> None:
    store = MemoryEnsemble().connect()
    done = commit_nodes(store, lambda found: plan_nodes(found, [NodeRequest("node1")], "lab"), author=ALICE)
    assert revisions(store) == [done.revision] == [0]
    assert newest(store).changes[0].name == "node1"


def test_a_tree_from_before_gets_the_path_with_its_first_commit(cluster: Cluster) -> None:
    for name in cluster.store.children(paths.COMMITS) or []:
        cluster.store.commit([Delete(f"{paths.COMMITS}/{name}", 0)])
    cluster.store.commit([Delete(paths.COMMITS, 0)])
    assert list(load_commits(cluster.store)) == []
    commit(cluster.store, planner(request()), author=ALICE)
    assert newest(cluster.store).who == "alice"


@pytest.mark.parametrize("limit", [staging.LIMIT, 1500], ids=["one-transaction", "staged"])
def test_a_large_commit_goes_on_beside_its_first_znode(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    # what cannot be compressed
    texts = ["".join(random.Random(seed).choices(string.ascii_letters, k=200)) for seed in range(20)]
    monkeypatch.setattr(staging, "LIMIT", limit)
    requests = [request(f"vm{index:02}", memory=16, description=text) for index, text in enumerate(texts)]
    done = commit(cluster.store, planner(*requests))
    names = [name for name in cluster.store.children(paths.COMMITS) or [] if name.startswith(f"{done.revision:010}")]
    assert (len(names) > 3) == (limit == 1500)
    assert newest(cluster.store).changes == done.plan.changes


def test_the_newest_are_kept(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "KEEP", 3)
    for size in range(100, 106):
        commit(cluster.store, planner(VmRequest("web1", memory=size)))
    journal = cluster.snapshot.journal
    assert revisions(cluster.store) == [journal, journal - 1, journal - 2]


def test_large_commits_take_the_place_of_several(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "ZNODES", 10)
    for size in range(100, 120):
        commit(cluster.store, planner(VmRequest("web1", memory=size)))
    assert len(revisions(cluster.store)) == 10
    monkeypatch.setattr(staging, "LIMIT", 1500)
    texts = ["".join(random.Random(seed).choices(string.ascii_letters, k=200)) for seed in range(4)]
    commit(cluster.store, planner(*(request(f"vm{n}", memory=16, description=text) for n, text in enumerate(texts))))
    names = cluster.store.children(paths.COMMITS) or []
    assert len(names) == 10
    assert 1 < len(revisions(cluster.store)) < 9


def test_one_that_is_larger_than_all_is_kept_alone(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_log, "ZNODES", 1)
    monkeypatch.setattr(staging, "LIMIT", 1500)
    texts = ["".join(random.Random(seed).choices(string.ascii_letters, k=200)) for seed in range(4)]
    commit(cluster.store, planner(*(request(f"vm{n}", memory=16, description=text) for n, text in enumerate(texts))))
    assert len(revisions(cluster.store)) == 1
    last = commit(cluster.store, planner(VmRequest("vm0", memory=17))).revision
    assert revisions(cluster.store) == [last]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"?", "base64"),
        (b"AAAA", "unknown compression method"),
        (b64encode(compress(b"no")), "no JSON"),
        (b64encode(compress(b"{}")), "lacks field"),
        (b64encode(compress(encode(Commit(7, "", "", "", ())))), "revision is 7"),
    ],
)
def test_a_damaged_record_says_what_is_wrong_and_hides_no_other(cluster: Cluster, data: bytes, why: str) -> None:
    first = commit(cluster.store, planner(request())).revision
    second = commit(cluster.store, planner(request("web2"))).revision
    assert first is not None
    assert second is not None
    cluster.overwrite(paths.commit(second), data)
    found = dict(load_commits(cluster.store))
    assert found[second].value is None
    assert why in found[second].invalid
    assert found[first].value is not None


def test_a_part_that_is_missing_makes_it_damaged(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "LIMIT", 900)
    revision = commit(cluster.store, planner(request())).revision
    assert revision is not None
    cluster.store.commit([Delete(paths.commit(revision, 1), 0)])
    ((_number, stored),) = load_commits(cluster.store, revision, revision)
    assert stored.value is None
    assert stored.invalid


def test_names_that_are_no_commits_are_left_alone(cluster: Cluster) -> None:
    before = revisions(cluster.store)
    cluster.store.commit([Create(f"{paths.COMMITS}/notes")])
    assert revisions(cluster.store) == before


def test_a_range_of_commits_is_all_that_is_read(cluster: Cluster) -> None:
    for size in range(100, 106):
        commit(cluster.store, planner(VmRequest("web1", memory=size)))
    journal = cluster.snapshot.journal
    found = [revision for revision, _stored in load_commits(cluster.store, journal - 3, journal - 1)]
    assert found == [journal - 1, journal - 2, journal - 3]


def test_nothing_in_a_commit_is_called_like_a_secret(cluster: Cluster) -> None:
    """Of a fence device the name of its credential is recorded, as everybody may see it."""
    bmc = FenceDevice("bmc", "ipmi", "10.0.0.9", "admin", "bmc1", {"cipher_suite": "17"})
    commit_nodes(cluster.store, lambda found: plan_nodes(found, [NodeRequest("node1", fence=[bmc])], "lab"))
    commit(cluster.store, planner(request(metadata={"owner": "shop"})))
    (_first, *others) = reversed([stored.value for _revision, stored in load_commits(cluster.store)])
    keys = {key for one in others if one for change in one.changes for key in _keys([change.before, change.after])}
    assert "credential" in keys
    assert not [key for key in keys if re.search("pass|secret|token", key)]


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from _keys(one)
