# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role frr refuses of its variables, before it touches a machine."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.unit.roles.scripts import script


@pytest.fixture
def inputs() -> ModuleType:
    return script("frr", "inputs")


def host(number: int, **changes: Any) -> dict[str, Any]:
    address = f"10.20.1.{number}"
    return {"asn": 4200000000, "router_id": address, "address": address} | changes


def wanted(**changes: Any) -> dict[str, Any]:
    return {
        "name": "node1",
        "asn": 4200000000,
        "password": True,
        "bfd_interval": 250,
        "bfd_multiplier": 3,
        "upstreams": [],
        "announce": [],
        "hosts": {"node1": host(11), "node2": host(12)},
    } | changes


def upstream(**changes: Any) -> dict[str, Any]:
    return {"address": "192.0.2.1", "asn": 64500} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upstreams": [upstream(), upstream(address="2001:db8::1", accept=["::/0", "2001:db8::/32 le 48"])]},
        {"upstreams": [upstream(asn="64500", prefix_limit=10, multihop=2, description="r1", password=True)]},
        {"upstreams": [upstream(accept=["0.0.0.0/0", "10.0.0.0/8 le 24", "198.51.100.7/32"])]},
        {"announce": ["203.0.113.0/24", "2001:db8:1::/48"]},
    ],
)
def test_what_makes_sense_is_taken(inputs: ModuleType, changes: dict[str, Any]) -> None:
    assert inputs.problems(wanted(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "begin", "remedy"),
    [
        ({"asn": 0}, "frr_asn is 0, which is no number of an autonomous system", "64512 to 65534"),
        ({"asn": 4294967296}, "frr_asn is 4294967296, which is no number", "4200000000 to 4294967294"),
        ({"asn": 23456}, "frr_asn is 23456, which is no number", "use one for private use"),
        ({"asn": "fabric"}, "frr_asn is 'fabric', which is no number", "use one for private use"),
        ({"asn": True}, "frr_asn is True, which is no number", "use one for private use"),
        (
            {"hosts": {"node1": host(11), "node2": host(12, asn=65000)}},
            "frr_asn is 4200000000, but that of node2 is 65000",
            "for all of them together",
        ),
        (
            {"hosts": {"node1": host(11), "node2": host(12, router_id="10.20.1.11")}},
            "frr_router_id 10.20.1.11 is also that of node2",
            "each host needs its own",
        ),
        ({"hosts": {"node1": host(11, router_id="")}}, "frr_router_id is ''", "as a host variable"),
        (
            {"hosts": {"node1": host(11, router_id="2001:db8::1")}},
            "frr_router_id is '2001:db8::1'",
            "as a host variable",
        ),
        ({"hosts": {"node1": host(11, router_id="0.0.0.0")}}, "frr_router_id is '0.0.0.0'", "as a host variable"),
        (
            {"hosts": {"node1": host(11, router_id="10.20.1.256")}},
            "frr_router_id is '10.20.1.256'",
            "as a host variable",
        ),
        ({"password": False}, "frr_password cannot be a session's", "1 to 80 printable characters"),
        ({"bfd_interval": 49}, "frr_bfd_interval is 49", "use 50 to 60000 milliseconds"),
        ({"bfd_multiplier": 1}, "frr_bfd_multiplier is 1", "use 2 to 255"),
        ({"upstreams": "192.0.2.1"}, "frr_upstreams is '192.0.2.1'", "each entry with address and asn"),
        ({"upstreams": ["192.0.2.1"]}, "frr_upstreams is ['192.0.2.1']", "each entry with address and asn"),
        ({"announce": "203.0.113.0/24"}, "frr_announce is '203.0.113.0/24'", "give a list of prefixes"),
        (
            {"announce": ["203.0.113.1/24"]},
            "frr_announce has '203.0.113.1/24', which is not a prefix",
            "203.0.113.0/24",
        ),
        ({"announce": ["203.0.113.0"]}, "frr_announce has '203.0.113.0', which is not a prefix", "with its length"),
        (
            {"announce": ["203.0.113.0/33"]},
            "frr_announce has '203.0.113.0/33', which is not a prefix",
            "with its length",
        ),
        (
            {"announce": ["0.0.0.0/0"]},
            "frr_announce has '0.0.0.0/0', which would draw all traffic",
            "name your own networks",
        ),
        ({"announce": ["203.0.113.0/24"] * 2}, "frr_announce has '203.0.113.0/24' more than once", "name it once"),
    ],
)
def test_what_makes_none_is_refused(inputs: ModuleType, changes: dict[str, Any], begin: str, remedy: str) -> None:
    (problem,) = inputs.problems(wanted(**changes))
    assert problem.startswith(begin)
    assert remedy in problem


