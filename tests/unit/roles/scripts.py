# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' scripts as modules. They are sent to nodes through Python's standard input, and live in no package."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from tests.unit.repository.tree import ROOT


def script(role: str, name: str) -> ModuleType:
    """The script ``roles/ROLE/files/NAME.py``."""
    spec = importlib.util.spec_from_file_location(f"{role}_{name}", ROOT / "roles" / role / "files" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
