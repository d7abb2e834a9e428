# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents in tasks: the ladder of a whole document, saved plans, the state at a commit, and what is refused, with lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.modules import apply, export_info, node_info, plan, rule_info, vm, vm_info

from tests.unit.plugins.modules.conftest import Agents, in_memory
from tests.unit.plugins.modules.harness import Cluster, Options, Result

WEB = {"memory": "1G", "disks": [{"size": "10G"}], "nics": [{"bridge": "br0"}], "tags": ["web"]}
SHOP: dict[str, Any] = {
    "cluster": "lab",
    "document": "shop",
    "settings": {"placement": "fewest_vms"},
    "nodes": [{"name": "node1", "memory_reserve": "2G"}],
    "rules": [{"name": "web", "kind": "apart", "vms": ["web1", "web2"]}],
    "vms": [{"name": "web1", **WEB}, {"name": "web2", **WEB}],
}


def changed(**sections: Any) -> dict[str, Any]:
    return {**SHOP, **sections}


def step(cluster: Cluster, options: Options, *, changes: bool) -> Result:
    """Check mode and for real: they agree, and check mode changes nothing."""
    before = cluster.dump()
    check = cluster.ok(apply, options, check=True)
    assert cluster.dump() == before
    real = cluster.ok(apply, options)
    assert check["changed"] == real["changed"] == changes
    assert check["diff"] == real["diff"]
    assert check["plan"] == real["plan"]
    assert (cluster.dump() != before) == changes
    return real


def twice(cluster: Cluster, document: dict[str, Any], *, changes: bool = True, **options: Any) -> Result:
    first = step(cluster, {"document": document, **options}, changes=changes)
    step(cluster, {"document": document, **options}, changes=False)
    return first


def names(entries: list[dict[str, Any]]) -> list[str]:
    return [f"{entry['kind']} {entry['name']}".rstrip() for entry in entries]


def test_the_ladder_of_a_document(cluster: Cluster, agents: Agents) -> None:
    with agents():
        nothing = {"cluster": "lab", "document": "shop", "vms": []}
        twice(cluster, nothing, changes=False)
        made = twice(cluster, SHOP)
        assert names(made["plan"]["creates"]) == ["rule web", "vm web1", "vm web2"]
        assert names(made["plan"]["changes"]) == ["node node1", "settings"]
        assert made["plan"]["summary"] == "Plan: 3 to create, 2 to change."
        assert made["plan_text"][-1] == made["plan"]["summary"]
        shown = {one["name"]: one for one in cluster.ok(vm_info, {})["vms"]}
        assert [one["document"] for one in shown.values()] == ["shop", "shop"]
        assert shown["web1"]["observed"]["node"] != shown["web2"]["observed"]["node"]
        assert all(one["settled"] for one in shown.values()), "it waits for the agents"
        more = changed(vms=[{**SHOP["vms"][0], "memory": "2G"}, SHOP["vms"][1]])
        result = twice(cluster, more)
        assert result["plan"]["changes"][0]["fields"] == [{"field": "memory", "before": 1024, "after": 2048}]
        assert json.loads(result["diff"]["after"]) == {"vm web1": {"memory": 2048}}
        twice(cluster, changed(vms=[{"name": "web1"}, {"name": "web2"}]), changes=False)
        reset = changed(vms=[{"name": "web1", "memory": "1G", "tags": []}, {"name": "web2"}])
        twice(cluster, reset)
        gone = twice(cluster, {"document": "shop", "nodes": [{"name": "node1"}]}, prune=True, prune_volumes=True)
        assert names(gone["plan"]["deletes"]) == ["rule web", "vm web1", "vm web2"]
        assert cluster.ok(rule_info, {})["rules"] == []
        assert cluster.ok(vm_info, {})["vms"] == [], "it waits for deletions, too"
        twice(cluster, SHOP)


def test_check_mode_on_an_empty_system(empty: Cluster) -> None:
    result = empty.ok(apply, {"document": SHOP}, check=True)
    assert names(result["plan"]["creates"]) == ["node node1", "rule web", "vm web1", "vm web2"]
    assert empty.dump() == {}


def test_a_document_makes_the_cluster(empty: Cluster) -> None:
    twice(empty, {"cluster": "lab", "nodes": [{"name": "node1"}, {"name": "node2"}]})
    assert [one["name"] for one in empty.ok(node_info, {})["nodes"]] == ["node1", "node2"]


