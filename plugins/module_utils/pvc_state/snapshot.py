# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One immutable view of the whole cluster. Decisions read the snapshot, never the store.

Every user's commit raises the version of /journal, so a snapshot whose reading began and ended at the same version of
an empty journal shows one state of the desired records, never a mixture of two. Agents' own writes do not raise it:
status may be as old as its read, and a VM that its agent has just removed may still be there with its claim.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeVar

from . import paths, staging
from .codec import Stored, stored
from .errors import Conflict, DamagedRecord, SchemaMismatch
from .records import (
    SCHEMA_SUPPORTED,
    Alive,
    Claim,
    Declaration,
    Fence,
    Health,
    Leader,
    Node,
    NodeStatus,
    Rule,
    Schema,
    Settings,
    Vm,
)
from .store import Store, Watch, Znode

T = TypeVar("T")

#: How often a load starts again because others committed meanwhile.
ATTEMPTS = 100


class NotInitialised(SchemaMismatch):
    """The tree is empty. ``root`` tells whether at least its root exists."""

    def __init__(self, *, root: bool) -> None:
        self.root = root
        missing = "holds no cluster" if root else "has no such root"
        super().__init__(
            f"the store {missing}: /schema does not exist",
            option="root",
            remedy="check the root, or declare the cluster's nodes first, which initialises it",
        )


@dataclass(frozen=True)
class Snapshot:
    """The cluster as it was read, with the versions that a plan's operations name.

    Attributes:
        schema: which cluster it is. schema_version: data version of /schema.
        journal: data version of the empty /journal: the revision of the desired state.
        settings: None where the tree has none yet: then the defaults hold, see ``policy``.
    """

    schema: Schema
    schema_version: int
    journal: int
    nodes: Mapping[str, Stored[Node]]
    status: Mapping[str, Stored[NodeStatus]]
    alive: Mapping[str, Stored[Alive]]
    health: Mapping[str, Stored[Health]]
    vms: Mapping[str, Stored[Vm]]
    claims: Mapping[str, Stored[Claim]]
    settings: Stored[Settings] | None = None
    rules: Mapping[str, Stored[Rule]] = field(default_factory=dict)
    fences: Mapping[str, Stored[Fence]] = field(default_factory=dict)
    declared: Mapping[str, Stored[Declaration]] = field(default_factory=dict)

    @property
    def policy(self) -> Settings:
        """The cluster's settings; the defaults where there are none, or they are damaged."""
        return self.settings.value if self.settings is not None and self.settings.value is not None else Settings()

    @cached_property
    def reserved(self) -> Mapping[str, int]:
        """MiB of each node that VMs hold: those it has the claim of, running or not, and those on their way to it."""
        sums: dict[str, int] = {}
        for name, vm in self.vms.items():
            if vm.value is not None:
                for node in self.places(name, vm.value):
                    sums[node] = sums.get(node, 0) + vm.value.memory
        return MappingProxyType(sums)

    def places(self, name: str, vm: Vm) -> Iterator[str]:
        """The nodes that must have room for a VM: the owner of its claim, and those that it is to move to."""
        stored_claim = self.claims.get(name)
        claim = stored_claim.value if stored_claim else None
        wanted = {vm.node} if vm.node is not None else set()
        if claim is not None:
            wanted |= {claim.node, claim.to} - {""}
        yield from sorted(wanted)

    def report(self, node: str) -> NodeStatus | None:
        """What a node's agent reports, None if nothing or damaged."""
        status = self.status.get(node)
        return status.value if status else None

    def owner(self, name: str) -> str | None:
        """The node that has the claim of a VM, None if nobody has or the claim is damaged."""
        claim = self.claims.get(name)
        return claim.value.node if claim and claim.value else None

    def target(self, name: str) -> str | None:
        """The node that a VM is on its way to, None if it stays."""
        claim = self.claims.get(name)
        return (claim.value.to or None) if claim and claim.value else None


def empty(schema: Schema) -> Snapshot:
    """A cluster that holds nothing yet."""
    nothing: MappingProxyType[str, Any] = MappingProxyType({})
    return Snapshot(schema, 0, 0, nothing, nothing, nothing, nothing, nothing, nothing)


