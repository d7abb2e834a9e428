# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records to bytes and back: compact JSON, checked against the record's own type annotations.

Fields at their default are left out of the bytes. So a newer version's added field stays invisible to an older reader
until somebody uses it, and 1,000 plain VMs stay small.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from .store import Znode

T = TypeVar("T")


class Malformed(Exception):
    """The bytes are no record of the wanted type; the text says where and why."""


@dataclasses.dataclass(frozen=True)
class Stored(Generic[T]):
    """A record as it was read: its value, or why it has none, and the version that a write must name.

    Attributes:
        value: the record, None when the znode's bytes are damaged.
        version: the znode's data version.
        mzxid: the transaction that last changed the znode.
        invalid: empty, or what is wrong with the bytes.
        czxid: the transaction that created the znode.
    """

    value: T | None
    version: int
    mzxid: int = 0
    invalid: str = ""
    czxid: int = 0


def encode(record: Any) -> bytes:
    """Bytes of a record (a dataclass instance): the same record gives the same bytes."""
    return json.dumps(record, default=_plain, sort_keys=True, separators=(",", ":")).encode()


def decode(cls: type[T], data: bytes) -> T:
    """The record in these bytes. Raises Malformed, and nothing else."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise Malformed(f"no JSON: {err}") from err
    try:
        return typing.cast(T, _reader(typing.cast(Any, cls))(raw))
    except _Mismatch as err:
        raise Malformed(str(err)) from None


def stored(cls: type[T], znode: Znode) -> Stored[T]:
    """The record in a znode, marked invalid when its bytes are damaged."""
    try:
        return Stored(decode(cls, znode.data), znode.version, znode.mzxid, "", znode.czxid)
    except Malformed as err:
        return Stored(None, znode.version, znode.mzxid, str(err), znode.czxid)


# --- writing --------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> dict[str, Any]:
    """What JSON has no word for, one level deep: the rest follows by itself."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((name, getattr(value, name), default) for name, default in _defaults(type(value)))
        return {name: item for name, item, default in fields if default is _REQUIRED or item != default}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be in a record")


_REQUIRED = object()


@functools.cache
def _defaults(cls: type) -> tuple[tuple[str, Any], ...]:
    """A record's fields, each with its default or _REQUIRED."""
    found: list[tuple[str, Any]] = []
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            found.append((field.name, field.default))
        elif field.default_factory is not dataclasses.MISSING:
            found.append((field.name, field.default_factory()))
        else:
            found.append((field.name, _REQUIRED))
    return tuple(found)


# --- reading --------------------------------------------------------------------------------------------------------

#: Turns parsed JSON into a value of one type; raises _Mismatch.
Reader = Callable[[Any], Any]


class _Mismatch(Exception):
    """JSON of another shape than the type wants. The path to it is put together on the way out, only when needed."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.path = ""

    def within(self, step: str) -> _Mismatch:
        """The same, seen from the value that contains it."""
        dot = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{step}{dot}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path or 'record'} {self.problem}"


@functools.cache
def _reader(kind: Any) -> Reader:
    """The reader for a type, made once: reading a thousand records must not look at annotations a thousand times."""
    if kind is Any:
        return lambda raw: raw
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return _optional_reader(_reader(inner))
    if origin is tuple:
        return _list_reader(_reader(args[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(_reader(args[1]))
    if dataclasses.is_dataclass(kind):
        return _record_reader(typing.cast(type, kind))
    return _scalar_reader(kind)


def _scalar_reader(kind: type) -> Reader:
    def read(raw: Any) -> Any:
        # type(), not isinstance(): bool is an int in Python, but never in a record
        if type(raw) is not kind:  # pylint: disable=unidiomatic-typecheck
            raise _Mismatch(f"is {type(raw).__name__}, not {kind.__name__}")
        return raw

    return read


def _optional_reader(inner: Reader) -> Reader:
    return lambda raw: None if raw is None else inner(raw)


def _list_reader(inner: Reader) -> Reader:
    def read(raw: Any) -> tuple[Any, ...]:
        if not isinstance(raw, list):
            raise _Mismatch("is no list")
        items = []
        for index, item in enumerate(raw):
            try:
                items.append(inner(item))
            except _Mismatch as err:
                raise err.within(f"[{index}]") from None
        return tuple(items)

    return read


def _mapping_reader(inner: Reader) -> Reader:
    def read(raw: Any) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise _Mismatch("is no object")
        return {key: _field(inner, key, item) for key, item in raw.items()}

    return read


def _record_reader(cls: type) -> Reader:
    readers = {name: _reader(hint) for name, hint in typing.get_type_hints(cls).items()}
    required = frozenset(name for name, default in _defaults(cls) if default is _REQUIRED)

    def read(raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise _Mismatch("is no object")
        if not raw.keys() <= readers.keys():
            raise _Mismatch(f"has unknown field {min(raw.keys() - readers.keys())}")
        if not required <= raw.keys():
            raise _Mismatch(f"lacks field {min(required - raw.keys())}")
        return cls(**{key: _field(readers[key], key, item) for key, item in raw.items()})

    return read


def _field(reader: Reader, key: str, item: Any) -> Any:
    try:
        return reader(item)
    except _Mismatch as err:
        raise err.within(key) from None
