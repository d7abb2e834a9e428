# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may read the tree: readers are declared, and every znode is brought to what is declared.

The access of the root is the policy: what an owner creates has it, too. It is changed first, and the root is written; from
that transaction on nothing is created with the access from before (see kazoo_store). Then the rest is walked through. Whoever
is stopped on the way leaves a tree in which some znodes have the old access; the same again finishes. And whoever finds at the end
that another has changed the root meanwhile starts over, since each may have undone what the other did: the tree becomes what one of
them has declared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from .connection import digest, read_only
from .errors import Conflict, InvalidRequest
from .snapshot import load_schema
from .store import ANYONE, Access, CommitRefused, GuardedStore, Set

#: How many readers there may be: two, so that one can follow the other without a gap. Each makes every creation longer, and
#: transactions have a limit (see staging).
MOST = 2

#: What ZooKeeper keeps for itself below its own root.
_OWN = "/zookeeper"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
_ATTEMPTS = 100


@dataclass(frozen=True)
class Granted:
    """What was done, or would be.

    Attributes:
        before, after: names of the readers. znodes: how many of them had another access.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    znodes: int

    @property
    def why(self) -> str:
        """In words."""
        if not self.znodes:
            return "as declared already"
        readers = f"{', '.join(self.after)} may read" if self.after else "nobody else may read"
        return f"{readers}: {self.znodes} znodes had another access"


def set_readers(store: GuardedStore, readers: Mapping[str, str], *, check_mode: bool = False) -> Granted:
    """Let these users, with these passwords, read the whole tree, and nobody else but its owner.

    Raises InvalidRequest, AccessDenied for who does not own the tree, NotInitialised, Conflict.
    """
    wanted = check(store.identity, readers)
    load_schema(store)
    paths = store.everything()
    if _OWN in paths:
        _refuse("the tree's root is that of ZooKeeper itself", "root", "keep the cluster below a path such as /pvc")
    found = store.access(paths)
    root = found[0] or Access()
    if store.identity not in root.owners:
        if ANYONE not in root.owners:
            raise read_only(_name(store.identity))
        _refuse(
            "the tree's root was made without credentials, and is everybody's",
            "root",
            "give the root of a cluster that was made with username and password",
        )
    other = sum(access not in (None, wanted) for access in found)
    granted = Granted(_names(root), _names(wanted), other)
    if other and not check_mode:
        _grant(store, wanted)
    return granted


def check(identity: str, readers: Mapping[str, str]) -> Access:
    """The access that a tree of this owner has with these readers; raises InvalidRequest, which shows no password."""
    if not identity:
        _refuse("it is missing", "username", "give the user that owns the tree, and its password")
    if len(readers) > MOST:
        _refuse(f"there are {len(readers)} of them", "readers", f"declare at most {MOST}")
    for name, password in readers.items():
        if not _NAME.fullmatch(name):
            _refuse(f"{name!r} is no user's name", "readers", "give 1 to 32 letters, digits, '.', '_' and '-'")
        if name == _name(identity):
            _refuse(f"{name} owns the tree", "readers", "name another user")
        if not password.strip() or "\n" in password:
            _refuse(f"the password of {name} is empty or no line", "readers", "give a line of text")
        if digest(_name(identity), password) == identity:
            _refuse(f"{name} has the owner's password", "readers", "give it another one, or it could change everything")
    return Access(frozenset({identity}), frozenset(digest(name, password) for name, password in readers.items()))


def _grant(store: GuardedStore, wanted: Access) -> None:
    for _turn in range(_ATTEMPTS):
        store.grant(["/"], wanted)
        root = store.get("/")
        version = root.version if root is not None else 0
        try:
            store.commit([Set("/", b"", version)])
        except CommitRefused:
            continue
        # what is created from now on has the new access, and all that was created before is seen now
        store.sync()
        paths = [path for path in store.everything() if path != "/"]
        store.grant([path for path, access in zip(paths, store.access(paths), strict=True) if access != wanted], wanted)
        root = store.get("/")
        if root is not None and root.version == version + 1 and store.access(["/"]) == [wanted]:
            return
    raise Conflict("others keep changing who may read", remedy="try again when fewer jobs run")


def _names(access: Access) -> tuple[str, ...]:
    return tuple(sorted(_name(user) for user in access.readers))


def _name(user: str) -> str:
    return user.partition(":")[0]


def _refuse(problem: str, option: str, remedy: str) -> NoReturn:
    raise InvalidRequest(problem, obj="access", option=option, remedy=remedy)
