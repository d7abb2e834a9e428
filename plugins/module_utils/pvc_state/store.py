# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store seam: what the library and the agent may ask of ZooKeeper, and nothing more.

Two implementations behave alike, held together by one contract test suite: ``memory_store`` and ``kazoo_store``.
Paths are absolute within the store's root (a chroot); data is bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, Union

#: Called once, with the path, when what was read with it changes (created, changed, deleted, or children changed),
#: or when the connection is lost, since changes may then go unseen: whoever still cares reads again once connected.
#: May come late and from another thread; never carries data. Reading again is the only way to know what changed.
#: The same callable left twice on the same read is called once.
Watch = Callable[[str], None]


@dataclass(frozen=True)
class Znode:
    """What one read of a znode returns.

    Attributes:
        data: the bytes stored.
        version: data version; a conditional write names it.
        czxid: transaction that created the znode: tells a re-created znode from the one seen before.
        mzxid: transaction that last changed it.
        owner: session id of an ephemeral, 0 for a persistent znode.
    """

    data: bytes
    version: int
    czxid: int
    mzxid: int
    owner: int


@dataclass(frozen=True)
class Check:
    """The znode exists at this version."""

    path: str
    version: int


@dataclass(frozen=True)
class Create:
    """The znode does not exist; create it. Its parent exists."""

    path: str
    data: bytes = b""
    ephemeral: bool = False


@dataclass(frozen=True)
class Set:
    """The znode exists at this version; replace its data."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True)
class Delete:
    """The znode exists at this version and has no children; remove it."""

    path: str
    version: int


Op = Union[Check, Create, Set, Delete]

#: Who everybody is, those without credentials included.
ANYONE = "anyone"


@dataclass(frozen=True)
class Access:
    """Who may use a znode: users as ``name:digest``, which never tells a password.

    Attributes:
        owners: may do everything. readers: may read it.
        others: whatever else is said of it, which this software never says.
    """

    owners: frozenset[str] = frozenset()
    readers: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()


def absent(path: str) -> tuple[Op, ...]:
    """Operations that hold when a znode does not exist, and leave none behind."""
    return (Create(path), Delete(path, 0))


class Refused(Enum):
    """Why an operation of a commit was refused."""

    NO_NODE = "does not exist"
    NODE_EXISTS = "exists already"
    BAD_VERSION = "was changed meanwhile"
    NOT_EMPTY = "has children"
    EPHEMERAL_PARENT = "cannot lie below an ephemeral"
    ROLLED_BACK = "was rolled back with the rest"


class CommitRefused(Exception):
    """A commit was refused as a whole: one of its operations did not hold. Nothing was changed."""

    def __init__(self, op: Op, reason: Refused) -> None:
        self.op = op
        self.reason = reason
        super().__init__(f"{op.path} {reason.value}")


class SessionState(Enum):
    """What the store's client believes of its session. It may be late: safety never rests on it."""

    CONNECTED = "connected"
    SUSPENDED = "suspended"
    LOST = "lost"


class Store(Protocol):
    """A tree of znodes with sessions, versions, ephemerals, watches and atomic commits.

    What a user creates has the access of the root, as it is at that moment, where the root is the user's own; elsewhere it
    is for that user alone, and what is created without credentials is for everybody.

    Every call has a deadline. Errors: StoreUnavailable when no server answered in time or the session is lost,
    AccessDenied when the credentials were refused, CommitRefused (commit only) when an operation did not hold.
    """

    @property
    def session_id(self) -> int:
        """Id of the present session, 0 while there is none; compares with Znode.owner."""

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        """Read one znode, None if it does not exist. A watch is left in both cases."""

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        """Read many znodes with pipelined requests, in the order given; None for those that do not exist.

        A watch is left on those that exist; a watch on the children of their parents tells of the others.
        """

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        """Sorted names below a znode, None if it does not exist (a watch then fires on its creation)."""

    def commit(self, ops: Sequence[Op]) -> None:
        """Do all operations or none, in one transaction."""

    def sync(self) -> None:
        """Make later reads see everything that was committed anywhere before this call.

        When it returns, every watch of this client that such a commit set off has been called. So it must not be called
        from within a watch.
        """

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        """Call back on every change of the session's state, from any thread; it must not block."""

    def close(self) -> None:
        """End the session at once: its ephemerals go, its watches are dropped. Safe to call twice."""


class GuardedStore(Store, Protocol):
    """A store whose access can be read and changed. Only owners may; errors are those of Store."""

    @property
    def identity(self) -> str:
        """Who asks, as ``name:digest``; empty without credentials."""

    def everything(self) -> list[str]:
        """The paths of all znodes, the root's first."""

    def access(self, paths: Sequence[str]) -> list[Access | None]:
        """Who may use each of these, in the order given; None for those that do not exist."""

    def grant(self, paths: Sequence[str], access: Access) -> None:
        """Give all of these this access, as far as they exist. Each by itself: a failure leaves some of them changed."""
