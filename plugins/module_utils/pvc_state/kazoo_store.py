# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store on ZooKeeper, through kazoo (2.8 or later). The only file that imports it.

What kazoo does that one would not expect, and what is done about it here:

- a call made while the connection is lost waits for its return: here it fails at once, or after ``patience``;
- a transaction that is refused returns its errors as results instead of raising them: the results are read;
- after a long outage it tries to reconnect once an hour: here once a second;
- ``start()`` hides why no server was reached: connections are made here (``_Dialer``), and each failure is kept;
- with TLS it trusts the operating system's authorities beside the one given and checks no names: not so here;
- it drops its watches when the connection is lost, after calling them: store.Watch promises just that.
"""

from __future__ import annotations

import functools
import logging
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from . import paths
from .connection import Connection, Unreached, denied, digest, label, read_only, tls_context, unavailable, unreached
from .errors import AccessDenied, OutcomeUnknown, PvcError, StoreUnavailable
from .store import ANYONE, Access, Check, CommitRefused, Create, Delete, Op, Refused, SessionState, Set, Watch, Znode

KAZOO_IMPORT_ERROR: str | None = None
try:
    from kazoo import exceptions as kazoo_errors
    from kazoo.client import KazooClient
    from kazoo.handlers.threading import KazooTimeoutError, SequentialThreadingHandler
    from kazoo.protocol.states import Callback, KazooState
    from kazoo.retry import KazooRetry
    from kazoo.security import make_acl
except ImportError:
    HAS_KAZOO = False
    KAZOO_IMPORT_ERROR = traceback.format_exc()
else:
    HAS_KAZOO = True

T = TypeVar("T")

#: Requests under way at once when many are read.
WINDOW = 512

#: How often the root's access may change while one commit is made.
_TURNS = 10
_ALL, _READ = 31, 1


def connect(connection: Connection) -> KazooStore:
    """A connected store whose root, if it exists, may be read.

    Raises InvalidRequest for settings that cannot be right, StoreUnavailable, AccessDenied.
    """
    if not HAS_KAZOO:
        raise StoreUnavailable(
            "the Python library kazoo is missing", remedy="install kazoo 2.8 or later (Debian: python3-kazoo)"
        )
    connection.check()
    store = KazooStore(connection)
    try:
        store.start()
        store.get("/")
    except Exception:
        store.close()
        raise
    return store


class KazooStore:
    """A client of a real ensemble; implements store.GuardedStore. Made by connect().

    What it creates has the root's access. It reads that once, and each transaction that creates checks that the root has
    not been written since, as it is whenever its access changes: whoever has then read the tree has seen everything that
    was created with the access from before.

    Callbacks come from kazoo's threads: those of watches one after the other from one thread, those of the session from
    the thread that also reads the connection, so that a call of the store within them would never return.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._deadline = max(connection.connect_timeout, connection.session_timeout)
        self._dialer = _Dialer(connection)
        self._connected = threading.Event()
        self._session = 0
        self._listeners: list[Callable[[SessionState], None]] = []
        self._closed = False
        self._given: tuple[list[Any], int] | None = None
        handler = SequentialThreadingHandler()
        handler.create_connection = self._dialer.dial
        credentials = f"{connection.username}:{connection.password}"
        self._client = KazooClient(
            hosts=",".join(label(*address) for address in connection.addresses()) + connection.root.rstrip("/"),
            timeout=connection.session_timeout,
            handler=handler,
            auth_data=[("digest", credentials)] if connection.username else None,
            default_acl=[make_acl("digest", self.identity, all=True)] if connection.username else None,
            connection_retry=KazooRetry(max_tries=-1, delay=0.1, max_delay=1.0, sleep_func=handler.sleep_func),
            logger=self._dialer.logger,
        )
        self._client.add_listener(self._session_changed)

    def start(self) -> None:
        """Begin the first session; raises StoreUnavailable when none begins in time."""
        self._client.start_async()
        waited = (
            0.0 if self._dialer.decided.wait(self._connection.connect_timeout) else self._connection.connect_timeout
        )
        if not self._connected.is_set():
            raise unavailable(self._connection, self._dialer.failures, waited)

    @property
    def session_id(self) -> int:
        return self._session

    @property
    def identity(self) -> str:
        return digest(self._connection.username, self._connection.password)

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        return self._read(path, _watcher(path, watch), self._client.get_async, _znode)

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        def read() -> list[Znode | None]:
            znodes: list[Znode | None] = []
            for start in range(0, len(paths), WINDOW):
                window = paths[start : start + WINDOW]
                pending = [self._client.get_async(path, watch=_watcher(path, watch)) for path in window]
                znodes += [self._or_none(result) for result in pending]
            return znodes

        return self._ask(paths[0] if paths else "/", read)

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        return self._read(path, _watcher(path, watch), self._client.get_children_async, sorted)

    def commit(self, ops: Sequence[Op]) -> None:
        if not ops:
            return
        creates = bool(self._connection.username) and any(isinstance(op, Create) for op in ops)
        for _turn in range(_TURNS):
            given = self._inherited() if creates else None
            if self._commit(ops, given):
                return
            self._given = None
        raise CommitRefused(Check("/", given[1] if given else 0), Refused.BAD_VERSION)

    def _commit(self, ops: Sequence[Op], given: tuple[list[Any], int] | None) -> bool:
        """One transaction; False when the root's access is not what was given."""
        self._ready()
        transaction = self._client.transaction()
        if given is not None:
            transaction.check("/", given[1])
        for op in ops:
            if isinstance(op, Create):
                acl = given[0] if given is not None else None
                transaction.create(op.path, op.data, acl=acl, ephemeral=op.ephemeral)
            elif isinstance(op, Set):
                transaction.set_data(op.path, op.data, version=op.version)
            elif isinstance(op, Delete):
                transaction.delete(op.path, version=op.version)
            elif isinstance(op, Check):
                transaction.check(op.path, op.version)
        with self._translated(ops[0].path, commit=True):
            results = transaction.commit_async().get(timeout=self._deadline)
        if given is not None:
            root, *results = results
            if isinstance(root, (kazoo_errors.BadVersionError, kazoo_errors.NoNodeError)):
                return False
        for op, result in zip(ops, results, strict=True):
            if isinstance(result, Exception):
                self._refuse(op, result)
        return True

    def everything(self) -> list[str]:
        def read() -> list[str]:
            found, level = ["/"], ["/"]
            while level:
                below: list[str] = []
                for start in range(0, len(level), WINDOW):
                    window = level[start : start + WINDOW]
                    pending = [self._client.get_children_async(path) for path in window]
                    for path, result in zip(window, pending, strict=True):
                        names = self._answer(result) or ()
                        below += [f"{path.rstrip('/')}/{name}" for name in sorted(names)]
                found += below
                level = below
            return found

        return self._ask("/", read)

    def access(self, paths: Sequence[str]) -> list[Access | None]:
        def read() -> list[Access | None]:
            found: list[Access | None] = []
            for start in range(0, len(paths), WINDOW):
                pending = [self._client.get_acls_async(path) for path in paths[start : start + WINDOW]]
                answers = [self._answer(result) for result in pending]
                found += [_access(answer[0]) if answer is not None else None for answer in answers]
            return found

        return self._ask("/", read)

    def grant(self, paths: Sequence[str], access: Access) -> None:
        acls = [make_acl("digest", user, all=True) for user in sorted(access.owners)]
        acls += [make_acl("digest", user, read=True) for user in sorted(access.readers)]
        self._ready()
        with self._translated("/", commit=True):
            for start in range(0, len(paths), WINDOW):
                pending = [self._client.set_acls_async(path, acls) for path in paths[start : start + WINDOW]]
                for result in pending:
                    self._answer(result)

    def sync(self) -> None:
        self._ask("/", lambda: self._client.sync_async("/").get(timeout=self._deadline))
        # The server sends what watches wait for before its answer, and kazoo calls them in that order, but from another
        # thread than this: behind them all comes this one.
        called = threading.Event()
        self._client.handler.dispatch_callback(Callback("watch", called.set, ()))
        if not called.wait(self._deadline):
            raise StoreUnavailable(f"the watches of this client are not done within {self._deadline:g} s")

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        self._listeners.append(callback)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        # kazoo joins its connection thread, which may be waiting for a server that does not answer.
        stopper = threading.Thread(target=self._stop, name="pvc-store-close", daemon=True)
        stopper.start()
        stopper.join(self._connection.session_timeout if self._connected.is_set() else 0)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self._client.stop()
        self._client.close()

    def _session_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._session = self._client.client_id[0]
            self._connected.set()
            self._dialer.failures = {}
            self._dialer.decided.set()
            new = SessionState.CONNECTED
        else:
            self._connected.clear()
            new = SessionState.SUSPENDED
            if state == KazooState.LOST:
                self._session = 0
                new = SessionState.LOST
        for listener in list(self._listeners):
            listener(new)

    def _ready(self) -> None:
        if self._closed:
            raise StoreUnavailable("the session was closed")
        if not self._connected.wait(self._connection.patience):
            raise unavailable(self._connection, self._dialer.failures, self._connection.patience)

    def _read(
        self, path: str, watcher: _Watcher | None, ask: Callable[..., Any], answer: Callable[[Any], T]
    ) -> T | None:
        def read() -> T | None:
            while True:
                try:
                    return answer(ask(path, watch=watcher).get(timeout=self._deadline))
                except kazoo_errors.NoNodeError:
                    # Only exists() leaves a watch on what does not exist. Should it exist by now, it is read after all.
                    if watcher is None or self._client.exists_async(path, watcher).get(timeout=self._deadline) is None:
                        return None

        return self._ask(path, read)

    def _or_none(self, result: Any) -> Znode | None:
        answer = self._answer(result)
        return _znode(answer) if answer is not None else None

    def _answer(self, result: Any) -> Any:
        """What an asynchronous call brings; None for a znode that does not exist."""
        try:
            return result.get(timeout=self._deadline)
        except kazoo_errors.NoNodeError:
            return None

    def _inherited(self) -> tuple[list[Any], int] | None:
        """Access lists of what we create, with the root's version; None for the client's own."""
        if self._given is None:
            try:
                answer = self._ask("/", lambda: self._answer(self._client.get_acls_async("/")))
            except AccessDenied:
                return None  # the commit says so, too, and of its own path
            if answer is not None and self.identity in _access(answer[0]).owners:
                self._given = (answer[0], answer[1].version)
        return self._given

    def _ask(self, path: str, read: Callable[[], T]) -> T:
        """Read; once more when the connection was lost meanwhile and there is patience for its return."""
        self._ready()
        with self._translated(path):
            try:
                return read()
            except kazoo_errors.ConnectionLoss:
                if not self._connection.patience:
                    raise
        self._ready()
        with self._translated(path):
            return read()

    def _refuse(self, op: Op, error: Exception) -> None:
        """Raise what one operation's result says; nothing, when another operation is the cause."""
        if isinstance(error, (kazoo_errors.RolledBackError, kazoo_errors.RuntimeInconsistency)):
            return
        for kind, reason in (
            (kazoo_errors.NoNodeError, Refused.NO_NODE),
            (kazoo_errors.NodeExistsError, Refused.NODE_EXISTS),
            (kazoo_errors.BadVersionError, Refused.BAD_VERSION),
            (kazoo_errors.NotEmptyError, Refused.NOT_EMPTY),
            (kazoo_errors.NoChildrenForEphemeralsError, Refused.EPHEMERAL_PARENT),
        ):
            if isinstance(error, kind):
                raise CommitRefused(op, reason)
        with self._translated(op.path, commit=True):
            raise error

    @contextmanager
    def _translated(self, path: str, *, commit: bool = False) -> Iterator[None]:
        """kazoo's errors as the library's own."""
        try:
            yield
        except (kazoo_errors.NoAuthError, kazoo_errors.AuthFailedError) as err:
            if commit and self._may_read():
                raise read_only(self._connection.username) from err
            raise denied(self._connection, path) from err
        except (kazoo_errors.KazooException, KazooTimeoutError) as err:
            what = type(err).__name__
            if commit:
                raise OutcomeUnknown(
                    f"the connection failed during a commit ({what}): it took effect as a whole or not at all",
                    remedy="run the same again: what is done already is left as it is",
                ) from err
            raise StoreUnavailable(
                f"the connection failed during a call ({what})", remedy="try again once ZooKeeper has a quorum"
            ) from err

    def _may_read(self) -> bool:
        """Whether the tree at least shows itself to us."""
        try:
            return bool(self._connection.username) and self.get(paths.SCHEMA) is not None
        except PvcError:
            return False


