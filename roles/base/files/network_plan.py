# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine's declared network means: what is wrong with the declaration, or systemd-networkd's files for it.

A pure function of the inventory; it looks at no machine. Needs nothing but Python, prints one JSON object:
problems (sentences), and without any: interfaces (see Interface) and files (content by path).
Run as: python3 - WANTED, where WANTED is a JSON object with interfaces (base_interfaces), networks (pvc_networks) and
addresses (pvc_addresses of this machine), whose addresses and cidrs were found to be valid.
"""

from __future__ import annotations

import ipaddress
import json
import re
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

#: Sorts before what installers, cloud-init and netplan write (10-...): of several files networkd takes the first.
PREFIX = "/etc/systemd/network/05-pvc-"
HEADER = "# Managed by Ansible (pvc.cluster.base).\n"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
MODES = ("802.3ad", "active-backup", "balance-alb", "balance-rr", "balance-tlb", "balance-xor", "broadcast")
#: The keys of an entry; those that are mappings themselves, with theirs.
KEYS = ("name", "mac", "mtu", "networks", "bond", "vlan", "bridge")
KINDS = {"bond": ("members", "mode"), "vlan": ("id", "link"), "bridge": ("members",)}
DEFAULT_MTU = 1500


@dataclass
class Interface:
    """One interface. What is not declared but named as a member or as a VLAN's link is a network card by that name."""

    name: str
    kind: str = "nic"
    mac: str = ""
    own_mtu: int | None = None
    mtu: int = DEFAULT_MTU
    mode: str = ""
    members: list[str] = field(default_factory=list)
    link: str = ""
    id: int = 0
    networks: list[str] = field(default_factory=list)
    # what others and the networks make of it
    master: str = ""
    vlans: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    gateways: list[str] = field(default_factory=list)
    dns: list[str] = field(default_factory=list)

    @property
    def below(self) -> list[str]:
        """What it lies on."""
        return [self.link] if self.link else self.members


def number(value: Any) -> int | None:
    """A whole number, or digits that mean one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def is_names(value: Any) -> bool:
    """Whether this is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def entry_problems(position: int, entry: Any) -> list[str]:
    """What is wrong with one entry of base_interfaces by itself."""
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return [f"base_interfaces[{position}] has no name; each entry is a mapping like {{name: eno1}}"]
    name = entry["name"]
    where = f"base_interfaces {name}"
    problems = []
    if not NAME.fullmatch(name):
        problems.append(
            f"{where}: {name!r} is no interface's name; the kernel allows 15 characters: letters, digits, '.', '_' and '-'"
        )
    unknown = sorted(set(entry) - set(KEYS))
    if unknown:
        problems.append(f"{where} has {', '.join(unknown)}; known are {', '.join(KEYS)}")
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) > 1:
        problems.append(f"{where} is {' and '.join(kinds)} at once; give each an entry of its own")
    for kind in kinds:
        value = entry[kind]
        if not isinstance(value, dict) or set(value) - set(KINDS[kind]):
            problems.append(f"{where}.{kind} is {value!r}; it is a mapping of {' and '.join(KINDS[kind])}")
        elif kind == "vlan":
            problems += vlan_problems(where, value)
        else:
            problems += group_problems(where, kind, value)
    if "mac" in entry and (kinds or not MAC.fullmatch(str(entry["mac"]).lower())):
        problems.append(
            f"{where}.mac is {entry['mac']!r}; it says which network card is meant, like 52:54:00:12:34:56, "
            "and a bond, VLAN or bridge has none"
        )
    if "mtu" in entry and not 68 <= (number(entry["mtu"]) or 0) <= 65535:
        problems.append(f"{where}.mtu is {entry['mtu']!r}; give a number from 68 to 65535")
    if not is_names(entry.get("networks", [])):
        problems.append(f"{where}.networks is {entry['networks']!r}; give a list of names of pvc_networks")
    return problems


