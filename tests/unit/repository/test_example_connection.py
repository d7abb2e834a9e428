# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example repository's connection.sh gives the password that the inventory has, whatever is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.repository.tree import ROOT

EXAMPLE = ROOT / "inventory-examples" / "infra-repo"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in ("ansible.cfg", "connection.sh"):
        shutil.copy(EXAMPLE / name, tmp_path)
    (tmp_path / "inventory" / "group_vars").mkdir(parents=True)
    (tmp_path / "inventory" / "hosts.yml").write_text("all: {hosts: {node1: {}}}\n")
    return tmp_path


def sourced(repository: Path, variables: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """What a shell has as the password after it."""
    (repository / "inventory" / "group_vars" / "all.yml").write_text(yaml.safe_dump(variables))
    left_out = ("ANSIBLE_CONFIG", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        ["sh", "-c", '. ./connection.sh; printf %s "$PVC_PASSWORD"'],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("password", ["correct-horse", "12345678", "@bc", "a: b", "x #y", '{"=> \\ Ä}'])
def test_it_is_the_inventorys_password(repository: Path, password: str) -> None:
    assert sourced(repository, {"pvc_zookeeper_password": password}).stdout == password


def test_a_number_is_a_password_too(repository: Path) -> None:
    assert sourced(repository, {"pvc_zookeeper_password": 12345678}).stdout == "12345678"


def test_without_a_password_it_says_why(repository: Path) -> None:
    done = sourced(repository, {})
    assert done.stdout == ""
    assert "'pvc_zookeeper_password' is undefined" in done.stderr
    assert "Traceback" not in done.stderr
