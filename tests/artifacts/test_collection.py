# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's artifact: what is in it, and that four of its directories are enough to run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.unit.repository.tree import ROOT, files

#: What users get. Everything else of the repository is for its authors.
CONTENT = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "changelogs",
    "docs",
    "extensions",
    "inventory-examples",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
RUN_TIME = ("extensions", "meta", "playbooks", "plugins", "roles")
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("artifact")
    command = [BIN / "ansible-galaxy", "collection", "build", "--output-path", out, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = out.glob("pvc-cluster-*.tar.gz")
    return built


def members(artifact: Path) -> set[str]:
    with tarfile.open(artifact) as tar:
        return {member.name for member in tar.getmembers() if member.isfile()} - {"MANIFEST.json", "FILES.json"}


def test_it_holds_what_users_need_and_no_more(artifact: Path) -> None:
    assert {name.partition("/")[0] for name in members(artifact)} == CONTENT


def test_it_holds_nothing_but_the_repository(artifact: Path) -> None:
    known = {str(path.relative_to(ROOT)) for path in files()}
    assert members(artifact) - known == set()


def test_it_lacks_nothing_of_what_runs(artifact: Path) -> None:
    known = {str(path.relative_to(ROOT)) for path in files()}
    needed = {name for name in known if name.startswith(tuple(f"{folder}/" for folder in RUN_TIME))}
    assert needed - members(artifact) == set()


@pytest.fixture(scope="module")
def installed(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection path with the run-time directories only, far from the checkout and its configuration."""
    path = tmp_path_factory.mktemp("collections")
    (path / "ansible.cfg").touch()
    with tarfile.open(artifact) as tar:
        wanted = [member for member in tar.getmembers() if member.name.partition("/")[0] in RUN_TIME]
        tar.extractall(path / "ansible_collections/pvc/cluster", members=wanted, filter="data")
    return path


def ansible(program: str, *arguments: str, collections: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PVC_", "PYTHON"))}
    env |= {
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_CONFIG": str(collections / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "true",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    command = [BIN / program, *arguments]
    return subprocess.run(command, cwd=collections, env=env, check=False, capture_output=True, text=True)


def test_its_modules_run(installed: Path) -> None:
    """As far as the store, that is: nobody listens on port 1, and the module says so in its own words."""
    options = "hosts=127.0.0.1:1 password=x tls=false connect_timeout=1"
    done = ansible("ansible", "localhost", "-m", "pvc.cluster.vm_info", "-a", options, collections=installed)
    result = json.loads(done.stdout)["plays"][0]["tasks"][0]["hosts"]["localhost"]
    assert result["failed"]
    assert "127.0.0.1:1" in result["msg"]
    assert result["remedy"]


def test_its_playbooks_and_roles_are_found(installed: Path) -> None:
    done = ansible("ansible-playbook", "--syntax-check", "pvc.cluster.site", collections=installed)
    assert done.returncode == 0, done.stdout + done.stderr