def vlan_problems(where: str, value: dict[str, Any]) -> list[str]:
    """What is wrong with the part vlan of an entry."""
    problems = []
    if not isinstance(value.get("link"), str) or not NAME.fullmatch(value["link"]):
        problems.append(f"{where}.vlan.link is {value.get('link')!r}; name the interface that carries the VLAN")
    if not 1 <= (number(value.get("id")) or 0) <= 4094:
        problems.append(f"{where}.vlan.id is {value.get('id')!r}; VLANs are numbered from 1 to 4094")
    return problems


def group_problems(where: str, kind: str, value: dict[str, Any]) -> list[str]:
    """What is wrong with the part bond or bridge of an entry."""
    members = value.get("members", [])
    if not is_names(members) or not all(NAME.fullmatch(member) for member in members):
        return [f"{where}.{kind}.members is {members!r}; give a list of interfaces' names"]
    problems = []
    if kind == "bond" and not members:
        problems.append(f"{where}.bond has no members; name the network cards that it consists of")
    if value.get("mode", MODES[0]) not in MODES:
        problems.append(f"{where}.bond.mode is {value['mode']!r}; known are {', '.join(MODES)}")
    return problems


def interface_of(entry: dict[str, Any]) -> Interface:
    """One valid entry as an interface."""
    kind = next((kind for kind in KINDS if kind in entry), "nic")
    part = entry.get(kind) or {}
    return Interface(
        name=entry["name"],
        kind=kind,
        mac=str(entry.get("mac", "")).lower(),
        own_mtu=number(entry.get("mtu")),
        mode=part.get("mode", MODES[0]) if kind == "bond" else "",
        members=part.get("members", []),
        link=part.get("link", ""),
        id=number(part.get("id")) or 0,
        networks=entry.get("networks", []),
    )


def connect(interfaces: dict[str, Interface]) -> list[str]:
    """Fill in what interfaces are to each other, and the cards that are only named; tells what does not go together."""
    problems = []
    for interface in list(interfaces.values()):
        for name in interface.below:
            lower = interfaces.setdefault(name, Interface(name))
            if interface.kind == "vlan":
                lower.vlans.append(interface.name)
            elif lower.master:
                problems.append(
                    f"base_interfaces {interface.name}.{interface.kind}.members has {name}, which is a member of "
                    f"{lower.master} already; an interface can be in one only"
                )
            else:
                lower.master = interface.name
    for interface in interfaces.values():
        where = f"base_interfaces {interface.name}"
        master = interfaces.get(interface.master)
        if master and interface.networks:
            problems.append(f"{where} is a member of {master.name}, so its networks belong to {master.name}")
        if master and master.kind == "bond" and (interface.kind != "nic" or interface.vlans):
            problems.append(
                f"{where} is a member of the bond {master.name}; only network cards can be, and VLANs lie on the bond"
            )
        ids = [interfaces[vlan].id for vlan in interface.vlans]
        problems += [
            f"{where} carries VLAN {number} more than once; give each VLAN one entry"
            for number in sorted(set(ids))
            if ids.count(number) > 1
        ]
        if in_a_circle(interface.name, interfaces):
            problems.append(f"{where} lies on itself; correct its members or the VLAN's link")
    return problems


def in_a_circle(name: str, interfaces: dict[str, Interface]) -> bool:
    """Whether an interface lies on itself, over whatever others."""
    seen: set[str] = set()
    below = list(interfaces[name].below)
    while below:
        lower = below.pop()
        if lower not in seen:
            seen.add(lower)
            below += interfaces[lower].below
    return name in seen


def mtu_of(interface: Interface, interfaces: dict[str, Interface]) -> int:
    """Its own; or what it takes over: a VLAN from its link, a member from its bond or bridge, a bridge from its members."""
    if interface.own_mtu is not None:
        return interface.own_mtu
    if interface.link:
        return mtu_of(interfaces[interface.link], interfaces)
    if interface.kind == "bridge":
        members = [interfaces[name] for name in interface.members]
        said = [mtu_of(member, interfaces) for member in members if member.own_mtu is not None or member.kind != "nic"]
        return min(said, default=DEFAULT_MTU)
    return mtu_of(interfaces[interface.master], interfaces) if interface.master else DEFAULT_MTU


