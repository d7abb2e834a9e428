# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small checks of a case as it is written: each returns what was given, or raises BadCase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn


class BadCase(Exception):
    """The case cannot be read, or asks for what this simulator does not do. One sentence."""


def renamed(what: str, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The arguments by our own names; raises BadCase for those unknown, missing or given twice."""
    result: dict[str, Any] = {}
    left = dict(given)
    for entry in names:
        aliases = entry.removesuffix("?").split("|")
        present = [alias for alias in aliases if alias in left]
        if len(present) > 1:
            raise BadCase(f"{what}: {' and '.join(present)} mean the same")
        if present:
            result[aliases[0]] = left.pop(present[0])
        elif not entry.endswith("?"):
            raise BadCase(f"{what}: {aliases[0]} is missing")
    if left:
        raise BadCase(f"{what}: {', '.join(sorted(left))} is not known")
    return result


def only(what: str, given: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(given) - known)
    if unknown:
        raise BadCase(f"{what}: {', '.join(unknown)} is not known")


def without(given: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != key}


def numbered(top: Mapping[str, Any], key: str) -> list[tuple[int, object]]:
    value = top.get(key) or []
    if not isinstance(value, list):
        raise BadCase(f"{key} is no list")
    return list(enumerate(value, 1))


def mapping(what: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadCase(f"{what} is no object")
    return value


def one_of(what: str, key: str, value: object, known: Any) -> str:
    if not isinstance(value, str) or value not in known:
        refuse(what, key, value, f"there are: {', '.join(sorted(known))}")
    return value


def truth(what: str, key: str, value: object) -> bool:
    if value not in (True, False, 0, 1):
        refuse(what, key, value, "true or false is wanted")
    return bool(value)


def count(what: str, key: str, value: object, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least:
        refuse(what, key, value, f"a number of at least {least} is wanted")
    return int(value)


def number(what: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        refuse(what, key, value, "a number of at least 0 is wanted")
    return float(value)


def mebibytes(what: str, key: str, value: object) -> int:
    return count(what, key, value) >> 20


def refuse(what: str, key: str, value: object, remedy: str) -> NoReturn:
    raise BadCase(f"{what}: {key} {value!r} is not right; {remedy}")
