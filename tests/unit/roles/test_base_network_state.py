# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine's network differs from the declared one, and why it cannot become that."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.scripts import script

MAC = "52:54:00:00:00:0"


def link(name: str, index: int, **changes: Any) -> dict[str, Any]:
    """An interface as ip -json -details address show lists it."""
    return {
        "ifname": name,
        "ifindex": index,
        "flags": ["BROADCAST", "UP"],
        "mtu": 9000,
        "min_mtu": 68,
        "max_mtu": 9000,
        "address": f"{MAC}{index}",
        "addr_info": [],
    } | changes


def virtual(name: str, index: int, kind: str, data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return link(name, index, max_mtu=65535, linkinfo={"info_kind": kind, "info_data": data}, **changes)


def address(text: str, **changes: Any) -> dict[str, Any]:
    local, _slash, length = text.partition("/")
    return {"local": local, "prefixlen": int(length), "scope": "global"} | changes


def links() -> dict[str, dict[str, Any]]:
    """Two cards in a bond with a VLAN, all as declared."""
    return {
        "eno1": link("eno1", 1, master="bond0"),
        "eno2": link("eno2", 2, master="bond0", address=f"{MAC}1", permaddr=f"{MAC}2"),
        "bond0": virtual("bond0", 3, "bond", {"mode": "802.3ad"}),
        "bond0.20": virtual("bond0.20", 4, "vlan", {"id": 20}, addr_info=[address("10.20.1.11/24")]),
    }


@pytest.fixture(scope="module")
def state() -> ModuleType:
    return script("base", "network_state")


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    made: dict[str, Any] = script("base", "network_plan").plan(
        {
            "interfaces": [
                {"name": "bond0", "bond": {"members": ["eno1", "second"]}, "mtu": 9000},
                {"name": "second", "mac": f"{MAC}2"},
                {"name": "bond0.20", "vlan": {"link": "bond0", "id": 20}, "networks": ["cluster"]},
            ],
            "networks": {"cluster": {"cidr": "10.20.1.0/24", "gateway": "10.20.1.1", "dns": ["10.20.1.53"]}},
            "addresses": {"cluster": "10.20.1.11"},
        }
    )
    assert made["problems"] == []
    return made


def machine(state: ModuleType, plan: dict[str, Any], **changes: Any) -> Any:
    """A machine that is as declared, but for the changes."""
    resolver = {"/etc/resolv.conf": "search example.org\nnameserver 10.20.1.53\n"}
    found = {"links": links(), "routes": {("10.20.1.1", "bond0.20")}, "files": plan["files"] | resolver}
    return state.Machine(**(found | changes))


def changed(name: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """The links, one of them otherwise."""
    found = links()
    return found | {name: found[name] | changes}


def test_nothing_is_wrong_with_a_machine_that_is_as_declared(state: ModuleType, plan: dict[str, Any]) -> None:
    same = machine(state, plan)
    assert state.find_problems(plan, same, False) == []
    assert state.live_differences(plan, same) == []
    assert state.different_files(plan, same) == {}
    assert state.stale_files(plan, same) == []


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"networkd": False}, "systemd-networkd does not run"),
        ({"links": changed("bond0", mtu=1500)}, "bond0 has MTU 1500, wanted 9000"),
        ({"links": changed("eno2", master="br0")}, "second has master br0, wanted bond0"),
        ({"links": changed("eno1", master="")}, "eno1 has master none, wanted bond0"),
        (
            {"links": changed("bond0", linkinfo={"info_kind": "bond", "info_data": {"mode": "balance-rr"}})},
            "bond0 has mode balance-rr, wanted 802.3ad",
        ),
        (
            {"links": changed("bond0.20", linkinfo={"info_kind": "vlan", "info_data": {"id": 21}})},
            "bond0.20 has VLAN id 21, wanted 20",
        ),
        ({"links": changed("eno1", flags=[])}, "eno1 is switched off"),
        (
            {"links": changed("bond0.20", addr_info=[address("10.20.1.12/24")])},
            "bond0.20 does not have 10.20.1.11/24, but 10.20.1.12/24",
        ),
        (
            {"links": changed("bond0.20", addr_info=[address("10.20.1.11/24", tentative=True)])},
            "bond0.20 does not have 10.20.1.11/24, but no address",
        ),
        ({"routes": {("10.20.1.1", "eno9")}}, "there is no default route by 10.20.1.1 on bond0.20"),
    ],
)
def test_what_differs_is_said(state: ModuleType, plan: dict[str, Any], found: dict[str, Any], sentence: str) -> None:
    assert state.live_differences(plan, machine(state, plan, **found)) == [sentence]


