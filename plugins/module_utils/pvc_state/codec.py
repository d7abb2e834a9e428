# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records to bytes and back: compact JSON, checked against the record's own type annotations.

Fields at their default are left out of the bytes. So a newer version's added field stays invisible to an older reader
until somebody uses it, and 1,000 plain VMs stay small.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Generic, TypeVar, Union

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
    """

    value: T | None
    version: int
    mzxid: int = 0
    invalid: str = ""


def encode(record: Any) -> bytes:
    """Bytes of a record (a dataclass instance): the same record gives the same bytes."""
    return json.dumps(_plain(record), sort_keys=True, separators=(",", ":")).encode()


def decode(cls: type[T], data: bytes) -> T:
    """The record in these bytes. Raises Malformed, and nothing else."""
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise Malformed(f"no JSON: {err}") from err
    return typing.cast(T, _typed(cls, raw, ""))


def stored(cls: type[T], znode: Znode) -> Stored[T]:
    """The record in a znode, marked invalid when its bytes are damaged."""
    try:
        return Stored(decode(cls, znode.data), znode.version, znode.mzxid)
    except Malformed as err:
        return Stored(None, znode.version, znode.mzxid, str(err))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not _is_default(field, getattr(value, field.name))
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default)
    if field.default_factory is not dataclasses.MISSING:
        return bool(value == field.default_factory())
    return False


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _typed(kind: Any, raw: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        if raw is None and type(None) in args:
            return None
        (kind,) = (arg for arg in args if arg is not type(None))
        return _typed(kind, raw, where)
    if origin is tuple:
        if not isinstance(raw, list):
            raise Malformed(f"{where or 'record'} is no list")
        return tuple(_typed(args[0], item, f"{where}[{index}]") for index, item in enumerate(raw))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(raw, dict):
            raise Malformed(f"{where or 'record'} is no object")
        return {key: _typed(args[1], item, f"{where}.{key}" if where else key) for key, item in raw.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, raw, where)
    # bool is an int in Python, but never in a record
    if not isinstance(raw, kind) or (isinstance(raw, bool) and kind is not bool):
        raise Malformed(f"{where or 'record'} is {type(raw).__name__}, not {kind.__name__}")
    return raw


def _record(cls: type, raw: Any, where: str) -> Any:
    if not isinstance(raw, dict):
        raise Malformed(f"{where or 'record'} is no object")
    hints = _hints(cls)
    unknown = sorted(set(raw) - set(hints))
    if unknown:
        raise Malformed(f"{where or 'record'} has unknown field {unknown[0]}")
    values = {key: _typed(hints[key], item, f"{where}.{key}" if where else key) for key, item in raw.items()}
    try:
        return cls(**values)
    except (TypeError, ValueError) as err:
        raise Malformed(f"{where or 'record'}: {err}") from err