class _Dialer:
    """Makes kazoo's connections, and remembers of each server why the last one failed.

    ``decided`` is set once waiting for the first session is over: there is one, or every server fails in a way that
    will not pass by itself.
    """

    def __init__(self, connection: Connection) -> None:
        self._addresses = connection.addresses()
        self._context = tls_context(connection)
        # every server gets its turn within the time of the first connection, and of a session
        self._timeout = min(connection.connect_timeout, connection.session_timeout) / len(self._addresses)
        self._dialed = ""
        self.failures: dict[str, Unreached] = {}
        self.decided = threading.Event()
        # A logger of this store's own below kazoo's: its messages go where kazoo's go, and are heard here.
        self.logger = logging.Logger(__name__)
        self.logger.parent = logging.getLogger("kazoo.client")
        self.logger.addHandler(_Listener(self._heard))

    def dial(self, address: tuple[str, int], **_: Any) -> socket.socket:
        """A connected socket. kazoo's own settings of TLS and timeout, which come as keywords, are not used."""
        self._dialed = ""
        name = self._name(*address)
        server = label(name, address[1])
        try:
            sock = socket.create_connection(address, self._timeout)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    sock = self._context.wrap_socket(sock, server_hostname=name)
            except OSError:
                sock.close()
                raise
        except OSError as err:
            self._failed(server, str(err) if isinstance(err, ssl.SSLError) else err.strerror or str(err))
            raise
        self._dialed = server
        return sock

    def _name(self, host: str, port: int) -> str:
        """The server as it was configured, which its certificate must name; kazoo has resolved it since."""
        for name, configured in self._addresses:
            if configured == port and (name == host or host in _resolved(name, port)):
                return name
        return host

    def _heard(self, message: str) -> None:
        """A server may accept the connection and then end it: only kazoo's log says so, and why."""
        if message.startswith("Cannot resolve "):
            for host, port in self._addresses:
                if message.startswith(f"Cannot resolve {host}: "):
                    self._failed(label(host, port), "the name does not resolve to an address")
        elif self._dialed and message.startswith("Connection "):
            self._failed(self._dialed, message.partition(": ")[2])

    def _failed(self, server: str, words: str) -> None:
        failure, known = unreached(words), self.failures.get(server)
        # A name may stand for several addresses: what one of them said tells more than that another does not answer.
        if known is None or not known.kind.lasting or failure.kind.lasting:
            self.failures[server] = failure
        kinds = [self.failures[each].kind for each in self.failures]
        if len(kinds) == len(self._addresses) and all(kind.lasting for kind in kinds):
            self.decided.set()


