# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's description is read completely, and what is wrong with it is told by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pvc_lab.config import Lab, Node, describe_node, load_lab, load_node, parse_lab, parse_node
from pvc_lab.shell import LabError


def test_the_first_network_carries_the_cache(lab: Lab) -> None:
    assert lab.cache_url == "http://10.77.0.254:3142"


def test_names_of_cables_fit_into_the_kernel(lab: Lab, node_data: dict[str, Any]) -> None:
    longest = parse_node(lab, {**node_data, "name": "a" * 12})
    assert all(len(longest.switch_port(network)) <= 15 for network in lab.networks)


@pytest.mark.parametrize("name", ["", "Node1", "1node", "a" * 13, "node_1", "node1\n", "../etc"])
def test_bad_names_are_refused(lab: Lab, node_data: dict[str, Any], name: str) -> None:
    with pytest.raises(LabError, match="cannot be a node's name"):
        parse_node(lab, {**node_data, "name": name})


def test_an_address_outside_of_its_network_is_refused(lab: Lab, node_data: dict[str, Any]) -> None:
    node_data["addresses"]["storage"] = "10.77.0.11"
    with pytest.raises(LabError, match=r"10\.77\.0\.11 of node 'node1' lies outside of storage's 10\.77\.2\.0/24"):
        parse_node(lab, node_data)


def test_a_missing_address_is_named(lab: Lab, node_data: dict[str, Any]) -> None:
    del node_data["addresses"]["storage"]
    with pytest.raises(LabError, match="node 'node1' has no address on network 'storage'"):
        parse_node(lab, node_data)


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        ({"packages": []}, "either a suite or a base image"),
        ({"packages": [], "suite": "trixie", "base": "base"}, "either a suite or a base image"),
        ({"packages": [], "base": "other"}, "stands on 'other', which is not described"),
    ],
)
def test_a_recipe_has_one_foundation(lab_data: dict[str, Any], image: dict[str, Any], complaint: str) -> None:
    lab_data["images"]["extra"] = image
    with pytest.raises(LabError, match=complaint):
        parse_lab(lab_data)


def test_unknown_things_are_answered_with_the_known_ones(lab: Lab) -> None:
    with pytest.raises(LabError, match="no network 'cluster'; it has upstream, storage"):
        lab.network("cluster")
    with pytest.raises(LabError, match="no image 'cold'; it has base, warm"):
        lab.image("cold")
    with pytest.raises(LabError, match="no node 'node9'; it has none"):
        load_node(lab, "node9")


def test_descriptions_are_read_from_the_state_folder(
    lab_data: dict[str, Any], node: Node, node_data: dict[str, Any]
) -> None:
    (node.directory).mkdir(parents=True)
    (node.directory / "node.json").write_text(json.dumps(node_data))
    (node.directory.parent.parent / "lab.json").write_text(json.dumps(lab_data))
    lab = load_lab(node.directory.parent.parent)
    assert lab.node_names() == ["node1"]
    assert load_node(lab, "node1") == node


def test_a_description_is_written_when_it_makes_sense_and_is_new(
    lab: Lab, node: Node, node_data: dict[str, Any]
) -> None:
    assert describe_node(lab, node_data)
    assert not describe_node(lab, node_data)
    assert load_node(lab, "node1") == node
    with pytest.raises(LabError, match="no image 'cold'"):
        describe_node(lab, {**node_data, "image": "cold"})
    assert load_node(lab, "node1") == node


def test_a_damaged_description_is_an_error_with_a_remedy(lab: Lab) -> None:
    (lab.directory / "lab.json").write_text('{"directory": ')
    with pytest.raises(LabError, match=r"lab\.json is damaged .*'make lab' writes it anew"):
        load_lab(lab.directory)
    (lab.directory / "lab.json").unlink()
    with pytest.raises(LabError, match=r"there is no lab in .*'make lab' builds one"):
        load_lab(lab.directory)