def mtu_problems(interfaces: dict[str, Interface]) -> list[str]:
    """Set every MTU, and tell which do not fit to each other."""
    problems = []
    for interface in interfaces.values():
        interface.mtu = mtu_of(interface, interfaces)
    for interface in interfaces.values():
        lower = [interfaces[name] for name in interface.below]
        where = f"base_interfaces {interface.name}.mtu is {interface.mtu}"
        if interface.kind == "bond":
            problems += [
                f"{where}, that of its member {member.name} {member.mtu}; set it on the bond only"
                for member in lower
                if member.mtu != interface.mtu
            ]
        else:
            problems += [
                f"{where}, more than that of {member.name} below it, {member.mtu}; raise that, or lower this"
                for member in lower
                if member.mtu < interface.mtu
            ]
        if interface.mtu < 1280 and any(":" in address for address in interface.addresses):
            problems.append(f"{where}; it carries IPv6, which needs 1280")
    return problems


def network_problems(interfaces: dict[str, Interface], wanted: dict[str, Any]) -> list[str]:
    """Give addresses, gateways and name servers to the interfaces that carry them; tells what is wrong with them."""
    networks, addresses = wanted["networks"], wanted["addresses"]
    problems = []
    carriers: dict[str, Interface] = {}
    for interface in interfaces.values():
        for name in interface.networks:
            if name not in networks:
                problems.append(
                    f"base_interfaces {interface.name}.networks has {name}, which is not in pvc_networks: {', '.join(networks)}"
                )
            elif name in carriers:
                problems.append(
                    f"pvc_networks.{name} is carried by {carriers[name].name} and by {interface.name}; let one carry it"
                )
            else:
                carriers[name] = interface
                problems += carry(interface, name, networks[name], addresses[name])
    problems += [
        f"pvc_networks.{name} is carried by no interface; name it in networks of one entry of base_interfaces"
        for name in networks
        if name not in carriers
    ]
    for version in (4, 6):
        having = [
            name for name in carriers for gateway in [networks[name].get("gateway")] if version_of(gateway) == version
        ]
        if len({networks[name]["gateway"] for name in having}) > 1:
            problems.append(f"pvc_networks {' and '.join(having)} have a gateway each for IPv{version}; keep one")
    for position, name in enumerate(carriers):
        for other in list(carriers)[position + 1 :]:
            one, two = (ipaddress.ip_network(networks[which]["cidr"]) for which in (name, other))
            if one.version == two.version and one.overlaps(two) and carriers[name] is not carriers[other]:
                problems.append(
                    f"pvc_networks.{name}.cidr {one} and pvc_networks.{other}.cidr {two} overlap, and lie on different "
                    "interfaces; give each its own range"
                )
    return problems


def version_of(text: Any) -> int:
    """4 or 6 for an address, 0 for anything else."""
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0


def carry(interface: Interface, name: str, network: dict[str, Any], address: str) -> list[str]:
    """Give what belongs to one network to the interface that carries it."""
    problems = []
    where = f"pvc_networks.{name}"
    cidr = ipaddress.ip_network(network["cidr"])
    own = ipaddress.ip_interface(f"{address}/{cidr.prefixlen}")
    last = cidr.broadcast_address if cidr.version == 4 else None
    if cidr.num_addresses > 2 and own.ip in (cidr.network_address, last):
        problems.append(f"pvc_addresses.{name} {address} stands for all of {cidr}; give an address inside it")
    if str(own) not in interface.addresses:
        interface.addresses.append(str(own))
    gateway = network.get("gateway")
    if gateway is not None:
        if not version_of(gateway) or ipaddress.ip_address(gateway) not in cidr:
            problems.append(f"{where}.gateway is {gateway!r}, which is no address in {cidr}")
        elif ipaddress.ip_address(gateway) == own.ip:
            problems.append(f"{where}.gateway {gateway} is this machine's own address; give the router's")
        elif str(ipaddress.ip_address(gateway)) not in interface.gateways:
            interface.gateways.append(str(ipaddress.ip_address(gateway)))
    servers = network.get("dns", [])
    if not isinstance(servers, list) or not all(version_of(server) for server in servers):
        problems.append(f"{where}.dns is {servers!r}; give a list of addresses")
    else:
        interface.dns += [server for server in servers if server not in interface.dns]
    return problems