def test_what_is_exported_changes_nothing(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(apply, {"document": SHOP})
        for options in ({}, {"full": True}, {"mark": "shop"}):
            found = cluster.ok(export_info, options)
            assert not found["changed"]
            assert cluster.ok(export_info, options, check=True) == found
            step(cluster, {"document": found["document"]}, changes=False)
    assert cluster.ok(export_info, {"mark": "other"})["document"] == {"cluster": "lab", "document": "other"}


# --- what is refused ------------------------------------------------------------------------------------------------


def refused(cluster: Cluster, options: Options) -> Result:
    """The result of a task that must fail and change nothing, in check mode, too."""
    before = cluster.dump()
    result = cluster.run(apply, options)
    assert result["failed"]
    assert cluster.run(apply, options, check=True)["refused"] == result["refused"]
    assert cluster.run(plan, options)["refused"] == result["refused"]
    assert cluster.dump() == before
    return result


def test_all_that_is_wrong_in_files_with_their_lines(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "a.yml").write_text("cluster: lab\nvms:\n- name: web1\n  memry: 1G\n")
    (tmp_path / "b.yml").write_text("# more\nvms:\n- name: web2\n  memory: 1G\n  disks:\n  - {size: 1G, bus: ide}\n")
    result = refused(cluster, {"src": [str(tmp_path)]})
    assert [(Path(one["file"]).name, one["line"], one["option"]) for one in result["refused"]] == [
        ("a.yml", 4, "memry"),
        ("b.yml", 6, "disks[0].bus"),
    ]
    assert "there is no option memry; did you mean memory?" in result["msg"]


def test_all_that_cannot_be_with_their_lines(cluster: Cluster, agents: Agents, tmp_path: Path) -> None:
    text = "vms:\n- {name: good, memory: 1G}\n- name: big\n  memory: 900G\n- name: far\n  memory: 1G\n  nics:\n  - bridge: br9\n"
    (tmp_path / "vms.yml").write_text(text)
    with agents():
        result = refused(cluster, {"src": [str(tmp_path / "vms.yml")]})
    assert [(one["object"], one["line"]) for one in result["refused"]] == [("vm big", 3), ("vm far", 8)]
    assert result["plan"]["summary"] == "Plan: 1 to create, 2 refused."


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"document": {"cluster": "other"}}, "it is for cluster other, and this is cluster lab"),
        ({"document": {}, "prune": True}, "nothing can be told to be its own"),
        ({"document": {}, "prune_volumes": True}, "give prune, too"),
        ({"document": {"document": "a"}, "mark": "b"}, "the document has the name a already"),
        ({"commit": 99}, "there is no revision 99 yet"),
        ({"src": ["/nowhere/x.yml"]}, "cannot be read"),
        ({"plan": {"format": 9}}, "its format is 9"),
        ({"plan": ["x"]}, "it is no saved plan"),
        ({"plan": "/nowhere/plan.json"}, "cannot be read"),
        ({"plan": {"format": 1}}, "it is damaged"),
        ({}, "one of the following is required: document, src, commit, plan"),
        ({"document": {}, "commit": 1}, "mutually exclusive"),
    ],
)
def test_bad_input(cluster: Cluster, options: Options, words: str) -> None:
    before = cluster.dump()
    result = cluster.run(apply, options)
    assert result["failed"]
    assert words in result["msg"]
    assert cluster.dump() == before


# --- saved plans ----------------------------------------------------------------------------------------------------


def saved(cluster: Cluster, document: dict[str, Any], **options: Any) -> Any:
    result = cluster.ok(plan, {"document": document, **options})
    assert not result["changed"]
    return json.loads(json.dumps(result["plan"]))


def test_a_saved_plan_is_carried_out_as_that_very_plan(cluster: Cluster, agents: Agents, tmp_path: Path) -> None:
    path = str(tmp_path / "plan.json")
    with agents():
        before = cluster.dump()
        assert not cluster.ok(plan, {"document": SHOP})["changed"]
        assert cluster.ok(plan, {"document": SHOP, "dest": path}, check=True)["changed"]
        assert not Path(path).exists()
        assert cluster.ok(plan, {"document": SHOP, "dest": path})["changed"]
        assert not cluster.ok(plan, {"document": SHOP, "dest": path})["changed"]
        assert cluster.dump() == before
        result = step(cluster, {"plan": path}, changes=True)
    assert result["plan"] == json.loads(Path(path).read_text())["report"]
    assert cluster.ok(vm_info, {"names": ["web1"]})["vms"][0]["document"] == "shop"


