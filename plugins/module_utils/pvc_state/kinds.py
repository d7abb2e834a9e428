# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of objects that a cluster has, one entry for each: whatever handles all kinds handles them by this table.

A new kind needs an entry here and its name in ORDER; documents, plans, exports, the history and the editors' schema then
know it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from . import node_spec, rule_spec, settings_spec, vm_spec
from .codec import Stored
from .errors import InvalidRequest
from .option_export import node_options, rule_options, settings_options, vm_options
from .plan import Plan
from .plan_node import plan_nodes
from .plan_rules import plan_rules
from .plan_settings import plan_settings
from .plan_vm import plan_vms
from .requests import VmRequest
from .rule_report import desired_rule
from .snapshot import Snapshot
from .views import desired_node, desired_settings, desired_vm

View = Mapping[str, Any]

#: The key with which an object says itself which document it belongs to; empty: to none.
MARK = "document"


@dataclass(frozen=True)
class Circumstances:
    """What a plan of one kind has to know beside its requests.

    Attributes:
        cluster: name of the cluster; it matters where there is none yet.
        force: do what would leave too little room, or no node that takes VMs.
        coming: VMs that will be created beside it, each with its option ``node``.
        missing: the tree is not initialised yet.
    """

    cluster: str = ""
    force: bool = False
    coming: Mapping[str, str | None] = field(default_factory=dict)
    missing: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of objects.

    Attributes:
        name: what errors and plans call one of them. section: its key in documents.
        options: table of the options of one beside its name. excluded: those that documents do not take, with what to do
            instead: what is done once is no state.
        states: values of the option state that documents do not take, in the same way.
        request: from options, as the table gives them, to a request. plan: of all requests of the kind.
        records: of all, by name, damaged ones as well.
        views: what users decide of each that exists, by name. options_of: a view as options; ``full``: with defaults.
        single: there is one only, without a name.
    """

    name: str
    section: str
    options: Mapping[str, Mapping[str, Any]]
    request: Callable[[dict[str, Any]], Any]
    plan: Callable[[Snapshot, Sequence[Any], Circumstances], Plan]
    records: Callable[[Snapshot], Mapping[str, Stored[Any]]]
    views: Callable[[Snapshot], Mapping[str, View]]
    options_of: Callable[[View, bool], dict[str, Any]]
    excluded: Mapping[str, str] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    single: bool = False

    @cached_property
    def table(self) -> Mapping[str, Mapping[str, Any]]:
        """The options that documents take, the name first."""
        taken: dict[str, dict[str, Any]] = {
            key: dict(spec) for key, spec in self.options.items() if key not in self.excluded
        }
        if "state" in taken:
            taken["state"]["choices"] = [one for one in taken["state"]["choices"] if one not in self.states]
        return taken if self.single else {"name": {"type": "str", "required": True}, **taken, MARK: {"type": "str"}}

    def called(self, name: str) -> str:
        """An object in errors' words, such as ``vm web1``."""
        return self.name if self.single else f"{self.name} {name}"


def _settings(snapshot: Snapshot, requests: Sequence[Any], _about: Circumstances) -> Plan:
    (request,) = requests
    return plan_settings(snapshot, request)


def _nodes(snapshot: Snapshot, requests: Sequence[Any], about: Circumstances) -> Plan:
    if about.missing and not about.cluster:
        raise InvalidRequest(
            "it is missing, and the store holds no cluster yet",
            obj="document",
            option="cluster",
            remedy="name the cluster to be made, or check hosts and root",
        )
    name = about.cluster or snapshot.schema.cluster
    return plan_nodes(None if about.missing else snapshot, requests, name, force=about.force)


def _rules(snapshot: Snapshot, requests: Sequence[Any], about: Circumstances) -> Plan:
    return plan_rules(snapshot, requests, about.coming)


def _vms(snapshot: Snapshot, requests: Sequence[VmRequest], about: Circumstances) -> Plan:
    if about.force:
        requests = [one if one.state == "absent" else dataclasses.replace(one, force=True) for one in requests]
    return plan_vms(snapshot, requests)


def _vm_views(snapshot: Snapshot) -> Mapping[str, View]:
    sound = {name: stored.value for name, stored in snapshot.vms.items() if stored.value is not None}
    return {name: desired_vm(vm) for name, vm in sound.items() if vm.state != "absent"}


_NOW = "it is done once, and no state that a cluster could have: use the module pvc.cluster.{}"

SETTINGS = Kind(
    name="settings",
    section="settings",
    options=settings_spec.OPTIONS,
    request=settings_spec.request,
    plan=_settings,
    records=lambda snapshot: {"": snapshot.settings} if snapshot.settings is not None else {},
    views=lambda snapshot: {"": desired_settings(snapshot.policy)},
    options_of=settings_options,
    single=True,
)
NODE = Kind(
    name="node",
    section="nodes",
    options=node_spec.OPTIONS,
    request=node_spec.request,
    plan=_nodes,
    records=lambda snapshot: snapshot.nodes,
    views=lambda snapshot: {
        name: desired_node(stored.value) for name, stored in snapshot.nodes.items() if stored.value is not None
    },
    options_of=node_options,
    excluded={"declared_dead": _NOW.format("node"), "return_vms": _NOW.format("node")},
)
RULE = Kind(
    name="rule",
    section="rules",
    options=rule_spec.OPTIONS,
    request=rule_spec.request,
    plan=_rules,
    records=lambda snapshot: snapshot.rules,
    views=lambda snapshot: {
        name: desired_rule(stored.value) for name, stored in snapshot.rules.items() if stored.value is not None
    },
    options_of=rule_options,
)
VM = Kind(
    name="vm",
    section="vms",
    options=vm_spec.OPTIONS,
    request=vm_spec.request,
    plan=_vms,
    records=lambda snapshot: snapshot.vms,
    views=_vm_views,
    options_of=vm_options,
    excluded={
        "new_name": _NOW.format("vm"),
        "remove_tags": "leave the tag out of tags and protected_tags, or use the module pvc.cluster.vm",
        "force": "give force of the whole document",
    },
    states={"restarted": _NOW.format("vm"), "reset": _NOW.format("vm")},
)

#: All kinds, in the order of what rests on what: each is planned on what those before it will have made.
ORDER = (NODE, SETTINGS, RULE, VM)

#: All kinds by the names that changes have.
BY_NAME: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in ORDER})