def unit(*sections: tuple[str, list[str]]) -> str:
    """A file of sections with their lines; without lines there is no section."""
    return HEADER + "".join(
        f"\n[{name}]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections if lines
    )


def netdev_file(interface: Interface) -> str:
    """The .netdev file of a bond, VLAN or bridge."""
    bond, vlan = [], []
    if interface.kind == "bond":
        # networkd's own default is not to look whether a cable is plugged in
        bond = [f"Mode={interface.mode}", "MIIMonitorSec=100ms"]
        if interface.mode in ("802.3ad", "balance-xor"):
            bond.append("TransmitHashPolicy=layer3+4")
        if interface.mode == "802.3ad":
            # a dead partner is noticed after 3 seconds, not 90
            bond.append("LACPTransmitRate=fast")
    if interface.kind == "vlan":
        vlan = [f"Id={interface.id}"]
    return unit(("NetDev", [f"Name={interface.name}", f"Kind={interface.kind}"]), ("Bond", bond), ("VLAN", vlan))


def network_file(interface: Interface, interfaces: dict[str, Interface]) -> str:
    """The .network file of any interface."""
    match = f"PermanentMACAddress={interface.mac}" if interface.mac else f"Name={interface.name}"
    link = [f"MTUBytes={interface.mtu}"]
    network = []
    if interface.master:
        master = interfaces[interface.master]
        network.append(f"{master.kind.capitalize()}={master.name}")
    network += [f"VLAN={name}" for name in interface.vlans]
    network.append(f"LinkLocalAddressing={'ipv6' if interface.addresses else 'no'}")
    network.append("IPv6AcceptRA=no")
    if interface.addresses:
        # an address stays when the cable is pulled: daemons are bound to it
        network.append("ConfigureWithoutCarrier=yes")
        network += [f"Address={address}" for address in interface.addresses]
        network += [f"Gateway={gateway}" for gateway in interface.gateways]
        network += [f"DNS={server}" for server in interface.dns]
    else:
        # without an address it would never count as online, and the boot would wait for it
        link.append("RequiredForOnline=no")
        if interface.kind == "bridge":
            network.append("ConfigureWithoutCarrier=yes")
    return unit(("Match", [match]), ("Link", link), ("Network", network))


def plan(wanted: dict[str, Any]) -> dict[str, Any]:
    """All of it; later checks rest on earlier ones, so the first kind of problem ends it."""
    entries = wanted["interfaces"]
    problems = [problem for position, entry in enumerate(entries) for problem in entry_problems(position, entry)]
    if problems:
        return {"problems": problems}
    names = [entry["name"] for entry in entries]
    problems = [f"base_interfaces has {name} more than once" for name in sorted(set(names)) if names.count(name) > 1]
    interfaces = {entry["name"]: interface_of(entry) for entry in entries}
    macs = [interface.mac for interface in interfaces.values() if interface.mac]
    problems += [
        f"base_interfaces has the mac {mac} more than once" for mac in sorted(set(macs)) if macs.count(mac) > 1
    ]
    problems += connect(interfaces)
    problems = problems or network_problems(interfaces, wanted) + mtu_problems(interfaces)
    if problems:
        return {"problems": problems}
    files = {}
    for name, interface in interfaces.items():
        if interface.kind != "nic":
            files[f"{PREFIX}{name}.netdev"] = netdev_file(interface)
        files[f"{PREFIX}{name}.network"] = network_file(interface, interfaces)
    return {"problems": [], "interfaces": [asdict(interface) for interface in interfaces.values()], "files": files}


if __name__ == "__main__":
    print(json.dumps(plan(json.loads(sys.argv[1]))))