def test_a_saved_plan_is_refused_when_the_world_has_moved(cluster: Cluster, agents: Agents) -> None:
    with agents():
        kept = saved(cluster, SHOP)
        cluster.ok(vm, {"name": "other", "memory": "1G"})
        moved = cluster.run(apply, {"plan": kept})
        again = saved(cluster, SHOP)
        cluster.ok(apply, {"plan": again})
        late = cluster.run(apply, {"plan": again})
    assert "the world has moved since it was made" in moved["msg"]
    assert "the world has moved since it was made" in late["msg"]
    assert {one["name"] for one in cluster.ok(vm_info, {})["vms"]} == {"other", "web1", "web2"}


def test_a_saved_plan_stands_while_only_other_things_change(cluster: Cluster, agents: Agents) -> None:
    with agents():
        cluster.ok(apply, {"document": SHOP})
        kept = saved(cluster, changed(vms=[{"name": "web1", "description": "new"}, {"name": "web2"}]))
        cluster.ok(vm, {"name": "web2", "description": "another matter"})
        step(cluster, {"plan": kept}, changes=True)


def test_what_follows_from_a_saved_plan_belongs_to_it(cluster: Cluster, agents: Agents) -> None:
    with agents():
        kept = saved(cluster, {"nodes": [{"name": "node2", "state": "drained"}]})
        assert kept["report"]["moves"] == []
        cluster.ok(vm, {"name": "late", "memory": 64, "node": "node2"})
        cluster.ok(vm, {"name": "late", "node": ""})
        moved = cluster.run(apply, {"plan": kept})
        assert "the world has moved since it was made" in moved["msg"]
        assert "> vm late: node2 -> node1" in moved["msg"]
        honest = saved(cluster, {"settings": {"maintenance": True}})
        forged = {**honest, "report": {**honest["report"], "changes": []}}
        assert cluster.run(apply, {"plan": forged})["failed"]
        assert "it is damaged" in cluster.run(apply, {"plan": {**honest, "report": {}}})["msg"]


def test_a_saved_plan_of_another_cluster(cluster: Cluster) -> None:
    stranger = in_memory()
    stranger.ok(apply, {"document": {"cluster": "lab", "nodes": [{"name": "node1"}]}})
    kept = saved(stranger, {"settings": {"maintenance": True}})
    assert "another cluster of the same name" in cluster.run(apply, {"plan": kept})["msg"]
    early = saved(in_memory(), {"cluster": "lab", "nodes": [{"name": "node1"}]})
    assert "before it was made" in cluster.run(apply, {"plan": early})["msg"]
    assert "here is none" in in_memory().run(apply, {"plan": kept})["msg"]


def test_a_plan_with_refusals_is_not_saved(cluster: Cluster, agents: Agents, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    with agents():
        result = cluster.run(plan, {"document": {"vms": [{"name": "a", "memory": "900G"}]}, "dest": str(path)})
    assert result["failed"]
    assert not path.exists()


# --- as it was ------------------------------------------------------------------------------------------------------


def test_what_comes_back_belongs_to_whom_it_belonged(cluster: Cluster, agents: Agents) -> None:
    with agents():
        then = cluster.ok(apply, {"document": SHOP})["revision"]
        before = cluster.ok(export_info, {"full": True})["document"]
        nothing = {"document": "shop", "nodes": [{"name": "node1"}]}
        cluster.ok(apply, {"document": nothing, "prune": True, "prune_volumes": True})
        step(cluster, {"commit": then}, changes=True)
        assert cluster.ok(export_info, {"full": True})["document"] == before


def test_the_state_at_a_commit_comes_back(cluster: Cluster, agents: Agents) -> None:
    with agents():
        then = cluster.ok(apply, {"document": SHOP})["revision"]
        before = cluster.ok(export_info, {"full": True})["document"]
        other = changed(
            vms=[{**SHOP["vms"][0], "memory": "2G", "metadata": {"k": "v"}}, {"name": "web3", **WEB}], rules=[]
        )
        cluster.ok(apply, {"document": other, "prune": True, "prune_volumes": True})
        back = step(cluster, {"commit": then, "mark": "shop", "prune": True, "prune_volumes": True}, changes=True)
        assert names(back["plan"]["creates"]) == ["rule web", "vm web2"]
        assert names(back["plan"]["deletes"]) == ["vm web3"]
        after = cluster.ok(export_info, {"full": True})["document"]
    assert after == before
