# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that the failure guide quotes is one that the product says."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.repository.tree import ROOT

GUIDE = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
QUOTED = [line[2:] for line in GUIDE.splitlines() if line.startswith("> ")]
#: The names that the guide gives to objects, and who else stands in a sentence of many.
NAMES = re.compile(r"\b(?:node|web|db)[0-9]\b|\b(?:monitor|member)(?= leads)")
#: A message is put together: of a problem and a remedy, of a subject and a reason.
SEAMS = re.compile(r"…|; |: |, and |\.$|\. ")
#: What is left is said by the product, and not by chance.
LONG = 8


def said(node: ast.AST) -> str:
    """A string of a program, with a mark for what differs; empty for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(said(part) or "…" for part in node.values)
    return ""


def sentences() -> str:
    """All strings of the product, one in a line, as a single text."""
    found = []
    for folder in ("plugins", "pvc_node_agent", "pvc_cli"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [text for node in ast.walk(tree) if len(text := said(node)) > 2]
    return "\n".join(found)


SAID = sentences()


def parts(quoted: str) -> list[str]:
    """What has to be in one string of the product."""
    pieces = (piece.strip(" `()") for piece in SEAMS.split(NAMES.sub("…", quoted)))
    return [piece for piece in pieces if len(piece) >= LONG]


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_quoted_message_is_the_products(quoted: str) -> None:
    assert parts(quoted), "nothing of it can be looked for"
    assert [part for part in parts(quoted) if part not in SAID] == []


def test_every_failure_says_what_to_do() -> None:
    failures = re.split(r"^### ", GUIDE, flags=re.MULTILINE)[1:]
    assert len(failures) > 15
    assert [text.splitlines()[0] for text in failures if "*Do:*" not in text] == []
