# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Readers see all of the cluster and change nothing of it: on a store in memory and on a real ZooKeeper."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import access as library
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths, staging
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import encode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import digest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.errors import Conflict, StoreUnavailable
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.memory_store import MemoryStore
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Journal
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import load
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Access, Create, Set
from ansible_collections.pvc.cluster.plugins.modules import (
    access,
    balance_info,
    cluster_info,
    failover_info,
    fence_info,
    node,
    node_info,
    rule,
    rule_info,
    settings,
    settings_info,
    vm,
    vm_console_info,
    vm_info,
    vm_migrate,
    vm_snapshot,
    vm_snapshot_info,
)

from tests.unit.plugins.modules.conftest import PASSWORD, Agents, in_memory
from tests.unit.plugins.modules.harness import Cluster, Options, run

READER = {"name": "pvc-reader", "password": "only looking"}
AS_READER = {"username": "pvc-reader", "password": "only looking"}

READING: list[tuple[Any, Options]] = [
    (balance_info, {}),
    (cluster_info, {}),
    (failover_info, {}),
    (fence_info, {}),
    (node_info, {}),
    (rule_info, {}),
    (settings_info, {}),
    (vm_console_info, {"name": "web1"}),
    (vm_info, {}),
    (vm_snapshot_info, {}),
]
WRITING: list[tuple[Any, Options]] = [
    (vm, {"name": "web2", "memory": 64}),
    (vm, {"name": "web1", "description": "mine"}),
    (vm, {"name": "web1", "state": "absent"}),
    (vm_migrate, {"name": "web3", "to": "node1"}),
    (vm_snapshot, {"vms": ["web1"], "name": "mine"}),
    (node, {"name": "node3"}),
    (rule, {"name": "apart", "kind": "apart", "vms": ["web1", "web3"]}),
    (settings, {"maintenance": True}),
    (access, {"readers": []}),
]


def as_reader(cluster: Cluster, module: Any, options: Options, *, check: bool = False) -> dict[str, Any]:
    """The result of a module that the reader runs."""
    return run(module, {**cluster.options, **AS_READER, **options}, check=check, connect=cluster.connect)


