# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The JSON Schema of documents, made of the tables of options: editors complete and check documents with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .document import HEADER
from .kinds import ORDER
from .paths import NAME

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: YAML has several ways to write one value; each that documents take is right for editors, too.
_TYPES: Mapping[str, Mapping[str, Any]] = {
    "str": {"type": ["string", "integer", "number", "boolean"]},
    "path": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
}

#: Descriptions of options, as nested as the options: of each its text, and below ``options`` those of its own.
Words = Mapping[str, Any]


def schema(words: Mapping[str, Words] | None = None) -> dict[str, Any]:
    """The schema.

    Args:
        words: of each section: descriptions of its options.
    """
    told = words or {}
    name = {"type": "string", "pattern": f"^{NAME.pattern}$"}
    sections: dict[str, Any] = {}
    for kind in ORDER:
        one = _object(kind.table, told.get(kind.section, {}))
        if kind.single:
            sections[kind.section] = one
        else:
            one["properties"]["name"] = {**name, **_said(told.get(kind.section, {}).get("name"))}
            sections[kind.section] = {"type": "array", "items": one}
    header = {key: dict(name) for key in HEADER}
    header["cluster"]["description"] = "The cluster that the document is for; no other one takes it."
    header["document"]["description"] = "Its name, which everything that it asks for is marked with."
    return {
        "$schema": DIALECT,
        "title": "A document of pvc.cluster.apply",
        "type": "object",
        "additionalProperties": False,
        "properties": {**header, **sections},
    }


def _object(table: Mapping[str, Mapping[str, Any]], words: Words) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _value(spec, words.get(name)) for name, spec in table.items()},
    }
    required = [name for name, spec in table.items() if spec.get("required")]
    return {**found, "required": required} if required else found


def _value(spec: Mapping[str, Any], words: Words | None) -> dict[str, Any]:
    said = _said(words)
    if spec["type"] == "list":
        inner = {key: value for key, value in spec.items() if key != "default"}
        return {**said, "type": "array", "items": _value({**inner, "type": spec["elements"]}, _inner_words(words))}
    if spec["type"] == "dict":
        if "options" in spec:
            return {**said, **_object(spec["options"], (words or {}).get("options", {}))}
        return {**said, "type": "object"}
    found = {**said, **_TYPES[spec["type"]]}
    if "choices" in spec:
        # what is chosen by a word is written as one
        found = {**said, "enum": list(spec["choices"])}
    return {**found, "default": spec["default"]} if "default" in spec else found


def _inner_words(words: Words | None) -> Words | None:
    return {"options": words["options"]} if words and "options" in words else None


def _said(words: Words | None) -> dict[str, str]:
    return {"description": words["text"]} if words and words.get("text") else {}
