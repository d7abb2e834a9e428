# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a declared network means: systemd-networkd's files, or sentences that say what is wrong."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.scripts import script

FOLDER = "/etc/systemd/network/05-pvc-"
NETWORKS = {
    "upstream": {"cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "dns": ["192.0.2.53"]},
    "cluster": {"cidr": "10.20.1.0/24"},
    "storage": {"cidr": "fd20::/64"},
}
ADDRESSES = {"upstream": "192.0.2.11", "cluster": "10.20.1.11", "storage": "fd20::11"}
#: Two cards in a bond, and three VLANs on it.
BOND = {"name": "bond0", "bond": {"members": ["eno1", "eno2"]}, "mtu": 9000}
UPSTREAM = {"name": "bond0.10", "vlan": {"link": "bond0", "id": 10}, "mtu": 1500, "networks": ["upstream"]}
CLUSTER = {"name": "bond0.20", "vlan": {"link": "bond0", "id": 20}, "networks": ["cluster"]}
STORAGE = {"name": "bond0.30", "vlan": {"link": "bond0", "id": 30}, "networks": ["storage"]}
INTERFACES = [BOND, UPSTREAM, CLUSTER, STORAGE]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return script("base", "network_plan")


def planned(program: ModuleType, interfaces: list[Any], **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = program.plan(
        {"interfaces": interfaces, "networks": NETWORKS, "addresses": ADDRESSES} | changes
    )
    return found


def lines(plan: dict[str, Any], name: str) -> list[str]:
    """The settings of one file."""
    assert plan["problems"] == []
    return [line for line in plan["files"][f"{FOLDER}{name}"].splitlines() if "=" in line]


def test_every_interface_gets_its_files_and_named_cards_need_no_entry(program: ModuleType) -> None:
    assert sorted(path.removeprefix(FOLDER) for path in planned(program, INTERFACES)["files"]) == [
        "bond0.10.netdev",
        "bond0.10.network",
        "bond0.20.netdev",
        "bond0.20.network",
        "bond0.30.netdev",
        "bond0.30.network",
        "bond0.netdev",
        "bond0.network",
        "eno1.network",
        "eno2.network",
    ]


def test_a_bond_watches_its_cables_and_its_partner(program: ModuleType) -> None:
    assert lines(planned(program, INTERFACES), "bond0.netdev") == [
        "Name=bond0",
        "Kind=bond",
        "Mode=802.3ad",
        "MIIMonitorSec=100ms",
        "TransmitHashPolicy=layer3+4",
        "LACPTransmitRate=fast",
    ]


def test_a_carrier_has_address_gateway_and_name_servers(program: ModuleType) -> None:
    assert lines(planned(program, INTERFACES), "bond0.10.network") == [
        "Name=bond0.10",
        "MTUBytes=1500",
        "LinkLocalAddressing=ipv6",
        "IPv6AcceptRA=no",
        "ConfigureWithoutCarrier=yes",
        "Address=192.0.2.11/24",
        "Gateway=192.0.2.1",
        "DNS=192.0.2.53",
    ]


def test_what_carries_no_address_is_no_reason_to_wait_at_boot(program: ModuleType) -> None:
    assert lines(planned(program, INTERFACES), "bond0.network") == [
        "Name=bond0",
        "MTUBytes=9000",
        "RequiredForOnline=no",
        "VLAN=bond0.10",
        "VLAN=bond0.20",
        "VLAN=bond0.30",
        "LinkLocalAddressing=no",
        "IPv6AcceptRA=no",
    ]


def test_an_mtu_that_is_not_said_is_taken_over(program: ModuleType) -> None:
    bridge = {"name": "br0", "bridge": {"members": ["bond0.40"]}}
    plan = planned(program, [*INTERFACES, {"name": "bond0.40", "vlan": {"link": "bond0", "id": 40}}, bridge])
    assert {interface["name"]: interface["mtu"] for interface in plan["interfaces"]} == {
        "bond0": 9000,
        "bond0.10": 1500,
        "bond0.20": 9000,
        "bond0.30": 9000,
        "bond0.40": 9000,
        "br0": 9000,
        "eno1": 9000,
        "eno2": 9000,
    }


def test_a_card_may_be_named_by_its_hardware_address(program: ModuleType) -> None:
    card = {"name": "fast1", "mac": "52:54:00:AA:00:01"}
    bond = BOND | {"bond": {"members": ["fast1", "eno2"], "mode": "active-backup"}}
    plan = planned(program, [card, bond, *INTERFACES[1:]])
    assert lines(plan, "fast1.network")[0] == "PermanentMACAddress=52:54:00:aa:00:01"
    assert "Bond=bond0" in lines(plan, "fast1.network")


def test_one_card_may_carry_all_networks_with_one_address(program: ModuleType) -> None:
    plan = planned(
        program,
        [{"name": "eth0", "networks": ["upstream", "cluster"]}],
        networks={"upstream": {"cidr": "10.0.2.0/24", "gateway": "10.0.2.2"}, "cluster": {"cidr": "10.0.2.0/24"}},
        addresses={"upstream": "10.0.2.15", "cluster": "10.0.2.15"},
    )
    assert [line for line in lines(plan, "eth0.network") if line.startswith(("Address", "Gateway"))] == [
        "Address=10.0.2.15/24",
        "Gateway=10.0.2.2",
    ]


def test_two_families_are_two_networks_of_one_interface(program: ModuleType) -> None:
    plan = planned(
        program,
        [{"name": "eth0", "networks": ["upstream", "upstream6"]}],
        networks={
            "upstream": {"cidr": "192.0.2.0/24", "gateway": "192.0.2.1"},
            "upstream6": {"cidr": "2001:db8::/64", "gateway": "2001:db8::1"},
        },
        addresses={"upstream": "192.0.2.11", "upstream6": "2001:db8::11"},
    )
    assert [line for line in lines(plan, "eth0.network") if line.startswith(("Address", "Gateway"))] == [
        "Address=192.0.2.11/24",
        "Address=2001:db8::11/64",
        "Gateway=192.0.2.1",
        "Gateway=2001:db8::1",
    ]


def without(entry: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name != key}


@pytest.mark.parametrize(
    ("interfaces", "words"),
    [
        (["eno1"], "base_interfaces[0] has no name"),
        ([{"name": "a-name-of-16-chr"}], "the kernel allows 15 characters"),
        ([{"name": "e/1"}], "is no interface's name"),
        ([{"name": "eno1", "ip": "x"}], "base_interfaces eno1 has ip; known are name, mac,"),
        ([BOND | {"vlan": {"link": "eno3", "id": 1}}], "base_interfaces bond0 is bond and vlan at once"),
        ([BOND | {"bond": ["eno1"]}], "base_interfaces bond0.bond is ['eno1']; it is a mapping of members and mode"),
        ([BOND | {"bond": {"members": []}}], "base_interfaces bond0.bond has no members"),
        ([BOND | {"bond": {"members": "eno1"}}], "base_interfaces bond0.bond.members is 'eno1'; give a list"),
        ([BOND | {"bond": {"members": ["eno1"], "mode": "lacp"}}], "bond0.bond.mode is 'lacp'; known are 802.3ad"),
        (
            [{"name": "v", "vlan": {"link": "eno1", "id": 4095}}],
            "base_interfaces v.vlan.id is 4095; VLANs are numbered",
        ),
        ([{"name": "v", "vlan": {"link": "eno1", "id": 0}}], "base_interfaces v.vlan.id is 0"),
        ([{"name": "v", "vlan": {"id": 1}}], "base_interfaces v.vlan.link is None"),
        ([{"name": "eno1", "mtu": 70000}], "base_interfaces eno1.mtu is 70000; give a number from 68 to 65535"),
        ([{"name": "eno1", "mtu": "jumbo"}], "base_interfaces eno1.mtu is 'jumbo'"),
        ([{"name": "eno1", "mac": "52:54"}], "base_interfaces eno1.mac is '52:54'"),
        ([BOND | {"mac": "52:54:00:00:00:01"}], "base_interfaces bond0.mac is '52:54:00:00:00:01'"),
        ([{"name": "eno1", "networks": "upstream"}], "base_interfaces eno1.networks is 'upstream'; give a list"),
        ([{"name": "a", "mac": "52:54:00:00:00:01"}, {"name": "b", "mac": "52:54:00:00:00:01"}], "more than once"),
        ([BOND, BOND], "base_interfaces has bond0 more than once"),
        ([BOND, {"name": "br0", "bridge": {"members": ["eno1"]}}], "has eno1, which is a member of bond0 already"),
        ([BOND | {"bond": {"members": ["eno1", "eno1"]}}], "has eno1, which is a member of bond0 already"),
        (
            [BOND, {"name": "eno1", "networks": ["upstream"]}],
            "eno1 is a member of bond0, so its networks belong to bond0",
        ),
        ([BOND, {"name": "v", "vlan": {"link": "eno1", "id": 1}}], "VLANs lie on the bond"),
        ([BOND, UPSTREAM, UPSTREAM | {"name": "x"}], "base_interfaces bond0 carries VLAN 10 more than once"),
        ([{"name": "v", "vlan": {"link": "v", "id": 1}}], "base_interfaces v lies on itself"),
        (
            [{"name": "br0", "bridge": {"members": ["v"]}}, {"name": "v", "vlan": {"link": "br0", "id": 1}}],
            "base_interfaces br0 lies on itself",
        ),
        (
            [*INTERFACES, {"name": "eno9", "networks": ["backup"]}],
            "which is not in pvc_networks: upstream, cluster, storage",
        ),
        (
            [*INTERFACES, {"name": "eno9", "networks": ["cluster"]}],
            "pvc_networks.cluster is carried by bond0.20 and by eno9",
        ),
        (INTERFACES[:3], "pvc_networks.storage is carried by no interface"),
        (
            [BOND, UPSTREAM | {"mtu": 9001}, CLUSTER, STORAGE],
            "bond0.10.mtu is 9001, more than that of bond0 below it, 9000",
        ),
        ([*INTERFACES, {"name": "eno1", "mtu": 1500}], "that of its member eno1 1500; set it on the bond only"),
        ([BOND, UPSTREAM, CLUSTER, STORAGE | {"mtu": 1000}], "bond0.30.mtu is 1000; it carries IPv6, which needs 1280"),
    ],
)
def test_what_makes_no_sense_is_said(program: ModuleType, interfaces: list[Any], words: str) -> None:
    plan = planned(program, interfaces)
    assert words in "; ".join(plan["problems"])
    assert "files" not in plan


@pytest.mark.parametrize(
    ("network", "address", "words"),
    [
        (
            {"cidr": "10.20.1.0/24", "gateway": "10.20.2.1"},
            "10.20.1.11",
            "gateway is '10.20.2.1', which is no address in",
        ),
        ({"cidr": "10.20.1.0/24", "gateway": "router"}, "10.20.1.11", "pvc_networks.cluster.gateway is 'router'"),
        ({"cidr": "10.20.1.0/24", "gateway": "10.20.1.11"}, "10.20.1.11", "is this machine's own address"),
        (
            {"cidr": "10.20.1.0/24", "dns": "10.20.1.1"},
            "10.20.1.11",
            "pvc_networks.cluster.dns is '10.20.1.1'; give a list",
        ),
        ({"cidr": "10.20.1.0/24", "dns": ["x"]}, "10.20.1.11", "pvc_networks.cluster.dns is ['x']"),
        ({"cidr": "10.20.1.0/24"}, "10.20.1.0", "pvc_addresses.cluster 10.20.1.0 stands for all of 10.20.1.0/24"),
        ({"cidr": "10.20.1.0/24"}, "10.20.1.255", "pvc_addresses.cluster 10.20.1.255 stands for all of"),
        (
            {"cidr": "10.20.1.0/24", "gateway": "10.20.1.1"},
            "10.20.1.11",
            "upstream and cluster have a gateway each for IPv4",
        ),
        (
            {"cidr": "192.0.2.0/25"},
            "192.0.2.12",
            "pvc_networks.cluster.cidr 192.0.2.0/25 overlap, and lie on different",
        ),
    ],
)
def test_a_network_that_makes_no_sense_is_said(
    program: ModuleType, network: dict[str, Any], address: str, words: str
) -> None:
    plan = planned(
        program, INTERFACES, networks=NETWORKS | {"cluster": network}, addresses=ADDRESSES | {"cluster": address}
    )
    assert words in "; ".join(plan["problems"])