def test_an_interface_that_is_missing_is_said_once(state: ModuleType, plan: dict[str, Any]) -> None:
    left = {name: found for name, found in links().items() if name != "bond0.20"}
    assert state.live_differences(plan, machine(state, plan, links=left)) == ["bond0.20 is not there"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            {"links": changed("eno1", max_mtu=1500)},
            "base_interfaces eno1: MTU 9000 is not possible, this card takes 68 to 1500",
        ),
        (
            {"links": changed("eno2", permaddr=f"{MAC}9")},
            f"base_interfaces second: the machine has no network card with the mac {MAC}2",
        ),
        ({"links": {}}, "base_interfaces eno1: the machine has no interface eno1"),
        ({"links": changed("bond0", linkinfo={})}, "a device of that name that is no bond but a nic"),
        (
            {"links": {"eno1": links()["eno1"]}, "unsupported": ["vlan"]},
            "bond0.20: this kernel makes no vlan (module 8021q)",
        ),
        ({"ifupdown": ["eno1"]}, "/etc/network/interfaces configures eno1, which base_interfaces declares"),
        ({"network_manager": ["eno2"]}, "NetworkManager manages eno2"),
        ({"netplan": {"/etc/netplan/50.yaml": "eno1: {}"}}, "netplan's /etc/netplan/50.yaml configures eno1"),
        ({"applied": {"eno1": "/etc/systemd/network/00-x.network"}}, "00-x.network configures eno1 and comes before"),
    ],
)
def test_what_cannot_become_true_is_said(
    state: ModuleType, plan: dict[str, Any], found: dict[str, Any], words: str
) -> None:
    assert words in "; ".join(state.find_problems(plan, machine(state, plan, **found), False))


@pytest.mark.parametrize(
    "found",
    [
        {"ifupdown": ["eth9"]},
        {"network_manager": ["eth9"]},
        {"netplan": {"/etc/netplan/50.yaml": "eno11: {}"}},
        {"applied": {"eno1": "/etc/systemd/network/10-x.network"}},
        {"links": changed("eno1", max_mtu=0)},
    ],
)
def test_what_concerns_other_interfaces_or_nobody_is_no_problem(
    state: ModuleType, plan: dict[str, Any], found: dict[str, Any]
) -> None:
    assert state.find_problems(plan, machine(state, plan, **found), False) == []


def test_ifupdown_is_taken_over_as_a_whole_or_not_at_all(state: ModuleType, plan: dict[str, Any]) -> None:
    all_of_it = machine(state, plan, ifupdown=["eno1", "eno2"])
    assert state.find_problems(plan, all_of_it, True) == []
    assert state.to_take_over(plan, all_of_it) == (["eno1", "eno2"], [])
    some = machine(state, plan, ifupdown=["eno1", "eth9"])
    assert "configures eth9, too" in "; ".join(state.find_problems(plan, some, True))
    assert state.to_take_over(plan, machine(state, plan, ifupdown=["eth9"])) == ([], [])


def test_name_servers_are_written_and_other_lines_stay(state: ModuleType, plan: dict[str, Any]) -> None:
    found = machine(
        state, plan, files=plan["files"] | {"/etc/resolv.conf": "nameserver 192.0.2.1\nsearch example.org\n"}
    )
    assert state.different_files(plan, found) == {"/etc/resolv.conf": "search example.org\nnameserver 10.20.1.53\n"}


def test_where_another_program_owns_the_resolver_it_is_left_alone(state: ModuleType, plan: dict[str, Any]) -> None:
    assert state.different_files(plan, machine(state, plan, files=plan["files"])) == {}


def test_a_file_of_an_earlier_run_goes_and_a_changed_one_is_written(state: ModuleType, plan: dict[str, Any]) -> None:
    old, bond = "/etc/systemd/network/05-pvc-br0.netdev", "/etc/systemd/network/05-pvc-bond0.netdev"
    found = machine(state, plan, files=plan["files"] | {old: "", bond: "[NetDev]\n"})
    assert state.stale_files(plan, found) == [old]
    assert state.different_files(plan, found) == {bond: plan["files"][bond]}


def test_a_bridge_is_not_taken_from_under_virtual_machines(state: ModuleType, plan: dict[str, Any]) -> None:
    old = {"/etc/systemd/network/05-pvc-br0.netdev": "[NetDev]\nName=br0\nKind=bridge\n"}
    tap = virtual("vnet3", 9, "tun", {}, master="br0")
    with_guest = machine(state, plan, files=plan["files"] | old, links=links() | {"vnet3": tap})
    assert "base_interfaces has no br0 any more, and vnet3" in "; ".join(state.find_problems(plan, with_guest, False))
    assert state.find_problems(plan, machine(state, plan, files=plan["files"] | old), False) == []
