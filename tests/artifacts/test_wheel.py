# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's wheel: it carries the library under its second name, and runs without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.repository.tree import ROOT, files

#: Where the packages of the wheel come from.
SOURCES = {
    "pvc_cli": "pvc_cli",
    "pvc_node_agent": "pvc_node_agent",
    "pvc_state": "plugins/module_utils/pvc_state",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves its traces beside the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    wanted = (*SOURCES.values(), "pyproject.toml", "README.md", "LICENSE")
    for path in files():
        name = path.relative_to(ROOT)
        if str(name).startswith(wanted):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("pvc_node_agent-*-py3-none-any.whl")
    return built


def test_it_holds_all_packages_whole(wheel: Path) -> None:
    expected = {
        f"{package}/{path.relative_to(ROOT / source)}"
        for package, source in SOURCES.items()
        for path in files()
        if path.is_relative_to(ROOT / source)
    }
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == expected


def test_it_declares_the_commands(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        declared = archive.read(entry_points).decode()
    assert "pvc-node-agent = pvc_node_agent.__main__:main" in declared
    assert "pvc = pvc_cli.__main__:main" in declared


def test_it_runs_from_the_wheel_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "import pvc_state.records, pvc_cli.__main__ as c, pvc_node_agent.__main__ as m; "
        "print(pvc_state.records.__file__, c.__file__, m.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert [Path(file).is_relative_to(tmp_path) for file in done.stdout.split()] == [True, True, True]
