# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lists of the cluster's machines need of it, in fewer reads than a snapshot; no decision may rest on it.

Two thirds of what a snapshot reads can be spared:

- A VM's record depends on the revision of the desired state alone: only commits of users write it, and each of them writes
  /journal in the same transaction. So ``Records`` that were read at one transaction of /journal are true while that is its last
  one, however old they are. An agent removes a record without raising the journal, so which VMs there are is read anew each
  time, and so is everything that agents write.
- Who has a VM's claim stands in /assigned, too, in the same transaction: one read for each node instead of one for each VM. A
  VM that is listed for two nodes is on its way from one to the other, and one that is listed for none has just moved: the claims
  of these are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from . import paths
from .codec import Stored, stored
from .errors import Conflict
from .records import Alive, Claim, Node, NodeStatus, Schema, Vm
from .snapshot import ATTEMPTS, load_schema
from .staging import settle
from .store import Store, Znode

T = TypeVar("T")


@dataclass(frozen=True)
class Revision:
    """Which state of the desired records something was read at; equal ones are the same state.

    Attributes:
        cluster: Schema.id. created: the transaction that made /journal: it tells a tree from one that was made anew.
        number: the version of the empty /journal.
        transaction: the one that last changed it: a tree that was put back to a backup gets other ones than it had.
    """

    cluster: str
    created: int
    number: int
    transaction: int


@dataclass(frozen=True)
class Records:
    """The bytes of all VMs' records at one revision."""

    revision: Revision
    vms: Mapping[str, bytes]


@dataclass(frozen=True)
class Selection:
    """Which VMs to read.

    Attributes:
        vms: whether any. named: whether a name is of interest. nodes: only VMs that belong to one of these; empty: all.
    """

    vms: bool = True
    named: Callable[[str], bool] | None = None
    nodes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Overview:
    """The cluster's machines.

    Attributes:
        records: what may spare the next load the VMs' records; None when not all of them were read.
        read: how many records of VMs were read from the store.
        owners: the node that has the claim of each VM; one whose claim is damaged is missing.
    """

    schema: Schema
    revision: Revision
    records: Records | None
    read: int
    nodes: Mapping[str, Stored[Node]]
    status: Mapping[str, Stored[NodeStatus]]
    alive: Mapping[str, Stored[Alive]]
    vms: Mapping[str, Stored[Vm]]
    owners: Mapping[str, str]

    def reports_now(self, node: str) -> NodeStatus | None:
        """What the agent of a node reports; None when it is not alive, or what stands there is of another boot."""
        alive, status = self.alive.get(node), self.status.get(node)
        if alive is None or alive.value is None or status is None or status.value is None:
            return None
        return status.value if status.value.boot_id == alive.value.boot_id else None


def load(store: Store, selection: Selection = Selection(), known: Records | None = None) -> Overview:
    """Read the machines of the cluster; finishes a pending journal first.

    Args:
        selection: which VMs are of interest; nodes are always read, since there are few.
        known: records of an earlier load; used if they are of the present revision.

    Raises what ``snapshot.load()`` does.
    """
    store.sync()
    for _turn in range(ATTEMPTS):
        schema, _version = load_schema(store)
        number = settle(store)
        before = store.get(paths.JOURNAL)
        if before is None or before.version != number:
            continue
        revision = Revision(schema.id, before.czxid, number, before.mzxid)
        overview = _read(store, schema, revision, selection, known if known and known.revision == revision else None)
        after = store.get(paths.JOURNAL)
        if after is not None and after.mzxid == revision.transaction:
            return overview
    raise Conflict(
        f"others changed the cluster during {ATTEMPTS} attempts to read it", remedy="try again when fewer jobs run"
    )


def _read(store: Store, schema: Schema, revision: Revision, selection: Selection, known: Records | None) -> Overview:
    nodes = store.children(paths.NODES) or []
    alive = store.children(paths.ALIVE) or []
    names = store.children(paths.VMS) or [] if selection.vms else []
    owners = _owners(store, names, nodes)
    wanted = [
        name
        for name in names
        if (not selection.nodes or owners.get(name) in selection.nodes)
        and (selection.named is None or selection.named(name))
    ]
    have = known.vms if known else {}
    missing = [name for name in wanted if name not in have]
    several = [
        *map(paths.node, nodes),
        *map(paths.status, nodes),
        *map(paths.alive, alive),
        *map(paths.vm, missing),
    ]
    znodes = iter(store.get_many(several))
    found_nodes, found_status, found_alive, found_vms = (
        _found(group, znodes) for group in (nodes, nodes, alive, missing)
    )
    raw = {
        **{name: have[name] for name in wanted if name in have},
        **{name: znode.data for name, znode in found_vms.items()},
    }
    all_of_them = selection.vms and not selection.nodes and selection.named is None
    return Overview(
        schema=schema,
        revision=revision,
        records=Records(revision, raw) if all_of_them else known,
        read=len(missing),
        nodes=_records(Node, found_nodes),
        status=_records(NodeStatus, found_status),
        alive=_records(Alive, found_alive),
        vms={name: stored(Vm, Znode(raw[name], 0, 0, 0, 0)) for name in wanted if name in raw},
        owners=owners,
    )


def _owners(store: Store, names: Sequence[str], nodes: Sequence[str]) -> dict[str, str]:
    """Who has the claim of each VM."""
    if not names:
        return {}
    listed: dict[str, list[str]] = {name: [] for name in names}
    for node in nodes:
        for vm in store.children(paths.assigned(node)) or []:
            if vm in listed:
                listed[vm].append(node)
    owners = {vm: where[0] for vm, where in listed.items() if len(where) == 1}
    unclear = [vm for vm, where in listed.items() if len(where) != 1]
    for vm, znode in zip(unclear, store.get_many([paths.claim(vm) for vm in unclear]), strict=True):
        claim = stored(Claim, znode).value if znode is not None else None
        if claim is not None:
            owners[vm] = claim.node
    return owners


def _found(names: Sequence[str], znodes: Iterator[Znode | None]) -> dict[str, Znode]:
    found = ((name, next(znodes)) for name in names)
    return {name: znode for name, znode in found if znode is not None}


def _records(cls: type[T], znodes: Mapping[str, Znode]) -> Mapping[str, Stored[T]]:
    return {name: stored(cls, znode) for name, znode in znodes.items()}