class _Listener(logging.Handler):
    def __init__(self, heard: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard(record.getMessage())


class _Watcher:
    """A watch as kazoo calls it; equal ones on the same path are one to it, and so called once."""

    def __init__(self, path: str, watch: Watch) -> None:
        self._path = path
        self._watch = watch

    def __call__(self, _event: Any) -> None:
        # kazoo's event has no path when the connection was lost
        self._watch(self._path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Watcher) and (self._path, self._watch) == (other._path, other._watch)

    def __hash__(self) -> int:
        return hash((self._path, self._watch))


def _watcher(path: str, watch: Watch | None) -> _Watcher | None:
    return None if watch is None else _Watcher(path, watch)


def _access(acls: Sequence[Any]) -> Access:
    """Access lists in the library's words."""
    entries: dict[int, set[str]] = {_ALL: set(), _READ: set()}
    others = set()
    for acl in acls:
        user = {"digest": acl.id.id, "world": ANYONE}.get(acl.id.scheme, f"{acl.id.scheme}:{acl.id.id}")
        if acl.perms in entries:
            entries[acl.perms].add(user)
        else:
            others.add(f"{user}:{acl.perms}")
    return Access(frozenset(entries[_ALL]), frozenset(entries[_READ]), frozenset(others))


def _znode(answer: tuple[bytes, Any]) -> Znode:
    data, stat = answer
    return Znode(data, stat.version, stat.czxid, stat.mzxid, stat.ephemeralOwner)


@functools.lru_cache(maxsize=256)
def _resolved(host: str, port: int) -> frozenset[str]:
    try:
        return frozenset(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except OSError:
        return frozenset()