def told(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what the module was called with."""
    return {key: value for key, value in result.items() if key != "invocation"}


@pytest.fixture
def read(cluster: Cluster, agents: Agents) -> Iterator[Cluster]:
    """A cluster with two VMs and a reader."""
    with agents():
        cluster.ok(
            vm, {"vms": [{"name": "web1", "node": "node1"}, {"name": "web3"}], "memory": 64, "disks": [{"size": "1G"}]}
        )
        cluster.ok(access, {"readers": [READER]})
        yield cluster


def test_a_reader_reads_what_the_owner_reads_and_changes_nothing(read: Cluster) -> None:
    for module, options in READING:
        mine, owners = as_reader(read, module, options), read.ok(module, options)
        assert told(mine) == told(owners), module
    before = read.dump()
    for module, options in WRITING:
        refused = as_reader(read, module, options)
        assert refused.get("failed"), (module, refused)
        assert refused["msg"] == (
            "username: user pvc-reader may read the cluster and change nothing; "
            "give the user that owns the tree, and its password"
        ), (module, refused["msg"])
    assert read.dump() == before
    planned = as_reader(read, vm, {"name": "web1", "description": "mine"}, check=True)
    assert planned["changed"], planned


def test_what_comes_later_is_for_the_reader_too(read: Cluster) -> None:
    # a store that has created before, and a new VM of a module, with an agent that reports it
    read.ok(vm, {"name": "later", "memory": 64, "wait": True})
    (shown,) = as_reader(read, vm_info, {"names": ["later"]})["vms"]
    assert shown["settled"]


def test_the_same_again_changes_nothing_and_check_mode_tells(cluster: Cluster) -> None:
    before = cluster.dump()
    planned = cluster.ok(access, {"readers": [READER]}, check=True)
    assert cluster.dump() == before
    assert as_reader(cluster, vm_info, {}).get("failed")
    done = cluster.ok(access, {"readers": [READER]})
    assert planned == done
    assert done["diff"] == {"before": "readers: []\n", "after": "readers: [pvc-reader]\n"}
    assert done["znodes"] == len(cluster.dump()) + 3  # the parents that dump() leaves out
    assert READER["password"] not in str(done)
    again = cluster.ok(access, {"readers": [READER]})
    assert (again["changed"], again["znodes"]) == (False, 0)
    assert again["why"] == {"access": "as declared already"}
    # no record was written
    after = cluster.dump()
    assert {path: znode for path, znode in after.items() if path != "/"} == {
        path: znode for path, znode in before.items() if path != "/"
    }


def test_a_password_is_replaced_and_a_reader_removed(read: Cluster) -> None:
    assert read.ok(access, {"readers": [{**READER, "password": "another one"}]})["changed"]
    assert "refuses" in as_reader(read, vm_info, {})["msg"]
    assert not as_reader(read, vm_info, {"password": "another one"}).get("failed")
    both = [{**READER, "password": "another one"}, {"name": "grafana", "password": "looks, too"}]
    assert read.ok(access, {"readers": both})["readers"] == ["grafana", "pvc-reader"]
    assert not as_reader(read, vm_info, {"username": "grafana", "password": "looks, too"}).get("failed")
    assert read.ok(access, {"readers": []})["why"]["access"].startswith("nobody else may read: ")
    for options in ({"password": "another one"}, {"username": "grafana", "password": "looks, too"}):
        assert as_reader(read, vm_info, options).get("failed")
    assert not read.ok(access, {"readers": []})["changed"]


@pytest.mark.parametrize(
    ("readers", "problem"),
    [
        ([{"name": "pvc", "password": "x"}], "readers: pvc owns the tree"),
        ([{"name": "a:b", "password": "x"}], "readers: 'a:b' is no user's name"),
        ([{"name": "", "password": "x"}], "readers: '' is no user's name"),
        ([{"name": "a", "password": ""}], "readers: the password of a is empty or no line"),
        ([{"name": "a", "password": "two\nlines"}], "readers: the password of a is empty or no line"),
        ([{"name": "a", "password": PASSWORD}], "readers: a has the owner's password"),
        ([{"name": "a", "password": "x"}, {"name": "a", "password": "y"}], "readers: a is there twice"),
        ([{"name": name, "password": "x"} for name in "abc"], "readers: there are 3 of them; declare at most 2"),
    ],
)
def test_what_cannot_be_a_reader(cluster: Cluster, readers: list[Options], problem: str) -> None:
    before = cluster.dump()
    for check in (True, False):
        result = cluster.run(access, {"readers": readers}, check=check)
        assert f"access, {problem}" in result["msg"]
        assert result["option"] == "readers"
    assert cluster.dump() == before


def test_check_mode_on_an_empty_system(empty: Cluster) -> None:
    before = empty.dump()
    assert empty.ok(access, {"readers": [READER]}, check=True)["changed"]
    assert "access, readers" in empty.run(access, {"readers": [{**READER, "name": "pvc"}]}, check=True)["msg"]
    assert empty.dump() == before
    assert (
        "holds no cluster" in empty.run(access, {"readers": [READER]})["msg"]
        or "no such root" in (empty.run(access, {"readers": [READER]})["msg"])
    )


class Dying(MemoryStore):
    """A client whose connection is lost for good after so many calls."""

    left = 0

    def _asked(self, path: str, *, commit: bool = False) -> contextlib.AbstractContextManager[None]:
        if self.left == 0:
            raise StoreUnavailable("lost")
        self.left -= 1
        return super()._asked(path, commit=commit)


class Overtaken(MemoryStore):
    """A client during one of whose calls another does all that it has to do."""

    calls = 0
    at = 0
    other: Callable[[], object]

    def _asked(self, path: str, *, commit: bool = False) -> contextlib.AbstractContextManager[None]:
        self.calls += 1
        if self.calls == self.at:
            self.other()
        return super()._asked(path, commit=commit)


def test_of_two_runs_at_once_one_decides_everywhere() -> None:
    """Whenever the second one runs, from its beginning to its end: the first is the last to be done."""
    at, overtaken = 0, True
    while overtaken:
        at += 1
        cluster = in_memory()
        cluster.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
        store, other = cluster.another(), cluster.another()
        assert isinstance(other, MemoryStore)
        store.__class__, first = Overtaken, store
        first.at, first.other = at, partial(library.set_readers, other, {"grafana": "looks"})  # type: ignore[attr-defined]
        library.set_readers(first, {"pvc-reader": "only looking"})  # type: ignore[arg-type]
        overtaken = first.calls >= at  # type: ignore[attr-defined]
        wanted = Access(frozenset({digest("pvc", PASSWORD)}), frozenset({digest("pvc-reader", "only looking")}))
        assert set(other.access(other.everything())) == {wanted}, at
    assert at > 20


def test_two_that_overtake_each_other_for_ever_are_told() -> None:
    cluster = in_memory()
    cluster.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
    store, other = cluster.another(), cluster.another()
    assert isinstance(store, MemoryStore)
    assert isinstance(other, MemoryStore)

    class Busy(MemoryStore):
        def sync(self) -> None:
            library.set_readers(other, {"grafana": "looks"})
            super().sync()

    store.__class__ = Busy
    with pytest.raises(Conflict, match="others keep changing who may read"):
        library.set_readers(store, {"pvc-reader": "only looking"})


def test_stopped_anywhere_the_same_again_finishes() -> None:
    """At every call of the store; and what others create meanwhile has the new access from the root's change on."""
    calls = 0
    finished = False
    while not finished:
        cluster = in_memory()
        cluster.ok(node, {"cluster_name": "lab", "nodes": [{"name": "node1"}]})
        store = cluster.another()
        assert isinstance(store, MemoryStore)
        store.__class__, dying = Dying, store
        dying.left = calls  # type: ignore[attr-defined]
        try:
            library.set_readers(dying, {"pvc-reader": "only looking"})
            finished = True
        except StoreUnavailable:
            pass
        other = cluster.another()
        assert isinstance(other, MemoryStore)
        other.commit([Create(paths.rule("later"))])
        library.set_readers(other, {"pvc-reader": "only looking"})
        wanted = Access(frozenset({digest("pvc", PASSWORD)}), frozenset({digest("pvc-reader", "only looking")}))
        assert set(other.access(other.everything())) == {wanted}
        calls += 1
    assert calls > 20


def test_a_reader_waits_for_a_plan_under_way_and_says_so_in_the_end(read: Cluster) -> None:
    journal = read.store.get(paths.JOURNAL)
    assert journal is not None
    read.store.commit(
        [
            Create(paths.staged("t")),
            Create(paths.staged("t", 0), staging._pack([Create(paths.rule("staged"))])),
            Set(paths.JOURNAL, encode(Journal("t", 1)), journal.version),
        ]
    )
    message = as_reader(read, vm_info, {})["msg"]
    assert message == (
        "a large change is being carried out, and you may only look on; try again: a coordinator's agent finishes it"
    )
    load(read.store)
    assert not as_reader(read, vm_info, {}).get("failed")
