# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves: what a task asks for, how far it came, and the ladder of where a VM is."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import paths
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.codec import decode
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.records import Claim
from ansible_collections.pvc.cluster.plugins.modules import node, vm, vm_info, vm_migrate

from tests.unit.plugins.modules.conftest import Agents
from tests.unit.plugins.modules.harness import Cluster, Options, Result


def web(cluster: Cluster, *names: str, **options: Any) -> None:
    """VMs on node1 that may go anywhere."""
    vms = [{"name": name} for name in names]
    cluster.ok(vm, {"memory": 64, "vms": vms, "node": "node1", **options})
    cluster.ok(vm, {"vms": vms, "node": ""})


def step(cluster: Cluster, options: Options, *, changed: bool) -> Result:
    """Check mode and for real: they agree, and check mode changes nothing."""
    before = cluster.dump()
    check = cluster.ok(vm_migrate, options, check=True)
    assert cluster.dump() == before
    real = cluster.ok(vm_migrate, options)
    assert check["changed"] == real["changed"] == changed
    assert check["diff"] == real["diff"]
    assert check["why"] == real["why"]
    assert (cluster.dump() != before) == changed
    return real


def where(cluster: Cluster, *names: str) -> list[str]:
    found = cluster.ok(vm_info, {"names": list(names)})["vms"]
    return [one["claim"]["node"] for one in found]


def claim(cluster: Cluster, name: str = "web1") -> Claim:
    znode = cluster.store.get(paths.claim(name))
    assert znode is not None
    return decode(Claim, znode.data)


def test_ladder(cluster: Cluster, agents: Agents) -> None:
    with agents():
        web(cluster, "web1")
        step(cluster, {"name": "web1", "to": "node1"}, changed=False)
        step(cluster, {"name": "web1", "state": "back"}, changed=False)
        step(cluster, {"name": "web1", "state": "cancelled"}, changed=False)

        away: Options = {"name": "web1", "to": "node2", "home": "remember"}
        (move,) = step(cluster, away, changed=True)["moves"]
        assert (move["vm"], move["from"], move["to"], move["stage"]) == ("web1", "node1", "node2", "done")
        step(cluster, away, changed=False)
        assert (claim(cluster).node, claim(cluster).home, claim(cluster).away) == ("node2", "node1", True)

        step(cluster, {"name": "web1", "state": "back"}, changed=True)
        step(cluster, {"name": "web1", "state": "back"}, changed=False)
        assert (claim(cluster).node, claim(cluster).home, claim(cluster).away) == ("node1", "", False)

        step(cluster, away, changed=True)
        step(cluster, {"name": "web1", "to": "node2", "home": "forget"}, changed=True)
        step(cluster, {"name": "web1", "to": "node2", "home": "forget"}, changed=False)
        assert (claim(cluster).home, claim(cluster).away) == ("", False)

        (move,) = step(cluster, {"name": "web1"}, changed=True)["moves"]
        assert move["to"] == "node1", "the best of the others"


def test_several_at_a_time(cluster: Cluster, agents: Agents) -> None:
    names = [f"web{number}" for number in range(1, 6)]
    with agents():
        web(cluster, *names)
        options: Options = {"vms": [{"name": name} for name in names], "to": "node2", "parallel": 2}
        moved = step(cluster, options, changed=True)["moves"]
        assert [one["vm"] for one in moved] == names
        assert {one["stage"] for one in moved} == {"done"}
        assert where(cluster, *names) == ["node2"] * 5
        step(cluster, options, changed=False)


def test_no_more_are_under_way_than_asked_for(cluster: Cluster, agents: Agents) -> None:
    with agents(stuck={"web1": ""}):
        web(cluster, "web1", "web2")
        options: Options = {"vms": [{"name": "web1"}, {"name": "web2"}], "to": "node2", "parallel": 1}
        failed = cluster.run(vm_migrate, {**options, "wait_timeout": 0})
        assert failed["msg"].startswith(
            "not all moved within 0 s: vm web1: prepared, started, as wanted; vm web2 has yet"
        )
        assert [claim(cluster, name).to for name in ("web1", "web2")] == ["node2", ""]
        cluster.ok(vm_migrate, {"name": "web1", "state": "cancelled"})
        assert claim(cluster).to == ""


