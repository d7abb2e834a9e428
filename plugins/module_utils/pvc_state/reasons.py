# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes and what speaks against each, as one sentence. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

#: How many nodes a sentence names before it counts the rest.
NAMED = 3

#: How many nodes, or different reasons, a sentence lists one by one.
MANY = 12


def grouped(against: Mapping[str, str]) -> str:
    """Nodes and reasons as one sentence; where there are many, nodes with the same reason share it."""
    if len(against) <= MANY:
        return ", ".join(f"{node} {reason}" for node, reason in against.items())
    nodes: dict[str, list[str]] = {}
    for node, reason in against.items():
        nodes.setdefault(reason, []).append(node)
    parts = [f"{_each(names)} {reason}" for reason, names in nodes.items()]
    more = len(parts) - MANY
    return ", ".join(parts[:MANY]) + (f", and there are {more} more reasons" if more > 0 else "")


def listed(names: Sequence[str], most: int = NAMED) -> str:
    """Names, the first few of many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def closest(word: str, known: Collection[str], otherwise: str = "") -> str:
    """What somebody who wrote this word may have meant, as a remedy; where nothing is like it, something else, or all."""
    near = get_close_matches(word, known, 1)
    return f"did you mean {near[0]}?" if near else otherwise or f"give one of {', '.join(sorted(known))}"


def _each(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"each of {listed(names)}"
