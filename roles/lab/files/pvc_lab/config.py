# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab consists of: read from lab.json and the nodes' node.json, both written by the role."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from .daemon import write_atomically
from .shell import LabError

NODE_NAME = re.compile(r"[a-z][a-z0-9-]{0,11}")
"""Twelve letters at most: names of network interfaces are made of it, and they may have fifteen."""


@dataclass(frozen=True)
class Network:
    """One of the lab's switches, and the address that the lab's host has on it."""

    name: str
    bridge: str
    short: str
    host: IPv4Interface

    @property
    def cidr(self) -> IPv4Network:
        """The network's address range."""
        return self.host.network


@dataclass(frozen=True)
class Image:
    """A recipe: a whole Debian system, or packages laid over another image."""

    name: str
    packages: tuple[str, ...]
    suite: str = ""
    base: str = ""
    cached: bool = True


@dataclass(frozen=True)
class Disk:
    """An extra disk of a node: a sparse file behind a loop device."""

    name: str
    size_gb: int


@dataclass(frozen=True)
class Lab:
    """The whole lab: its state folder, switches, images and the package cache."""

    directory: Path
    networks: tuple[Network, ...]
    images: Mapping[str, Image]
    devices: tuple[str, ...] = ()
    cache_port: int = 3142
    archives: tuple[Mapping[str, Any], ...] = ()
    services: tuple[str, ...] = ()

    @property
    def cache_url(self) -> str:
        """Where nodes reach the package cache: the host's address on the first network."""
        return f"http://{self.networks[0].host.ip}:{self.cache_port}"

    def network(self, name: str) -> Network:
        """The network of that name."""
        for network in self.networks:
            if network.name == name:
                return network
        known = ", ".join(network.name for network in self.networks)
        raise LabError(f"the lab has no network '{name}'; it has {known}")

    def image(self, name: str) -> Image:
        """The image recipe of that name."""
        try:
            return self.images[name]
        except KeyError:
            known = ", ".join(sorted(self.images))
            raise LabError(f"the lab has no image '{name}'; it has {known}") from None

    def node_names(self) -> list[str]:
        """Names of all nodes that were ever described, in order."""
        return sorted(path.parent.name for path in self.directory.glob("nodes/*/node.json"))


@dataclass(frozen=True)
class Node:
    """One machine of the lab."""

    name: str
    image: str
    addresses: Mapping[str, IPv4Interface]
    directory: Path
    disks: tuple[Disk, ...] = field(default_factory=tuple)

    def switch_port(self, network: Network) -> str:
        """The switch's end of the node's cable to this network."""
        return f"{network.short}-{self.name}"

    @property
    def namespace(self) -> str:
        """The node's network namespace, as ip netns knows it."""
        return f"pvclab-{self.name}"

    @property
    def root(self) -> Path:
        """Where the node's file system is put together, visible to its own supervisor only."""
        return self.directory / "root"


def parse_lab(data: Mapping[str, Any]) -> Lab:
    """Build the lab from the content of lab.json."""
    directory = Path(data["directory"])
    networks = tuple(
        Network(
            name=entry["name"],
            bridge=entry["bridge"],
            short=entry["short"],
            host=IPv4Interface(f"{entry['host_address']}/{IPv4Network(entry['cidr']).prefixlen}"),
        )
        for entry in data["networks"]
    )
    images = {
        name: Image(
            name=name,
            packages=tuple(sorted(set(entry["packages"]))),
            suite=entry.get("suite", ""),
            base=entry.get("base", ""),
            cached=entry.get("cached", True),
        )
        for name, entry in data["images"].items()
    }
    for image in images.values():
        if bool(image.suite) == bool(image.base):
            raise LabError(f"image '{image.name}' needs either a suite or a base image, and not both")
        if image.base and image.base not in images:
            raise LabError(f"image '{image.name}' stands on '{image.base}', which is not described")
    return Lab(
        directory=directory,
        networks=networks,
        images=images,
        devices=tuple(data.get("devices", ())),
        cache_port=int(data.get("cache_port", 3142)),
        archives=tuple(data.get("archives", ())),
        services=tuple(data.get("services", ())),
    )


def check_name(name: str) -> None:
    """Refuse what cannot be a node's name, before anything is looked up or made by it."""
    if not NODE_NAME.fullmatch(name):
        raise LabError(f"{name!r} cannot be a node's name: use up to 12 of a-z, 0-9 and -, a letter first")


def parse_node(lab: Lab, data: Mapping[str, Any]) -> Node:
    """Build a node from the content of its node.json."""
    name = data["name"]
    check_name(name)
    addresses = {}
    for network in lab.networks:
        try:
            text = data["addresses"][network.name]
        except KeyError:
            raise LabError(f"node '{name}' has no address on network '{network.name}'") from None
        address = IPv4Interface(f"{text}/{network.cidr.prefixlen}")
        if address.network != network.cidr:
            raise LabError(f"address {text} of node '{name}' lies outside of {network.name}'s {network.cidr}")
        addresses[network.name] = address
    return Node(
        name=name,
        image=data["image"],
        addresses=addresses,
        directory=lab.directory / "nodes" / name,
        disks=tuple(Disk(entry["name"], int(entry["size_gb"])) for entry in data.get("disks", ())),
    )


def describe_node(lab: Lab, data: Mapping[str, Any]) -> bool:
    """Write a node's description, if it makes sense; tells whether it is new or another one."""
    node = parse_node(lab, data)
    lab.image(node.image)
    path = node.directory / "node.json"
    content = json.dumps(data, indent=2, sort_keys=True) + "\n"
    if path.exists() and path.read_text() == content:
        return False
    write_atomically(path, content)
    return True


def load_lab(directory: Path) -> Lab:
    """Read lab.json of a state folder."""
    path = directory / "lab.json"
    try:
        return parse_lab(json.loads(path.read_text()))
    except FileNotFoundError:
        raise LabError(f"there is no lab in {directory}; 'make lab' builds one") from None
    except (KeyError, ValueError) as error:
        raise LabError(f"{path} is damaged ({error}); 'make lab' writes it anew") from None


def load_node(lab: Lab, name: str) -> Node:
    """Read one node's description."""
    check_name(name)
    path = lab.directory / "nodes" / name / "node.json"
    try:
        return parse_node(lab, json.loads(path.read_text()))
    except FileNotFoundError:
        known = ", ".join(lab.node_names()) or "none"
        raise LabError(f"the lab has no node '{name}'; it has {known}") from None
    except (KeyError, ValueError) as error:
        raise LabError(f"{path} is damaged ({error}); 'make lab' writes it anew") from None
