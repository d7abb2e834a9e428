# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wrong with the variables of the role frr, for one host beside the others.

Pure rules that need nothing but Python; prints a JSON list of sentences. Run as: python3 - WANTED, where WANTED is a JSON
object with name, asn, address, password, bfd_interval, bfd_multiplier, upstreams, announce, and hosts: what each host of
the fabric declares, as {HOST: {asn, router_id, address}}. Passwords are no part of it, only whether each can be one.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

OPTIONS = {"address", "asn", "password", "description", "accept", "prefix_limit", "multihop"}
#: Numbers that name no autonomous system (RFC 7607, 6793, 7300).
RESERVED = {0, 23456, 65535, 4294967295}
FORM = "use 1 to 80 printable characters without spaces"


def number(value: object, low: int, high: int) -> int | None:
    """A whole number in a range, also when it was written in quotes."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+", str(value)):
        return None
    found = int(str(value))
    return found if low <= found <= high else None


def as_number(value: object) -> int | None:
    """The number of an autonomous system, or None."""
    found = number(value, 1, 4294967295)
    return None if found in RESERVED else found


def address_of(value: object) -> Address | None:
    """The address that a text means, or None when it means none that a router could have."""
    try:
        found = ipaddress.ip_address(str(value))
    except ValueError:
        return None
    return None if found.is_unspecified or found.is_multicast or found.is_loopback else found


def prefix_of(value: object) -> Network | None:
    """The prefix that a text means, or None when it means none."""
    try:
        return ipaddress.ip_network(str(value)) if "/" in str(value) else None
    except ValueError:
        return None


def as_number_problems(wanted: dict[str, Any]) -> Iterator[str]:
    """The fabric is one autonomous system."""
    own = as_number(wanted["asn"])
    if own is None:
        yield (
            f"frr_asn is {wanted['asn']!r}, which is no number of an autonomous system; use one for private use, "
            "64512 to 65534 or 4200000000 to 4294967294, or your site's own"
        )
        return
    for host, declared in wanted["hosts"].items():
        if as_number(declared["asn"]) != own:
            yield (
                f"frr_asn is {own}, but that of {host} is {declared['asn']!r}; all nodes are one autonomous system: set "
                "frr_asn, or pvc_asn, for all of them together"
            )


def router_id_problems(wanted: dict[str, Any]) -> Iterator[str]:
    """Each node has a name of its own in BGP."""
    hosts = wanted["hosts"]
    text = hosts[wanted["name"]]["router_id"]
    own = address_of(text)
    if not isinstance(own, ipaddress.IPv4Address):
        yield (
            f"frr_router_id is {text!r}, which is no router id; give one in the form of an IPv4 address as a host variable, "
            "different on each host (with an IPv6 address in the network cluster there is no default)"
        )
        return
    for host, declared in hosts.items():
        if host != wanted["name"] and address_of(declared["router_id"]) == own:
            yield f"frr_router_id {own} is also that of {host}; each host needs its own"


def timer_problems(wanted: dict[str, Any]) -> Iterator[str]:
    """What BFD can be set to."""
    for name, unit, low, high in (("interval", "milliseconds", 50, 60000), ("multiplier", "", 2, 255)):
        value = wanted[f"bfd_{name}"]
        if number(value, low, high) is None:
            yield f"frr_bfd_{name} is {value!r}; use {low} to {high} {unit}".rstrip()


def accept_problems(where: str, value: object, family: int | None) -> Iterator[str]:
    """Prefixes of the address family of their session, each perhaps with ``le LENGTH``."""
    if not isinstance(value, list):
        yield f"{where} is {value!r}; give a list of prefixes"
        return
    for entry in value:
        text, least, length = str(entry).partition(" le ")
        prefix = prefix_of(text)
        if prefix is None:
            yield (
                f"{where} has {entry!r}, which is not a prefix; give the network's address with its length, like "
                "10.0.0.0/8, or with all its parts down to a length, like 10.0.0.0/8 le 24"
            )
        elif family is not None and prefix.version != family:
            yield f"{where} has {entry!r}, but the session's address is IPv{family}; accept IPv{family} prefixes from it"
        elif least and number(length, prefix.prefixlen + 1, prefix.max_prefixlen) is None:
            yield f"{where} has {entry!r}; the length after le must be {prefix.prefixlen + 1} to {prefix.max_prefixlen}"


def upstream_problems(where: str, upstream: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """One router of the site."""
    for option in sorted(set(upstream) - OPTIONS):
        yield f"{where}.{option} is not an option; there are {', '.join(sorted(OPTIONS))}"
    address = address_of(upstream.get("address"))
    if address is None or getattr(address, "scope_id", None) or address.is_link_local:
        yield f"{where}.address is {upstream.get('address')!r}; give the router's IP address, not a name or a link-local one"
    nodes = {address_of(declared["address"]): host for host, declared in wanted["hosts"].items()}
    if address is not None and address in nodes:
        yield f"{where}.address {address} is that of {nodes[address]} in the network cluster; nodes find each other by themselves"
    asn = as_number(upstream.get("asn"))
    if asn is None:
        yield f"{where}.asn is {upstream.get('asn')!r}; give the number of the router's autonomous system"
    elif asn == as_number(wanted["asn"]):
        yield (
            f"{where}.asn {asn} is the fabric's own (frr_asn); sessions to routers of the site are between two autonomous "
            "systems: set frr_asn to another one for all nodes"
        )
    if upstream.get("password", True) is not True:
        yield f"{where}.password cannot be a session's; {FORM}"
    if "accept" in upstream:
        yield from accept_problems(f"{where}.accept", upstream["accept"], address.version if address else None)
    if not re.fullmatch(r"[ -~]{0,80}", str(upstream.get("description") or "")):
        yield f"{where}.description is {upstream['description']!r}; use up to 80 printable characters"
    for option, low, high in (("prefix_limit", 1, 4294967295), ("multihop", 1, 255)):
        if option in upstream and number(upstream[option], low, high) is None:
            yield f"{where}.{option} is {upstream[option]!r}; use a number from {low} to {high}"


def upstreams_problems(wanted: dict[str, Any]) -> Iterator[str]:
    """All routers of the site, each of them once."""
    upstreams = wanted["upstreams"]
    if not isinstance(upstreams, list) or not all(isinstance(upstream, dict) for upstream in upstreams):
        yield f"frr_upstreams is {upstreams!r}; give a list, each entry with address and asn"
        return
    seen: dict[Address, int] = {}
    for position, upstream in enumerate(upstreams):
        yield from upstream_problems(f"frr_upstreams[{position}]", upstream, wanted)
        address = address_of(upstream.get("address"))
        if address in seen:
            yield f"frr_upstreams[{position}].address {address} is declared already in frr_upstreams[{seen[address]}]; name it once"
        elif address is not None:
            seen[address] = position


def announce_problems(wanted: dict[str, Any]) -> Iterator[str]:
    """What may leave to the site."""
    announce = wanted["announce"]
    if not isinstance(announce, list):
        yield f"frr_announce is {announce!r}; give a list of prefixes"
        return
    for entry in announce:
        prefix = prefix_of(entry)
        if prefix is None:
            yield (
                f"frr_announce has {entry!r}, which is not a prefix; give the network's address with its length, like "
                "203.0.113.0/24"
            )
        elif prefix.prefixlen == 0:
            yield f"frr_announce has {entry!r}, which would draw all traffic of the site to the nodes; name your own networks"
        elif announce.count(entry) > 1:
            yield f"frr_announce has {entry!r} more than once; name it once"


def problems(wanted: dict[str, Any]) -> list[str]:
    """Everything that is wrong, each thing once, in the order of the variables."""
    found = [
        *as_number_problems(wanted),
        *router_id_problems(wanted),
        *([] if wanted["password"] else [f"frr_password cannot be a session's; {FORM}"]),
        *timer_problems(wanted),
        *upstreams_problems(wanted),
        *announce_problems(wanted),
    ]
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    print(json.dumps(problems(json.loads(sys.argv[1]))))
