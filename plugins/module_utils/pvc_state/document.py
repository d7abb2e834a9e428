# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wanted of a whole cluster, or of a part of it, as one document; everything that is wrong in it at once.

A document is a mapping: ``cluster`` (which it is for), ``document`` (its name: the mark of what belongs to it), and one
section per kind of objects, see kinds.py. In a section are the options of the kind's module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import paths
from .errors import InvalidRequest, Refusals
from .kinds import MARK, ORDER, VM, Kind
from .option_check import Path, Problem, Reader
from .reasons import closest

#: What a document says of itself.
HEADER = {"cluster": {"type": "str"}, "document": {"type": "str"}}

_SECTIONS = {kind.section: kind for kind in ORDER}


@dataclass(frozen=True)
class Document:
    """A document that is right by itself.

    Attributes:
        cluster: name of the cluster that it is for; empty: any. name: its mark; empty for none.
        objects: of each kind, by the kind's section: the options of each, as the kind's table gives them.
        places: of each object, by kind and name: where it is in the data.
    """

    cluster: str
    name: str
    objects: Mapping[str, Sequence[dict[str, Any]]]
    places: Mapping[tuple[str, str], Path]


class BadDocument(Refusals):
    """A document that is wrong by itself; ``problems`` says where."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__([problem.error for problem in problems])


def read(data: Any) -> Document:
    """The document in plain data, as YAML or JSON give it; raises BadDocument with all that is wrong."""
    reader = Reader("document", ())
    if not isinstance(data, Mapping):
        reader.options({}, data)
        raise BadDocument(reader.problems)
    header = reader.options(HEADER, {key: data[key] for key in data if key not in _SECTIONS})
    problems = [_helpful(problem) for problem in reader.problems]
    if "document" in header and not paths.NAME.fullmatch(header["document"]):
        problems.append(_problem(("document",), f"{header['document']!r} is no valid name", "use a-z, 0-9 and -"))
    objects: dict[str, list[dict[str, Any]]] = {}
    places: dict[tuple[str, str], Path] = {}
    for kind in ORDER:
        if data.get(kind.section) is None:
            continue
        found = objects[kind.section] = []
        for path, raw in _items(kind, data[kind.section], problems):
            options, wrong = _object(kind, path, raw, header.get("document", ""))
            problems += wrong
            key = (kind.name, str(options.get("name", "")))
            if key in places and not wrong:
                first = places[key][-1]
                problems.append(
                    _problem(
                        (*path, "name"),
                        f"there are two of this name, the other is item {first} of {kind.section}",
                        "name each once",
                        kind.called(key[1]),
                    )
                )
            places.setdefault(key, path)
            found.append(options)
    if not problems:
        problems += _circles(objects.get(VM.section, ()), places)
    if problems:
        raise BadDocument(problems)
    return Document(header.get("cluster", ""), header.get("document", ""), objects, places)


def _items(kind: Kind, raw: Any, problems: list[Problem]) -> Iterator[tuple[Path, Any]]:
    if kind.single:
        yield (kind.section,), raw
    elif isinstance(raw, (list, tuple)):
        yield from (((kind.section, index), item) for index, item in enumerate(raw))
    else:
        problems.append(
            _problem((kind.section,), "it is no list", f"give a list of {kind.section}, each with its name")
        )


def _object(kind: Kind, path: Path, raw: Any, whole: str) -> tuple[dict[str, Any], list[Problem]]:
    name = raw.get("name") if isinstance(raw, Mapping) and not kind.single else ""
    named = kind.single or (isinstance(name, str) and name != "")
    called = kind.called(str(name)) if named else f"item {path[-1]} of {kind.section}"
    reader = Reader(called, path)
    options = reader.options(kind.table, raw)
    problems = []
    for problem in reader.problems:
        key, error = problem.path[-1], problem.error
        instead = kind.excluded.get(str(key)) if len(problem.path) == len(path) + 1 else None
        if key == "state" and isinstance(raw, Mapping):
            instead = kind.states.get(str(raw.get("state")))
        if instead:
            error = InvalidRequest("a document does not take this", obj=called, option=str(key), remedy=instead)
        problems.append(Problem(problem.path, error))
    mark = options.get(MARK, "")
    if isinstance(mark, str) and mark and not (paths.NAME.fullmatch(mark) and whole in ("", mark)):
        wrong = f"the whole document has the name {whole}" if whole else f"{mark!r} is no valid name"
        problems.append(_problem((*path, MARK), wrong, "leave it out here" if whole else "use a-z, 0-9 and -", called))
    if isinstance(name, str) and name and not paths.NAME.fullmatch(name) and not problems:
        problems.append(
            _problem(
                (*path, "name"),
                f"{name!r} is no valid name",
                "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
                called,
            )
        )
    return options, problems


def _circles(vms: Sequence[Mapping[str, Any]], places: Mapping[tuple[str, str], Path]) -> list[Problem]:
    """Copies of copies that end where they began: none of them could ever be the first."""
    origin = {vm["name"]: vm["clone_from"]["vm"] for vm in vms if vm.get("clone_from")}
    found, seen = [], set()
    for start in origin:
        trail: list[str] = []
        name = start
        while name in origin and name not in seen:
            seen.add(name)
            trail.append(name)
            name = origin[name]
            if name in trail:
                circle = [*trail[trail.index(name) :], name]
                path = (*places[VM.name, name], "clone_from", "vm")
                found.append(
                    _problem(
                        path,
                        f"the copies go round in a circle: {' <- '.join(circle)}",
                        "let one of them be no copy",
                        f"vm {name}",
                    )
                )
    return found


def _helpful(problem: Problem) -> Problem:
    """Of a key that nobody knows: the nearest one, sections included."""
    if not problem.error.problem.startswith("there is no option"):
        return problem
    key = str(problem.path[-1])
    return _problem(problem.path, f"a document has no {key}", closest(key, [*HEADER, *_SECTIONS]))


def _problem(path: Path, problem: str, remedy: str, obj: str = "document") -> Problem:
    option = str(path[-1]) if path else ""
    return Problem(path, InvalidRequest(problem, obj=obj, option=option, remedy=remedy))
