# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of the whole tree, kept by watches: what none of them has named is not read again.

Consistency is that of ``pvc_state.snapshot.load``. Each refresh notes the version of the empty journal, lets the store call
every watch that is due (``sync``), reads what they have named, and looks at the journal again. What no watch named was
read earlier and has not changed up to the sync; what one named was read after it. As every commit of users
raises the journal's version, an unchanged one means that all desired records were read as they were together. Otherwise
nothing is published, and the next try reads only what changed meanwhile.

What agents and the leader write by themselves does not raise it: a status may be older than a claim beside it. That
costs a refused write at most, since each names the versions that its decision rests on.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from pvc_state import paths, staging
from pvc_state.codec import Stored, stored
from pvc_state.errors import Conflict
from pvc_state.records import (
    Alive,
    Claim,
    Declaration,
    Fence,
    Health,
    Node,
    NodeStatus,
    Rule,
    Settings,
    Vm,
)
from pvc_state.snapshot import Snapshot, empty, load_schema
from pvc_state.store import Store, Watch, Znode

#: Parents of records: all that is below them is copied, by the name of the snapshot's field.
_KINDS: Mapping[str, type] = MappingProxyType(
    {
        "nodes": Node,
        "status": NodeStatus,
        "alive": Alive,
        "health": Health,
        "claims": Claim,
        "vms": Vm,
        "rules": Rule,
        "fences": Fence,
        "declared": Declaration,
    }
)
_PARENTS: Mapping[str, str] = MappingProxyType(
    {
        paths.NODES: "nodes",
        paths.STATUS: "status",
        paths.ALIVE: "alive",
        paths.HEALTH: "health",
        paths.CLAIMS: "claims",
        paths.VMS: "vms",
        paths.RULES: "rules",
        paths.FENCES: "fences",
        paths.DECLARED: "declared",
    }
)
#: Of these only the records count whose name is also among the others.
_ONLY_WITH: Mapping[str, str] = MappingProxyType({"status": "nodes", "health": "nodes", "claims": "vms"})

#: How often a refresh starts again because users committed meanwhile.
_ATTEMPTS = 100

Records = Mapping[str, Stored[Any]]


