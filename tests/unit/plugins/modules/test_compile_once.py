# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python's way to import from a zip file still is what _compile_once was made for, and that still helps."""

from __future__ import annotations

import importlib
import zipfile
import zipimport
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.pvc.cluster.plugins.module_utils import _compile_once


def test_the_second_compilation_is_spared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "payload.zip", "w") as payload:
        payload.writestr("a_module_in_a_zip.py", "VALUE = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path / "payload.zip"))
    monkeypatch.setattr(zipimport, "_compile_source", vars(zipimport)["_compile_source"])
    importlib.reload(_compile_once)
    compiled: Any = vars(zipimport)["_compile_source"]
    assert importlib.import_module("a_module_in_a_zip").VALUE == 42
    assert (compiled.cache_info().misses, compiled.cache_info().hits) == (1, 1)
