# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: pvc
short_description: Virtual machines and nodes of a cluster as hosts
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Reads a cluster's VMs and nodes from its ZooKeeper, on the controller, and makes each of them a host.
  - The name of its file is C(pvc.yml), C(pvc.yaml), or ends in C(.pvc.yml) or C(.pvc.yaml).
  - Every host has one variable, C(pvc), with what is known of it, and C(ansible_host) where its address is known. What is in it
    was written by the cluster's users, and is never taken for a template.
  - Groups, each with O(group_prefix) in front, are C(vms), C(nodes) and C(coordinators); C(state_STATE) by what is wanted;
    C(observed_STATE) by what is, as the agents report it, C(unknown) while the agent of a VM's node does not live;
    C(node_NODE) with the VMs that belong to it; C(tag_TAG); C(network_BRIDGE) by the bridges of a VM's interfaces;
    C(profile_PROFILE) by the key C(profile) of its metadata; and C(damaged) for those whose record cannot be read.
    What cannot be in a group's name becomes an underscore. More come from O(keyed_groups) and O(groups).
  - A VM with the name of one of the cluster's nodes is left out with a warning, also where O(only) does not show nodes. So is
    one that is named V(localhost), V(all) or V(ungrouped).
extends_documentation_fragment:
  - pvc.cluster.connection.plugin
  - ansible.builtin.constructed
options:
  plugin:
    description: Tells that the file is for this plugin.
    type: str
    required: true
    choices: [pvc.cluster.pvc]
  only:
    description:
      - Only the hosts that all of these let through. What can be told without reading a VM's record (all but C(states) and C(tags))
        also spares reading it.
    type: dict
    default: {}
    suboptions:
      kinds:
        description: Only hosts of these kinds.
        type: list
        elements: str
        choices: [vm, node]
      nodes:
        description: Only these nodes, and VMs that belong to one of them.
        type: list
        elements: str
      states:
        description: Only VMs and nodes of which one of these states is wanted.
        type: list
        elements: str
      tags:
        description: Only VMs that have all of these tags. Nodes have none.
        type: list
        elements: str
      names:
        description: Only hosts whose names match one of these shell patterns.
        type: list
        elements: str
  group_prefix:
    description: What the names of the plugin's own groups begin with.
    type: str
    default: pvc_
  network:
    description:
      - The network in whose address a node is reached.
      - Nodes report an address in each of the cluster's networks, C(pvc_networks) of the inventory that has deployed them.
    type: str
    default: upstream
  address_key:
    description:
      - The key of a VM's metadata that holds its address, or its name in the DNS.
      - Without it, the VM's own name is used, as Ansible always does.
    type: str
    default: address
  cache_records:
    description:
      - Keep what was read of the VMs' records in O(cache_directory), and use it as long as it is true.
      - It is not a matter of age. What was kept is used if the cluster's journal still is at the transaction that it was read at, as
        every change of what is wanted is a transaction of the journal. Which VMs there are, where they are and how they are is
        read anew each time.
    type: bool
    default: true
    env:
      - name: ANSIBLE_INVENTORY_CACHE
    ini:
      - section: inventory
        key: cache
  cache_directory:
    description: Where that is kept, in a file for each cluster that only its user may read.
    type: path
    default: '{{ ANSIBLE_HOME ~ "/pvc_inventory" }}'
    env:
      - name: PVC_CACHE_DIRECTORY
notes:
  - Paths in its file are relative to it. Values of the connection options in it may be templates, such as lookups, and may be
    encrypted with Ansible Vault.
seealso:
  - module: pvc.cluster.vm_info
  - module: pvc.cluster.node_info
"""

EXAMPLES = r"""
# pvc.yml: everything; the connection comes from PVC_HOSTS, PVC_PASSWORD and the other environment variables
plugin: pvc.cluster.pvc

---
# web.pvc.yml: VMs with the tag web that should run, one group for each value of the key "role" of their metadata
plugin: pvc.cluster.pvc
hosts: ["10.20.1.11:2281", "10.20.1.12:2281", "10.20.1.13:2281"]
password: "{{ lookup('ansible.builtin.env', 'MY_PASSWORD') }}"
ca_file: .pvc/ca.pem
cert_file: .pvc/admin.pem
key_file: .pvc/admin.key
only:
  kinds: [vm]
  states: [started]
  tags: [web]
keyed_groups:
  - key: pvc.metadata.role
    prefix: role
compose:
  ansible_user: pvc.metadata.user | default('root')
groups:
  large: pvc.memory >= 16384
