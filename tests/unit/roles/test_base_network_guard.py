# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of the network takes away, because networkd itself would leave it."""

from __future__ import annotations

from types import ModuleType

import pytest

from tests.unit.roles.scripts import script

VLAN = "[NetDev]\nName=bond0.20\nKind=vlan\n\n[VLAN]\nId={}\n"
BRIDGE = "[NetDev]\nName=br0\nKind=bridge\n"
ONE, TWO = ("address", "10.20.1.11/24"), ("address", "10.20.1.12/24")
ROUTER = ("gateway", "10.20.1.1")


@pytest.fixture(scope="module")
def guard() -> ModuleType:
    return script("base", "network_guard")


def test_a_device_that_is_gone_or_made_otherwise_is_outdated(guard: ModuleType) -> None:
    now = {"05-pvc-bond0.20.netdev": VLAN.format(20), "05-pvc-br0.netdev": BRIDGE, "05-pvc-br0.network": "x"}
    assert guard.outdated(now, now) == []
    assert guard.outdated(now, now | {"05-pvc-bond0.20.netdev": VLAN.format(21)}) == ["bond0.20"]
    assert guard.outdated(now, now | {"05-pvc-br0.network": "y"}) == []
    assert guard.outdated(now, {}) == ["bond0.20", "br0"]
    assert guard.outdated({}, now) == []


@pytest.mark.parametrize(
    ("match", "device"),
    [
        ("Name=eno1", "eno1"),
        ("Name=enp1s0", "eno1"),
        ("PermanentMACAddress=52:54:00:00:00:02", "eno2"),
    ],
)
def test_a_file_is_of_the_device_that_networkd_would_find(guard: ModuleType, match: str, device: str) -> None:
    links = [
        {"ifname": "bond0", "address": "52:54:00:00:00:02", "linkinfo": {"info_kind": "bond"}},
        {"ifname": "eno1", "address": "52:54:00:00:00:01", "altnames": ["enp1s0"]},
        {"ifname": "eno2", "address": "52:54:00:00:00:01", "permaddr": "52:54:00:00:00:02"},
    ]
    text = f"[Match]\n{match}\n\n[Network]\nAddress=10.20.1.11/24\nGateway=10.20.1.1\n"
    assert guard.declared({"05-pvc-x.network": text}, links) == {device: {ONE, ROUTER}}


def test_a_file_of_a_device_that_is_not_there_yet_says_nothing(guard: ModuleType) -> None:
    assert guard.declared({"05-pvc-x.network": "[Match]\nName=bond0.20\n"}, []) == {}


def test_what_a_device_holds_is_its_addresses_and_its_default_routes(guard: ModuleType) -> None:
    rows = [
        {"local": "10.20.1.11", "prefixlen": 24, "scope": "global"},
        {"local": "fe80::1", "prefixlen": 64, "scope": "link"},
    ]
    links = [{"ifname": "eno1", "addr_info": rows}, {"ifname": "eno2"}]
    routes = [{"dev": "eno1", "gateway": "10.20.1.1"}, {"dev": "eno2"}]
    assert guard.held(links, routes) == {"eno1": {ONE, ROUTER}, "eno2": set()}


def test_what_the_role_gave_before_goes_and_what_others_gave_stays(guard: ModuleType) -> None:
    now = {"eno1": {ONE, TWO, ROUTER}}
    assert guard.superfluous(now, {"eno1": {ONE, ROUTER}}, {"eno1": {ROUTER}}) == {"eno1": {ONE}}


def test_a_device_that_was_not_the_role_s_keeps_nothing_else(guard: ModuleType) -> None:
    assert guard.superfluous({"eno1": {ONE, TWO}}, {}, {"eno1": {TWO}}) == {"eno1": {ONE}}


def test_a_device_that_is_no_longer_declared_gives_back_what_it_got(guard: ModuleType) -> None:
    assert guard.superfluous({"eno1": {ONE, TWO}}, {"eno1": {ONE}}, {}) == {"eno1": {ONE}}


def test_a_device_that_is_not_there_holds_nothing(guard: ModuleType) -> None:
    assert guard.superfluous({}, {}, {"eno1": {ONE}}) == {"eno1": set()}
