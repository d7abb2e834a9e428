# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tree of the in-memory store: znodes, versions, access control, and transactions that hold or leave no trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from .store import ANYONE, Access, Check, CommitRefused, Create, Delete, Op, Refused, Set, Znode

#: What is open to everybody.
OPEN = Access(frozenset({ANYONE}))


class Denied(Exception):
    """The identity may not do this to the znode."""


class Seen(Enum):
    """What a watch may wait for."""

    DATA = "data"
    CHILDREN = "children"


class Event(NamedTuple):
    """A change that watches wait for."""

    seen: Seen
    path: str


@dataclass
class _Node:
    data: bytes
    version: int
    czxid: int
    mzxid: int
    owner: int
    access: Access
    # a dict as an ordered set: the same history gives the same order
    children: dict[str, None] = field(default_factory=dict)


def _split(path: str) -> tuple[str, str]:
    parent, _separator, name = path.rpartition("/")
    return parent or "/", name


class Tree:
    """Znodes by path. ``zxid`` counts the transactions that the servers ordered."""

    def __init__(self) -> None:
        self.zxid = 0
        self._nodes = {"/": _Node(b"", 0, 0, 0, 0, OPEN)}
        self._ephemerals: dict[int, dict[str, None]] = {}

    def read(self, path: str, identity: str) -> Znode | None:
        """One znode; raises Denied."""
        node = self._nodes.get(path)
        if node is None:
            return None
        _permit_reading(node, identity)
        return Znode(node.data, node.version, node.czxid, node.mzxid, node.owner)

    def children(self, path: str, identity: str) -> list[str] | None:
        """Sorted names below a znode; raises Denied."""
        node = self._nodes.get(path)
        if node is None:
            return None
        _permit_reading(node, identity)
        return sorted(node.children)

    def below(self, path: str) -> list[str]:
        """A znode that exists and all those below it."""
        node = self._nodes[path]
        found = [path]
        for name in sorted(node.children):
            found += self.below(f"{path.rstrip('/')}/{name}")
        return found

    def access(self, path: str) -> Access | None:
        """Who may use a znode; None if it does not exist."""
        node = self._nodes.get(path)
        return node.access if node is not None else None

    def grant(self, path: str, access: Access, identity: str) -> None:
        """Change it, if the znode exists; raises Denied."""
        node = self._nodes.get(path)
        if node is not None:
            _permit(node, identity)
            node.access = access

    def inherited(self, root: str, identity: str) -> Access:
        """What somebody creates below a root is given."""
        node = self._nodes.get(root)
        if node is not None and identity and identity in node.access.owners:
            return node.access
        return Access(frozenset({identity})) if identity else OPEN

    def apply(self, ops: Sequence[Op], session: int, identity: str, given: Access) -> list[Event]:
        """Do all operations or none; raises CommitRefused or Denied. Returns what watches may wait for.

        Args:
            given: access of what is created.
        """
        self.zxid += 1
        events: list[Event] = []
        undo: list[Callable[[], None]] = []
        try:
            for op in ops:
                self._apply(op, session, identity, given, events, undo)
        except (CommitRefused, Denied):
            for step in reversed(undo):
                step()
            raise
        return events

    def end_session(self, session: int) -> list[Event]:
        """Remove a session's ephemerals, in the order in which they were made."""
        self.zxid += 1
        events: list[Event] = []
        for path in list(self._ephemerals.get(session, ())):
            self._remove(path, events, [])
        self._ephemerals.pop(session, None)
        return events

    def _apply(
        self,
        op: Op,
        session: int,
        identity: str,
        given: Access,
        events: list[Event],
        undo: list[Callable[[], None]],
    ) -> None:
        if isinstance(op, Create):
            self._create(op, session, identity, given, events, undo)
            return
        node = self._nodes.get(op.path)
        if node is None:
            raise CommitRefused(op, Refused.NO_NODE)
        # as in ZooKeeper, the right to delete a znode is its parent's to give
        if isinstance(op, Check):
            _permit_reading(node, identity)
        else:
            _permit(self._nodes[_split(op.path)[0]] if isinstance(op, Delete) else node, identity)
        if node.version != op.version:
            raise CommitRefused(op, Refused.BAD_VERSION)
        if isinstance(op, Set):
            old = (node.data, node.version, node.mzxid)
            undo.append(lambda: _write(node, *old))
            _write(node, op.data, node.version + 1, self.zxid)
            events.append(Event(Seen.DATA, op.path))
        elif isinstance(op, Delete):
            if node.children:
                raise CommitRefused(op, Refused.NOT_EMPTY)
            self._remove(op.path, events, undo)

    def _create(
        self,
        op: Create,
        session: int,
        identity: str,
        given: Access,
        events: list[Event],
        undo: list[Callable[[], None]],
    ) -> None:
        parent_path, _name = _split(op.path)
        parent = self._nodes.get(parent_path)
        if op.path in self._nodes:
            raise CommitRefused(op, Refused.NODE_EXISTS)
        if parent is None:
            raise CommitRefused(op, Refused.NO_NODE)
        _permit(parent, identity)
        if parent.owner:
            raise CommitRefused(op, Refused.EPHEMERAL_PARENT)
        owner = session if op.ephemeral else 0
        self._insert(op.path, _Node(op.data, 0, self.zxid, self.zxid, owner, given))
        undo.append(lambda: self._remove(op.path, [], []))
        events += [Event(Seen.DATA, op.path), Event(Seen.CHILDREN, parent_path)]

    def _insert(self, path: str, node: _Node) -> None:
        parent, name = _split(path)
        self._nodes[path] = node
        self._nodes[parent].children[name] = None
        if node.owner:
            self._ephemerals.setdefault(node.owner, {})[path] = None

    def _remove(self, path: str, events: list[Event], undo: list[Callable[[], None]]) -> None:
        parent, name = _split(path)
        node = self._nodes.pop(path)
        del self._nodes[parent].children[name]
        if node.owner:
            del self._ephemerals[node.owner][path]
        undo.append(lambda: self._insert(path, node))
        events += [Event(Seen.DATA, path), Event(Seen.CHILDREN, path), Event(Seen.CHILDREN, parent)]


def _permit(node: _Node, identity: str) -> None:
    if not node.access.owners & {ANYONE, identity}:
        raise Denied


def _permit_reading(node: _Node, identity: str) -> None:
    if not node.access.readers & {ANYONE, identity}:
        _permit(node, identity)


def _write(node: _Node, data: bytes, version: int, mzxid: int) -> None:
    node.data, node.version, node.mzxid = data, version, mzxid
