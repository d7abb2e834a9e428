# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's machines as hosts of an inventory: their variables, groups and addresses. Pure."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from .overview import Overview, Selection
from .records import Vm

KINDS = ("vm", "node")

#: Names that mean something else in every inventory: where the playbook runs, and Ansible's own groups.
_RESERVED = ("localhost", "all", "ungrouped")

#: What is given to ssh as an address: nothing that it could take for an option, or a shell for anything.
_ADDRESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9._-]+)?")


@dataclass(frozen=True)
class Only:
    """Which machines to show; what is empty lets everything through, and a machine must get through all of it.

    Attributes:
        kinds: some of KINDS.
        nodes: these nodes, and the VMs that belong to one of them.
        states: what is wanted of it is one of these. tags: it has all of these. names: one of these patterns matches.
    """

    kinds: Sequence[str] = ()
    nodes: Sequence[str] = ()
    states: Sequence[str] = ()
    tags: Sequence[str] = ()
    names: Sequence[str] = ()

    def kind(self, kind: str) -> bool:
        """Whether it lets machines of a kind through."""
        return not self.kinds or kind in self.kinds

    @cached_property
    def named(self) -> Callable[[str], bool] | None:
        """Whether it lets a name through; None when it lets all names through."""
        if not self.names:
            return None
        match = re.compile("|".join(fnmatch.translate(pattern) for pattern in self.names)).match
        return lambda name: match(name) is not None

    def by_place(self, name: str, node: str | None) -> bool:
        """Whether it lets a machine through by what is known without its record: its name and its node."""
        return (not self.nodes or node in self.nodes) and (self.named is None or self.named(name))

    def selection(self) -> Selection:
        """What of it spares reads."""
        return Selection(self.kind("vm"), self.named, frozenset(self.nodes))


@dataclass(frozen=True)
class Host:
    """A machine in an inventory.

    Attributes:
        facts: what is known of it; plain data, the same keys for all machines of its kind.
        address: where it is reached; empty for not known.
        groups: names without a prefix, as they come: what users have written may stand in them.
        refused: an address that is none.
        taken: why it must not be a host, whatever else is shown: its name is that of something else.
    """

    name: str
    facts: dict[str, Any]
    address: str
    groups: list[str]
    refused: str = ""
    taken: str = ""


def hosts(overview: Overview, only: Only, network: str, address_key: str) -> Iterator[Host]:
    """Nodes, then VMs, each by name.

    Args:
        network: whose address of a node it is reached by.
        address_key: the key of a VM's metadata that holds its address.
    """
    if only.kind("node") and not only.tags:
        for name in sorted(overview.nodes):
            if only.by_place(name, name):
                host = _node(overview, name, network)
                if not only.states or host.facts["state"] in only.states:
                    yield host
    if not only.kind("vm"):
        return
    tags = set(only.tags)
    reports = {node: report.vms for node in overview.nodes if (report := overview.reports_now(node)) is not None}
    for name, stored in sorted(overview.vms.items()):
        vm, owner = stored.value, overview.owners.get(name)
        if not only.by_place(name, owner):
            continue
        if vm is None:
            if only.states or tags:
                continue
            host = _damaged(name, owner, stored.invalid)
        elif (not only.states or vm.state in only.states) and tags <= set(vm.tags):
            observed = reports.get(owner or "", {}).get(name)
            host = _vm(name, vm, owner, observed.state if observed else "unknown", address_key)
        else:
            continue
        yield replace(host, taken=_taken(overview, name))


def _taken(overview: Overview, name: str) -> str:
    """Whose name a VM has. A host is where its name says: who may name a VM must not decide where other hosts are."""
    if name in overview.nodes:
        return "a node has the same name"
    return "the name has a meaning of its own in inventories" if name in _RESERVED else ""


def _vm(name: str, vm: Vm, owner: str | None, observed: str, address_key: str) -> Host:
    networks = sorted({nic.bridge for nic in vm.nics})
    profile = vm.metadata.get("profile", "")
    facts = {
        "kind": "vm",
        "damaged": "",
        "uuid": vm.uuid,
        "state": vm.state,
        "observed": observed,
        "node": owner,
        "memory": vm.memory,
        "vcpus": vm.vcpus,
        "networks": networks,
        "macs": [nic.mac for nic in vm.nics],
        "tags": list(vm.tags),
        "profile": profile or None,
        "description": vm.description,
        "metadata": dict(vm.metadata),
    }
    groups = ["vms", f"state_{vm.state}", f"observed_{observed}"]
    if owner:
        groups.append(f"node_{owner}")
    groups += [f"tag_{tag}" for tag in vm.tags]
    groups += [f"network_{bridge}" for bridge in networks]
    if profile:
        groups.append(f"profile_{profile}")
    address = vm.metadata.get(address_key, "")
    return _with_address(Host(name, facts, "", groups), address)


def _damaged(name: str, owner: str | None, reason: str) -> Host:
    groups = ["vms", "damaged", *([f"node_{owner}"] if owner else [])]
    return Host(name, {"kind": "vm", "damaged": reason, "node": owner}, "", groups)


def _node(overview: Overview, name: str, network: str) -> Host:
    stored, alive = overview.nodes[name], name in overview.alive
    reported = overview.status.get(name)
    status = reported.value if reported else None
    addresses = dict(status.addresses) if status else {}
    node = stored.value
    facts = {
        "kind": "node",
        "damaged": stored.invalid,
        "state": node.state if node else None,
        "observed": "alive" if alive else "dead",
        "coordinator": node.coordinator if node else None,
        "memory": status.memory if status else None,
        "cpus": status.cpus if status else None,
        "networks": list(status.bridges) if status else [],
        "addresses": addresses,
        "agent": status.agent if status else None,
    }
    groups = ["nodes", f"observed_{facts['observed']}"]
    groups += [f"state_{node.state}"] if node else ["damaged"]
    groups += ["coordinators"] if node and node.coordinator else []
    return _with_address(Host(name, facts, "", groups), addresses.get(network, ""))


def _with_address(host: Host, address: str) -> Host:
    if address and not _ADDRESS.fullmatch(address):
        return Host(host.name, host.facts, "", host.groups, address)
    return Host(host.name, host.facts, address, host.groups)
