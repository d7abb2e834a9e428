# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents in YAML files: one file, or all files of a directory as one document; and in which line something stands.

Each file holds a part of the document, in its form. Lists of objects are put together in the order of the files' names;
what there is only one of may be said by one file only. Text is data: nothing in it is a template.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .document import HEADER, BadDocument
from .errors import InvalidRequest
from .kinds import ORDER
from .option_check import Path, Problem
from .reasons import closest

try:
    import yaml
except ImportError:
    HAS_YAML = False
else:
    HAS_YAML = True

#: What files of a directory are read.
SUFFIXES = (".yml", ".yaml", ".json")

_SINGLE = {*HEADER, *(kind.section for kind in ORDER if kind.single)}
_LISTS = {kind.section for kind in ORDER if not kind.single}


@dataclass(frozen=True)
class Text:
    """A file as it was read: its name for errors, and its text."""

    name: str
    text: str


@dataclass(frozen=True)
class Sources:
    """A document in files.

    Attributes:
        data: the whole, for document.read().
        texts: the files. origins: by a section that is a list: of each item the index of its file and its index there;
            by any other key: the index of its file, and None.
    """

    data: dict[str, Any]
    texts: tuple[Text, ...]
    origins: dict[str, list[tuple[int, int | None]]]

    def place(self, path: Path) -> tuple[str, int] | None:
        """File and line of a place in the document, or of the closest thing around it that there is."""
        if not path or path[0] not in self.origins:
            return None
        origins = self.origins[str(path[0])]
        index = path[1] if len(path) > 1 and origins[0][1] is not None else 0
        if not isinstance(index, int) or index >= len(origins):
            return None
        file, inside = origins[index]
        steps = path if inside is None else (path[0], inside, *path[2:])
        return self.texts[file].name, _line(self.texts[file].text, steps)


def found(paths: Sequence[str]) -> list[str]:
    """The files that these names of files and directories stand for; those of a directory in the order of their names."""
    files = []
    for path in paths:
        if not os.path.isdir(path):
            files.append(path)
            continue
        inside = sorted(os.path.join(path, name) for name in os.listdir(path) if name.endswith(SUFFIXES))
        if not inside:
            raise InvalidRequest("it holds no file of YAML", obj=f"directory {path}", remedy="name the files *.yml")
        files += inside
    return files


def load(paths: Sequence[str], read: Callable[[str], str] | None = None) -> Sources:
    """Read files and directories.

    Args:
        read: returns a file's text; by default as it is, in UTF-8. Ansible's reader decrypts what Vault has encrypted.

    Raises InvalidRequest for what cannot be read, BadDocument with all that is wrong in what can.
    """
    return parse([Text(path, (read or _text)(path)) for path in found(paths)])


def parse(texts: Sequence[Text]) -> Sources:
    """Put the parts of a document together."""
    if not HAS_YAML:
        raise InvalidRequest("it needs PyYAML", obj="document", remedy="install python3-yaml")
    data: dict[str, Any] = {}
    origins: dict[str, list[tuple[int, int | None]]] = {}
    problems: list[_At] = []
    for index, text in enumerate(texts):
        part = _loaded(text, problems)
        if part is None:
            continue
        if not isinstance(part, dict):
            problems.append(_At(text, 1, _problem("it is no mapping", "begin with sections such as vms: and nodes:")))
            continue
        for key, value in part.items():
            if key in _LISTS and isinstance(value, list):
                data.setdefault(key, []).extend(value)
                origins.setdefault(key, []).extend((index, inside) for inside in range(len(value)))
            elif key in data and value is not None:
                line = _line(text.text, (key,))
                first = texts[origins[key][0][0]].name
                problems.append(_At(text, line, _problem("it is given twice", f"{first} has it, too: keep one", key)))
            elif key not in _LISTS | _SINGLE:
                line = _line(text.text, (key,))
                remedy = closest(str(key), sorted(_LISTS | _SINGLE))
                problems.append(_At(text, line, _problem(f"a document has no {key}", remedy, str(key))))
            elif value is not None:
                data[key] = value
                origins[key] = [(index, None)]
    if problems:
        raise Unreadable(problems)
    return Sources(data, tuple(texts), origins)


@dataclass(frozen=True)
class _At:
    """An error with its file and line."""

    text: Text
    line: int
    error: InvalidRequest


class Unreadable(BadDocument):
    """Files that are no parts of a document; ``places`` has file and line of each problem."""

    def __init__(self, problems: Sequence[_At]) -> None:
        super().__init__([Problem((), one.error) for one in problems])
        self.places = tuple((one.text.name, one.line) for one in problems)


def _problem(problem: str, remedy: str, option: str = "") -> InvalidRequest:
    return InvalidRequest(problem, obj="document", option=option, remedy=remedy)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "it is not in UTF-8"
        raise InvalidRequest(
            f"it cannot be read: {reason}", obj=f"file {path}", remedy="name a file or a directory of YAML files"
        ) from err


class _Twice(Exception):
    """A key that a mapping has twice: the second would hide the first."""

    def __init__(self, key: str, line: int) -> None:
        self.problem = f"the key {key} is in one mapping twice"
        self.line = line


def _loader(text: str) -> Any:
    return _loader_class()(text)


@functools.cache
def _loader_class() -> Any:
    """Safe YAML of which only what looks like a number is one.

    YAML 1.1 takes ``0123`` for octal, ``52:54:00:12:34:56`` for a number to base sixty, and ``2026-01-31`` for a date. Whoever
    writes these here means a name, an address, a text.
    """

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    other = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in other]
        for first, resolvers in Loader.yaml_implicit_resolvers.items()
    }
    whole, fraction = r"[-+]?(0|[1-9][0-9]*)$", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+$"
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(whole), list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(fraction), list("-+0123456789"))
    return Loader


def _loaded(text: Text, problems: list[_At]) -> Any:
    try:
        loader = _loader(text.text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _no_key_twice(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, RecursionError, _Twice) as err:
        mark = getattr(err, "problem_mark", None)
        line = getattr(err, "line", mark.line if mark is not None else 0) + 1
        said = getattr(err, "problem", None) or str(err)
        problems.append(
            _At(text, line, _problem(f"it is no YAML: {said}", "mend it; the line is where it was noticed"))
        )
        return None


def _no_key_twice(root: Any) -> None:
    waiting, known = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in known or isinstance(node, yaml.ScalarNode):
            continue
        known.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        keys: set[Any] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in keys:
                    raise _Twice(key.value, key.start_mark.line)
                keys.add(key.value)
            waiting.append(value)


@functools.lru_cache(maxsize=8)
def _composed(text: str) -> Any:
    """A text that has been read before, again with its lines: only errors ask for them, and then often for many."""
    return _loader(text).get_single_node()


def _line(text: str, path: Path) -> int:
    """The line of a place in a text, counted from 1: of its key, or of its item."""
    node = _composed(text)
    line = node.start_mark.line if node is not None else 0
    for step in path:
        following = _step(node, step)
        if following is None:
            break
        line, node = following
    return int(line) + 1


def _step(node: Any, step: str | int) -> tuple[int, Any] | None:
    if isinstance(node, yaml.MappingNode):
        matching = ((key.start_mark.line, value) for key, value in node.value if key.value == str(step))
        return next(matching, None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line, node.value[step]
    return None
