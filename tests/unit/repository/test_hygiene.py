# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no file of the repository may hold, and what its documents promise."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.unit.repository.tree import ROOT, load, texts

TEXTS = texts()
DOCUMENTS = sorted(name for name in TEXTS if name.endswith(".md"))

#: Package mirrors and registries: the product uses whatever its host is configured with.
REGISTRY = re.compile(
    r"\b(?:deb|ftp|security|snapshot)\.(?:\w+\.)?debian\.org\b|\bpythonhosted\.org\b|\bgalaxy\.ansible\.com/api\b"
)
#: Written so that this file does not match itself.
UNFINISHED = re.compile(r"\b(?:TO[D]O|FIX[M]E|X[X]X)\b")
SKIPPED = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail|importorskip)\b|unittest\.skip")


def matches(pattern: re.Pattern[str], suffixes: tuple[str, ...] = ("",)) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in TEXTS.items()
        if name.endswith(suffixes)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_every_program_carries_the_licence() -> None:
    programs = [
        name
        for name, text in TEXTS.items()
        if text and (name.endswith((".py", ".mk", "Makefile", ".toml")) or text.startswith("#!"))
    ]
    lacking = [name for name in programs if "SPDX-License-Identifier: GPL-3.0-or-later" not in TEXTS[name][:600]]
    assert lacking == []


def test_no_mirror_is_named() -> None:
    assert matches(REGISTRY) == []


def test_the_place_of_this_checkout_is_not_named() -> None:
    # A short path such as /src would be found by accident.
    if len(ROOT.parts) > 2:
        assert matches(re.compile(re.escape(str(ROOT)) + r"\b")) == []


def test_nothing_is_left_for_later() -> None:
    assert matches(UNFINISHED) == []


def test_no_test_is_skipped() -> None:
    assert matches(SKIPPED, (".py",)) == []


def test_ignore_files_of_the_sanity_tests_are_empty() -> None:
    ignores = sorted((ROOT / "tests" / "sanity").glob("ignore-*.txt"))
    assert ignores
    assert [path.name for path in ignores if path.read_text().strip()] == []


def test_one_version_everywhere() -> None:
    version = load(ROOT / "galaxy.yml")["version"]
    assert tomllib.loads(TEXTS["pyproject.toml"])["project"]["version"] == version
    changelog = re.match(r"pvc-node-agent \(([^)-]+)(?:-[^)]+)?\)", TEXTS["debian/changelog"])
    assert changelog
    assert changelog[1] == version


def test_dependencies_are_the_collections_in_use() -> None:
    used = {
        match
        for name, text in TEXTS.items()
        if name.startswith(("roles/", "playbooks/", "plugins/")) and name.endswith((".yml", ".j2", ".py"))
        for match in re.findall(r"\b((?:ansible|community)\.\w+)\.\w+", text)
    }
    used -= {
        "ansible.builtin",
        "ansible.module_utils",
        "ansible.plugins",
        "ansible.errors",
        "ansible.executor",
        "ansible.playbook",
    }
    declared = load(ROOT / "galaxy.yml")["dependencies"]
    assert used == set(declared)
    required = load(ROOT / "collections" / "requirements.yml")["collections"]
    assert {entry["name"]: entry["version"] for entry in required} == declared


def make_targets() -> set[str]:
    listed = subprocess.run(["make", "--silent", "help"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"^  make ([a-z-]+)", listed, re.MULTILINE))


def test_help_lists_what_is_no_file() -> None:
    declared = {
        name
        for makefile in ("Makefile", "lab.mk")
        for line in re.findall(r"^\.PHONY:(.*)", TEXTS[makefile], re.MULTILINE)
        for name in line.split()
    }
    assert make_targets() <= declared


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_make_targets_of_a_document_exist(document: str) -> None:
    code = re.findall(r"```.*?```|`[^`\n]+`", TEXTS[document], re.DOTALL)
    commands = re.findall(r"(?:^|`|\s&& )make ([^#`\n]*)", "\n".join(code), re.MULTILINE)
    named = {word for command in commands for word in command.split() if re.fullmatch(r"[a-z][a-z-]*", word)}
    assert named <= make_targets()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_links_of_a_document_lead_somewhere(document: str) -> None:
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", TEXTS[document])]
    folder = Path(ROOT / document).parent
    assert [t for t in targets if t and not re.match(r"[a-z]+:", t) and not (folder / t).exists()] == []
