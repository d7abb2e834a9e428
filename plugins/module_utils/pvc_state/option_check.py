# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data against a table of options: what is wrong, all at once and each with its place; else what the options come to.

Tables have the form of Ansible's argument specs, and what is right comes out as Ansible would hand it to a module. What a
value may be beyond its type is asked later, by the plan.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Union

from .errors import InvalidRequest
from .reasons import closest

#: Where something is in a document: keys of mappings and indexes of lists, from the outside in.
Path = tuple[Union[str, int], ...]

Options = Mapping[str, Mapping[str, Any]]

#: How Ansible reads truth from texts.
_TRUE, _FALSE = ("true", "yes", "on", "1", "y", "t"), ("false", "no", "off", "0", "n", "f")


@dataclass(frozen=True)
class Problem:
    """What is wrong at one place of a document."""

    path: Path
    error: InvalidRequest


def option(path: Iterable[str | int]) -> str:
    """A path below an object in the words of errors: ``disks[0].size``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


class Reader:
    """Reads one object; problems of all its options are kept.

    Args:
        obj: the object in errors' words, such as ``vm web1``. path: where it is in the document.
    """

    def __init__(self, obj: str, path: Path) -> None:
        self.obj = obj
        self.path = path
        self.problems: list[Problem] = []

    def options(self, table: Options, raw: Any, *where: str | int) -> dict[str, Any]:
        """The options in a mapping, defaults of the table included; those that are not given are left out."""
        if not isinstance(raw, Mapping):
            self._wrong(where, f"it is {_kind(raw)}, not a mapping of options", "give options with their values")
            return {}
        for key in raw:
            if key not in table:
                self._wrong((*where, str(key)), f"there is no option {key}", closest(str(key), table))
        found = {}
        for name, spec in table.items():
            value = raw.get(name)
            if value is not None:
                found[name] = self._value(spec, value, (*where, name))
            elif spec.get("required"):
                self._wrong((*where, name), "it is missing", "give it")
            elif "default" in spec:
                found[name] = spec["default"]
        return found

    def _value(self, spec: Mapping[str, Any], raw: Any, where: Path) -> Any:
        kind = spec["type"]
        if kind == "list":
            if not isinstance(raw, (list, tuple)):
                self._wrong(where, f"it is {_kind(raw)}, not a list", "give a list")
                return []
            inner = {**spec, "type": spec["elements"]}
            return [self._value(inner, item, (*where, index)) for index, item in enumerate(raw)]
        if kind == "dict":
            if "options" in spec:
                # None for what is left out, as Ansible has it
                return {**dict.fromkeys(spec["options"]), **self.options(spec["options"], raw, *where)}
            if not isinstance(raw, Mapping):
                self._wrong(where, f"it is {_kind(raw)}, not a mapping", "give keys with their values")
                return {}
            return dict(raw)
        value = _SCALARS[kind](raw)
        if value is None:
            self._wrong(where, f"{_shown(raw)} is no {_WORDS[kind]}", f"give a {_WORDS[kind]}")
        elif "choices" in spec and value not in spec["choices"]:
            self._wrong(where, f"{_shown(raw)} is not possible", closest(str(value), [*map(str, spec["choices"])]))
        return value

    def _wrong(self, where: Path, problem: str, remedy: str) -> None:
        error = InvalidRequest(problem, obj=self.obj, option=option(where), remedy=remedy)
        self.problems.append(Problem((*self.path, *where), error))


def _kind(raw: Any) -> str:
    if isinstance(raw, Mapping):
        return "a mapping"
    return "a list" if isinstance(raw, (list, tuple)) else f"the value {_shown(raw)}"


def _shown(raw: Any) -> str:
    """A value in an error, not the whole of a long one."""
    if isinstance(raw, int) and not -_LARGEST < raw < _LARGEST:
        return "a number of very many digits"
    return _SHORT.repr(raw)


def _text(raw: Any) -> str | None:
    # As Ansible does: whoever writes 2048 or true where a text is wanted means just that.
    if isinstance(raw, int) and not -_LARGEST < raw < _LARGEST:
        return None  # Python itself refuses to write numbers of thousands of digits
    return str(raw) if isinstance(raw, (str, int, float)) else None


def _number(raw: Any) -> int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, str):
        return int(raw) if re.fullmatch(r"\s*[+-]?[0-9]{1,20}\s*", raw) else None
    if isinstance(raw, float):
        return int(raw) if raw.is_integer() and abs(raw) < _LARGEST else None
    return raw if isinstance(raw, int) and -_LARGEST < raw < _LARGEST else None


def _fraction(raw: Any) -> float | None:
    if isinstance(raw, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,20}(\.[0-9]{1,20})?\s*", raw):
        return float(raw)
    return float(raw) if isinstance(raw, (int, float)) and not isinstance(raw, bool) else None


def _truth(raw: Any) -> bool | None:
    if isinstance(raw, bool):
        return raw
    word = str(raw).lower() if isinstance(raw, (str, int)) else ""
    return True if word in _TRUE else False if word in _FALSE else None


#: No option means a larger number.
_LARGEST = 10**30

#: Only the beginning of what is long or nested: all of it may be far larger than the text that it was read from.
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlevel = 2
_SHORT.maxlist = _SHORT.maxdict = 3

_SCALARS = {"str": _text, "path": _text, "int": _number, "float": _fraction, "bool": _truth}
_WORDS = {
    "str": "text",
    "path": "path",
    "int": "whole number",
    "float": "number",
    "bool": "truth value (true or false)",
}