def load(store: Store, vms: Collection[str] | None = None) -> Snapshot:
    """Read the whole tree; finishes a pending journal first.

    Args:
        vms: read only these VMs (those of them that exist) with all nodes: enough to show them, or to see that nothing
            about them is to change, but not to change anything, since what other VMs use is unknown.

    Raises:
        NotInitialised: there is no tree.
        SchemaMismatch: it is of a version that this software does not read.
        Conflict: others committed during every attempt.
    """
    store.sync()
    for _turn in range(ATTEMPTS):
        schema, schema_version = load_schema(store)
        journal = staging.settle(store)
        snapshot = _read(store, schema, schema_version, journal, vms)
        after = store.get(paths.JOURNAL)
        if after is not None and after.version == journal:
            return snapshot
    raise Conflict(
        f"others changed the cluster during {ATTEMPTS} attempts to read it", remedy="try again when fewer jobs run"
    )


def load_schema(store: Store) -> tuple[Schema, int]:
    """The tree's schema and its data version; raises when this software must not touch the tree."""
    znode = store.get(paths.SCHEMA)
    if znode is None:
        raise NotInitialised(root=store.get("/") is not None)
    schema = stored(Schema, znode)
    if schema.value is None:
        raise DamagedRecord(
            f"it holds no valid record: {schema.invalid}",
            obj=f"znode {paths.SCHEMA}",
            remedy="restore it; everything else depends on it",
        )
    if schema.value.version not in SCHEMA_SUPPORTED:
        supported = f"{SCHEMA_SUPPORTED.start} to {SCHEMA_SUPPORTED.stop - 1}"
        raise SchemaMismatch(
            f"the tree is of schema version {schema.value.version}, this software knows {supported}",
            obj=f"znode {paths.SCHEMA}",
            remedy="use a release of pvc.cluster that knows it, on the controller and on every node",
        )
    return schema.value, schema.version


def load_leader(store: Store, watch: Watch | None = None) -> str:
    """The node whose agent leads, empty for none. No decision rests on it, so no snapshot holds it."""
    znode = store.get(paths.LEADER, watch)
    leader = stored(Leader, znode).value if znode is not None else None
    return leader.node if leader is not None else ""


def _read(store: Store, schema: Schema, schema_version: int, journal: int, only: Collection[str] | None) -> Snapshot:
    nodes = store.children(paths.NODES) or []
    alive = store.children(paths.ALIVE) or []
    vms = store.children(paths.VMS) or [] if only is None else sorted(filter(paths.NAME.fullmatch, set(only)))
    wanted = [paths.node(name) for name in nodes]
    wanted += [paths.status(name) for name in nodes]
    wanted += [paths.alive(name) for name in alive]
    wanted += [paths.health(name) for name in nodes]
    # Claims before VMs: an agent removes both at once, so a VM that is still there after its claim was not lacks it.
    wanted += [paths.claim(name) for name in vms]
    wanted += [paths.vm(name) for name in vms]
    rules, fences, declared = (store.children(path) or [] for path in (paths.RULES, paths.FENCES, paths.DECLARED))
    wanted += [paths.rule(name) for name in rules]
    wanted += [paths.fence(name) for name in fences]
    wanted += [paths.declared(name) for name in declared]
    wanted.append(paths.SETTINGS)
    znodes = iter(store.get_many(wanted))
    found = Snapshot(
        schema=schema,
        schema_version=schema_version,
        journal=journal,
        nodes=_records(Node, nodes, znodes),
        status=_records(NodeStatus, nodes, znodes),
        alive=_records(Alive, alive, znodes),
        health=_records(Health, nodes, znodes),
        claims=_records(Claim, vms, znodes),
        vms=_records(Vm, vms, znodes),
        rules=_records(Rule, rules, znodes),
        fences=_records(Fence, fences, znodes),
        declared=_records(Declaration, declared, znodes),
    )
    settings = next(znodes)
    if settings is not None:
        found = dataclasses.replace(found, settings=stored(Settings, settings))
    claims = {name: claim for name, claim in found.claims.items() if name in found.vms}
    return dataclasses.replace(found, claims=MappingProxyType(claims))


def _records(cls: type[T], names: Sequence[str], znodes: Iterator[Znode | None]) -> Mapping[str, Stored[T]]:
    found = ((name, next(znodes)) for name in names)
    return MappingProxyType({name: stored(cls, znode) for name, znode in found if znode is not None})
