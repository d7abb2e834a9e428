# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores that fail in ways of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pvc_state.store import Op, SessionState, Store, Watch, Znode


class Wrapped:
    """A store that does what another one does; tests override what they want otherwise."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner

    @property
    def session_id(self) -> int:
        return self.inner.session_id

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        return self.inner.get(path, watch)

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        return self.inner.get_many(paths, watch)

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        return self.inner.children(path, watch)

    def commit(self, ops: Sequence[Op]) -> None:
        self.inner.commit(ops)

    def sync(self) -> None:
        self.inner.sync()

    def on_session(self, callback: Callable[[SessionState], None]) -> None:
        self.inner.on_session(callback)

    def close(self) -> None:
        self.inner.close()


class Crash(BaseException):
    """The process died here. No handler of ordinary errors may catch it."""


class Crashing(Wrapped):
    """Dies at its n-th call: before it, or after it took effect but before anybody learned of that."""

    def __init__(self, inner: Store, calls: int, *, after: bool) -> None:
        super().__init__(inner)
        self.left = calls
        self.after = after

    def _count(self) -> bool:
        self.left -= 1
        if self.left < 0:
            raise Crash
        return self.left == 0

    def get(self, path: str, watch: Watch | None = None) -> Znode | None:
        last = self._count()
        if last and not self.after:
            raise Crash
        result = super().get(path, watch)
        if last:
            raise Crash
        return result

    def get_many(self, paths: Sequence[str], watch: Watch | None = None) -> list[Znode | None]:
        last = self._count()
        if last:
            raise Crash
        return super().get_many(paths, watch)

    def children(self, path: str, watch: Watch | None = None) -> list[str] | None:
        last = self._count()
        if last:
            raise Crash
        return super().children(path, watch)

    def commit(self, ops: Sequence[Op]) -> None:
        last = self._count()
        if last and not self.after:
            raise Crash
        super().commit(ops)
        if last:
            raise Crash