def test_what_cannot_be_moved_is_told_and_stops_the_rest(cluster: Cluster, agents: Agents) -> None:
    with agents(stuck={"web1": "libvirt did not like it"}):
        web(cluster, "web1", "web2")
        failed = cluster.run(vm_migrate, {"vms": [{"name": "web1"}, {"name": "web2"}], "to": "node2", "parallel": 1})
        assert failed["msg"] == (
            "not all moves came about: vm web1: was not moved to node2: libvirt did not like it; vm web2 was not begun; "
            "remove the cause and run it again: what has moved is left as it is"
        )
        assert [(one["vm"], one["stage"]) for one in failed["moves"]] == [("web1", "refused")]
        assert (failed["changed"], where(cluster, "web2")) == (True, ["node1"])


def test_a_move_that_is_not_waited_for_can_be_cancelled(cluster: Cluster, agents: Agents) -> None:
    with agents(stuck={"web1": ""}):
        web(cluster, "web1")
        (move,) = cluster.ok(vm_migrate, {"name": "web1", "wait": False})["moves"]
        assert (move["stage"], move["to"]) == ("prepared", "node2")
        cancel: Options = {"name": "web1", "state": "cancelled"}
        assert step(cluster, cancel, changed=True)["why"] == {
            "web1": "stays on node1: it is not moved to node2 any more"
        }
        step(cluster, cancel, changed=False)
        assert cluster.store.children(paths.assigned("node2")) == []


class Case(NamedTuple):
    options: Options
    obj: str
    option: str
    words: str


CASES = {
    "no such vm": Case({"name": "web9", "to": "node2"}, "vm web9", "name", "does not exist"),
    "no such node": Case({"name": "web1", "to": "node9"}, "vm web1", "to", "node9 is not part of the cluster"),
    "bad name": Case({"name": "web1", "to": "a b"}, "vm web1", "to", "'a b' is no valid name"),
    "twice": Case({"vms": [{"name": "web1"}, {"name": "web1"}]}, "vm web1", "name", "twice"),
    "one bad among good ones": Case(
        {"vms": [{"name": "web1"}, {"name": "web9"}], "to": "node2"}, "vm web9", "name", "does not exist"
    ),
    "ignored": Case({"name": "left", "to": "node2"}, "vm left", "state", "ignored"),
    "no legal node": Case(
        {"name": "bound"},
        "vm bound",
        "to",
        "no other node can take it: node1 is where it is, node2 is not the one that it is bound to",
    ),
    "drained": Case({"name": "web1", "to": "node3"}, "vm web1", "to", "node node3 has not reported yet"),
    "not while it runs": Case(
        {"name": "cold", "to": "node2", "method": "live"}, "vm cold", "method", "its migration.method is shutdown"
    ),
    "not at all": Case({"name": "fixed", "to": "node2"}, "vm fixed", "force", "its migration.method is none"),
    "not at all while it runs": Case(
        {"name": "fixed", "to": "node2", "method": "live", "force": True},
        "vm fixed",
        "method",
        "migration.method is none",
    ),
    "back to somewhere": Case({"name": "web1", "state": "back", "to": "node2"}, "vm web1", "to", "state back"),
    "cancelled to somewhere": Case(
        {"name": "web1", "state": "cancelled", "home": "forget"}, "vm web1", "home", "state cancelled"
    ),
    "less than none": Case({"name": "web1", "parallel": -1}, "", "parallel", "-1"),
    "later without waiting": Case({"name": "web1", "parallel": 1, "wait": False}, "", "parallel", "wait"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_changes_nothing(cluster: Cluster, agents: Agents, name: str) -> None:
    case = CASES[name]
    cluster.ok(node, {"name": "node3"})
    with agents():
        web(cluster, "web1")
        web(cluster, "cold", migration={"method": "shutdown"})
        web(cluster, "fixed", migration={"method": "none"})
        web(cluster, "left", state="ignored")
        cluster.ok(vm, {"name": "bound", "memory": 64, "node": "node1"})
        before = cluster.dump()
        for check in (True, False):
            result = cluster.run(vm_migrate, case.options, check=check)
            assert result["failed"]
            assert (result["object"], result["option"]) == (case.obj, case.option)
            assert case.words in result["msg"]
            assert result["remedy"]
        assert cluster.dump() == before


def test_a_vm_that_is_not_to_be_moved_moves_when_that_is_forced(cluster: Cluster, agents: Agents) -> None:
    with agents():
        web(cluster, "fixed", migration={"method": "none"})
        moved = step(cluster, {"name": "fixed", "to": "node2", "force": True}, changed=True)
        assert moved["why"]["fixed"].endswith("it is stopped for that")