@pytest.mark.parametrize(
    ("changes", "begin", "remedy"),
    [
        ({"address": "router1"}, ".address is 'router1'", "the router's IP address"),
        ({"address": "192.0.2.256"}, ".address is '192.0.2.256'", "the router's IP address"),
        ({"address": "192.0.2.0/24"}, ".address is '192.0.2.0/24'", "the router's IP address"),
        ({"address": "fe80::1"}, ".address is 'fe80::1'", "not a name or a link-local one"),
        ({"address": "fe80::1%eth0"}, ".address is 'fe80::1%eth0'", "not a name or a link-local one"),
        ({"address": "224.0.0.5"}, ".address is '224.0.0.5'", "the router's IP address"),
        ({"address": None}, ".address is None", "the router's IP address"),
        ({"address": "10.20.1.12"}, ".address 10.20.1.12 is that of node2", "nodes find each other"),
        ({"asn": 4200000000}, ".asn 4200000000 is the fabric's own", "set frr_asn to another one"),
        ({"asn": 4294967295}, ".asn is 4294967295", "the router's autonomous system"),
        ({"asn": None}, ".asn is None", "the router's autonomous system"),
        ({"password": False}, ".password cannot be a session's", "1 to 80 printable characters"),
        ({"accept": "0.0.0.0/0"}, ".accept is '0.0.0.0/0'", "give a list of prefixes"),
        ({"accept": ["10.0.0.1/8"]}, ".accept has '10.0.0.1/8', which is not a prefix", "10.0.0.0/8 le 24"),
        ({"accept": ["10.0.0.0/8 ge 9"]}, ".accept has '10.0.0.0/8 ge 9', which is not a prefix", "10.0.0.0/8 le 24"),
        ({"accept": ["10.0.0.0/8 le 8"]}, ".accept has '10.0.0.0/8 le 8'", "must be 9 to 32"),
        ({"accept": ["10.0.0.0/8 le x"]}, ".accept has '10.0.0.0/8 le x'", "must be 9 to 32"),
        ({"accept": ["::/0"]}, ".accept has '::/0', but the session's address is IPv4", "accept IPv4 prefixes"),
        ({"prefix_limit": 0}, ".prefix_limit is 0", "from 1 to 4294967295"),
        ({"multihop": 256}, ".multihop is 256", "from 1 to 255"),
        ({"description": "two\nlines"}, ".description is 'two\\nlines'", "80 printable characters"),
        ({"limit": 5}, ".limit is not an option", "prefix_limit"),
    ],
)
def test_a_router_that_makes_no_sense_is_refused(
    inputs: ModuleType, changes: dict[str, Any], begin: str, remedy: str
) -> None:
    (problem,) = inputs.problems(wanted(upstreams=[upstream(**changes)]))
    assert problem.startswith(f"frr_upstreams[0]{begin}")
    assert remedy in problem


def test_a_router_is_declared_once_however_it_is_written(inputs: ModuleType) -> None:
    twice = [upstream(address="2001:db8::1"), upstream(), upstream(address="2001:DB8:0::1")]
    assert inputs.problems(wanted(upstreams=twice)) == [
        "frr_upstreams[2].address 2001:db8::1 is declared already in frr_upstreams[0]; name it once"
    ]


def test_everything_that_is_wrong_is_said_at_once(inputs: ModuleType) -> None:
    found = inputs.problems(wanted(bfd_interval=1, announce=["x"], upstreams=[upstream(address="x", asn="x")]))
    assert len(found) == 4