"""

import hashlib
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Constructable
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import inventory as hosts_of
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state import kazoo_store, overview, overview_cache
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.connection import Connection
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.errors import InvalidRequest, PvcError
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.reasons import closest

if t.TYPE_CHECKING:
    from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.store import Store

#: Options of Connection, by their names here.
CONNECTION = ("hosts", "root", "username", "password", "tls", "ca_file", "cert_file", "key_file", "connect_timeout")
FILES = ("ca_file", "cert_file", "key_file", "cache_directory")
NAMES = ("pvc.yml", "pvc.yaml")


class InventoryModule(BaseInventoryPlugin, Constructable):
    """Translates: options into a connection and filters, machines into hosts and groups, errors into Ansible's."""

    NAME = "pvc.cluster.pvc"

    #: Opens the store that the connection options describe.
    connect: t.Callable[[Connection], Store] = staticmethod(kazoo_store.connect)

    def verify_file(self, path: str) -> bool:
        """Whether a file is one of this plugin, by its name."""
        name = Path(path).name
        return super().verify_file(path) and (name in NAMES or name.endswith(tuple(f".{end}" for end in NAMES)))

    def parse(self, inventory: t.Any, loader: t.Any, path: str, cache: bool = True) -> None:
        """Read the cluster and add its machines."""
        super().parse(inventory, loader, path)
        config = self._read_config_data(path)
        try:
            self._configure(config, Path(path))
            only = self._only()
            found = self._load(only, fresh=not cache)
        except PvcError as err:
            raise AnsibleParserError(f"{path}: {err}") from err
        self._populate(hosts_of.hosts(found, only, self.get_option("network"), self.get_option("address_key")))

    # --- options ----------------------------------------------------------------------------------------------------

    def _configure(self, config: Mapping[str, t.Any], path: Path) -> None:
        """Refuse what is no option; resolve templates and paths of the others."""
        _refuse_unknown(config, self.get_options(), "")
        for name in (*CONNECTION, *FILES):
            if name in config:
                self.set_option(name, self._resolved(name, config[name], path))

    def _resolved(self, name: str, value: t.Any, path: Path) -> t.Any:
        try:
            value = self.templar.template(value)
        except Exception as err:
            raise InvalidRequest(f"it cannot be evaluated: {err}", option=name, remedy="correct the template") from err
        if name in FILES and isinstance(value, str):
            return str(path.absolute().parent / Path(value).expanduser())
        return value

    def _only(self) -> hosts_of.Only:
        given = self.get_option("only") or {}
        keys = hosts_of.Only.__dataclass_fields__
        _refuse_unknown(given, keys, "only.")
        values = {key: _texts(f"only.{key}", value) for key, value in given.items()}
        for kind in values.get("kinds", ()):
            if kind not in hosts_of.KINDS:
                raise InvalidRequest(
                    f"{kind!r} is no kind of host", option="only.kinds", remedy=f"use {' or '.join(hosts_of.KINDS)}"
                )
        return hosts_of.Only(**values)

    def _connection(self) -> Connection:
        options = {name: self.get_option(name) for name in CONNECTION}
        options = {name: value for name, value in options.items() if value is not None}
        hosts = _texts("hosts", options.pop("hosts"))
        # Plain strings: whatever Ansible has tagged them with is of no use to a client of ZooKeeper.
        plain = {name: str(value) if isinstance(value, str) else value for name, value in options.items()}
        return Connection(hosts=hosts, patience=options["connect_timeout"], **plain)

    # --- reading ----------------------------------------------------------------------------------------------------

    def _load(self, only: hosts_of.Only, fresh: bool) -> overview.Overview:
        if not kazoo_store.HAS_KAZOO:
            raise PvcError("the Python library kazoo is missing on the controller", remedy="install kazoo 2.8 or later")
        connection = self._connection()
        connection.check()
        file = self._cache_file(connection)
        known = overview_cache.read(file) if file and not fresh else None
        store = self.connect(connection)
        try:
            found = overview.load(store, only.selection(), known)
        finally:
            store.close()
        self.display.vvv(f"{len(found.vms)} VMs of which {found.read} were read, at {found.revision}")
        if file and found.records is not None and found.records is not known and found.read:
            try:
                overview_cache.write(file, found.records)
            except OSError as err:
                self.display.vvv(f"nothing is kept for the next time: {err}")
        return found

    def _cache_file(self, connection: Connection) -> Path | None:
        if not self.get_option("cache_records"):
            return None
        which = "\n".join([*sorted(connection.hosts), connection.root])
        return Path(self.get_option("cache_directory")) / f"{hashlib.sha256(which.encode()).hexdigest()[:16]}.json"

    # --- writing ----------------------------------------------------------------------------------------------------

    def _populate(self, hosts: t.Iterable[hosts_of.Host]) -> None:
        """Add hosts, groups and variables.

        With ten thousand hosts, most of the time would go into doing for each value and each membership what needs to be
        done once for each group: so hosts get their variables in one piece, and groups their hosts directly.
        """
        groups: dict[str, t.Any] = {}
        prefix = self.get_option("group_prefix")
        constructed = any(self.get_option(name) for name in ("compose", "groups", "keyed_groups"))
        for host in hosts:
            kind = host.facts["kind"]
            if host.taken:
                self.display.warning(f"{kind} {host.name}: {host.taken}: it is left out")
                continue
            if host.refused:
                self.display.warning(f"{kind} {host.name}: {host.refused!r} is no address: it is not used")
            self.inventory.add_host(host.name)
            entry = self.inventory.hosts[host.name]
            entry.vars["pvc"] = host.facts
            if host.address:
                entry.vars["ansible_host"] = host.address
            for name in host.groups:
                if name not in groups:
                    full = self.inventory.add_group(self._sanitize_group_name(f"{prefix}{name}"))
                    groups[name] = self.inventory.groups[full]
                groups[name].add_host(entry)
            if constructed:
                self._construct(host.name, entry.vars)

    def _construct(self, name: str, variables: Mapping[str, t.Any]) -> None:
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
        self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)


def _refuse_unknown(given: t.Any, known: t.Iterable[str], where: str) -> None:
    if not isinstance(given, Mapping):
        raise InvalidRequest("it is no mapping", option=where.rstrip("."), remedy="give keys with values")
    for key in given:
        if key not in known:
            remedy = closest(f"{where}{key}", [f"{where}{one}" for one in known])
            raise InvalidRequest("there is no such option", option=f"{where}{key}", remedy=remedy)


def _texts(option: str, value: t.Any) -> tuple[str, ...]:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(one, str) and one for one in values):
        raise InvalidRequest(f"{value!r} is no list of names", option=option, remedy="give a list of names")
    return tuple(str(one) for one in values)
