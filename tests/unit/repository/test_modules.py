# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All modules share the connection options, the attributes and the action group."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.repository.tree import ROOT, load

MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))


def documentation(path: Path) -> dict[str, Any]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            return dict(yaml.safe_load(ast.literal_eval(node.value)))
    raise AssertionError(f"{path}: no DOCUMENTATION")


def test_the_action_group_lists_every_module() -> None:
    assert load(ROOT / "meta" / "runtime.yml")["action_groups"]["cluster"] == [path.stem for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_extends_the_shared_fragments(path: Path) -> None:
    kind = "info" if path.stem.endswith("_info") else "state"
    fragments = set(documentation(path)["extends_documentation_fragment"])
    assert {"pvc.cluster.connection", "pvc.cluster._attributes", f"pvc.cluster._attributes.{kind}"} <= fragments


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_is_a_translator_not_a_program(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