class Mirror:
    """The copy, for as long as the leader's sight of the store lasts; after that a new one is made.

    Args:
        touched: called from any thread when there is something to refresh.
    """

    def __init__(self, store: Store, touched: Callable[[], None]) -> None:
        self._store = store
        self._tell = touched
        self._lock = threading.Lock()
        self._touched: set[str] = {*_PARENTS, paths.SCHEMA, paths.SETTINGS, paths.JOURNAL}
        self._all: dict[str, Records] = {field: MappingProxyType({}) for field in _KINDS}
        self._settings: Stored[Settings] | None = None
        self._snapshot: Snapshot | None = None
        self._schema = empty(load_schema(store)[0])

    def refresh(self) -> Snapshot | None:
        """The tree as it is now, None when nothing of it has changed since the last call.

        What did not change keeps its identity: the record, and the mapping of all of its kind.

        Raises:
            StoreError, SchemaMismatch, DamagedRecord: as ``snapshot.load`` does; the mirror is of no use any more.
        """
        with self._lock:
            if not self._touched:
                return None
        for _turn in range(_ATTEMPTS):
            journal = staging.settle(self._store)
            self._store.sync()
            with self._lock:
                touched, self._touched = self._touched, set()
            self._read(touched)
            after = self._store.get(paths.JOURNAL, self._fired)
            if after is not None and after.version == journal:
                return self._published(journal)
        raise Conflict(f"others changed the cluster during {_ATTEMPTS} attempts to read it")

    def _fired(self, path: str) -> None:
        with self._lock:
            self._touched.add(path)
        self._tell()

    # --- reading ------------------------------------------------------------------------------------------------------

    def _read(self, touched: set[str]) -> None:
        watch: Watch = self._fired
        if paths.SCHEMA in touched:
            self._store.get(paths.SCHEMA, watch)
            schema, version = load_schema(self._store)
            self._schema = dataclasses.replace(self._schema, schema=schema, schema_version=version)
        if paths.SETTINGS in touched:
            znode = self._store.get(paths.SETTINGS, watch)
            self._settings = None if znode is None else _renewed(Settings, znode, self._settings)
        names: dict[str, list[str]] = {}
        wanted: dict[str, tuple[str, str]] = {}
        for parent, field in _PARENTS.items():
            known = self._all[field]
            if parent in touched:
                names[field] = self._store.children(parent, watch) or []
                new = (name for name in names[field] if name not in known)
                wanted.update({f"{parent}/{name}": (field, name) for name in new})
        for path in sorted(touched):
            parent, _slash, name = path.rpartition("/")
            if parent in _PARENTS:
                wanted[path] = (_PARENTS[parent], name)
        self._read_records(names, wanted)
        # an agent removes a VM and its claim at once: only a VM that is still there after its claim was not lacks it
        bare = self._all["vms"].keys() - self._all["claims"].keys()
        if bare:
            self._read_records({}, {paths.vm(name): ("vms", name) for name in sorted(bare)})

    def _read_records(self, names: Mapping[str, list[str]], wanted: Mapping[str, tuple[str, str]]) -> None:
        """Read records, by path, and make the copy what was read.

        Args:
            names: of all records of a kind, for the kinds that were listed anew.
        """
        znodes = self._store.get_many(list(wanted), self._fired)
        changes: dict[str, dict[str, Stored[Any] | None]] = {}
        for (field, name), znode in zip(wanted.values(), znodes, strict=True):
            before = self._all[field].get(name)
            record = None if znode is None else _renewed(_KINDS[field], znode, before)
            if record is not before:
                changes.setdefault(field, {})[name] = record
        for field in {*names, *changes}:
            self._change(field, names.get(field), changes.get(field, {}))

    def _change(self, field: str, names: list[str] | None, changes: Mapping[str, Stored[Any] | None]) -> None:
        before = self._all[field]
        merged = {**before, **changes}
        present = sorted(merged) if names is None else names
        after = {name: record for name in present if (record := merged.get(name)) is not None}
        if changes or after.keys() != before.keys():
            self._all[field] = MappingProxyType(after)

    # --- publishing ---------------------------------------------------------------------------------------------------

    def _published(self, journal: int) -> Snapshot | None:
        before = self._snapshot
        shown: dict[str, Any] = {}
        for field, records in self._all.items():
            other = _ONLY_WITH.get(field)
            shown[field] = records if other is None else _only_with(records, self._all[other])
            if before is not None and _same(shown[field], getattr(before, field)):
                shown[field] = getattr(before, field)
        snapshot = dataclasses.replace(self._schema, journal=journal, settings=self._settings, **shown)
        parts = (*_KINDS, "schema", "settings")
        if before is not None and before.journal == journal and _identical(snapshot, before, parts):
            return None
        self._snapshot = snapshot
        return snapshot


def _renewed(cls: type, znode: Znode, before: Stored[Any] | None) -> Stored[Any]:
    """The record in a znode: the same object as before when it is the same write."""
    if before is not None and (before.version, before.mzxid) == (znode.version, znode.mzxid):
        return before
    return stored(cls, znode)


def _only_with(records: Records, others: Records) -> Records:
    if records.keys() <= others.keys():
        return records
    return MappingProxyType({name: record for name, record in records.items() if name in others})


def _same(one: Records, other: Records) -> bool:
    """Whether both hold the same objects."""
    return one is other or (one.keys() == other.keys() and all(one[name] is other[name] for name in one))


def _identical(one: Snapshot, other: Snapshot, fields: Iterable[str]) -> bool:
    return all(getattr(one, field) is getattr(other, field) for field in fields)
