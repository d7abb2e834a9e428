# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""All roles have one shape, and their variables are documented where they are set."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.repository.tree import ROOT, load

ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
SHAPE = [
    "README.md",
    "defaults/main.yml",
    "meta/argument_specs.yml",
    "meta/main.yml",
    "tasks/main.yml",
    "tasks/preflight.yml",
]
#: What tasks/main.yml brings in, in this order; preflight first, the others where there is something to do.
STEPS = ["preflight", "install", "configure", "service"]


def entry_points(role: str) -> dict[str, dict[str, Any]]:
    specs = load(ROOT / "roles" / role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: spec.get("options") or {} for name, spec in specs.items()}


def steps_of(role: str) -> list[str]:
    """The files that tasks/main.yml brings in, in its order, whatever blocks they are in."""

    def walk(tasks: list[dict[str, Any]]) -> list[str]:
        found = []
        for task in tasks:
            for key, value in task.items():
                if key.rpartition(".")[2] in {"import_tasks", "include_tasks"}:
                    found.append((value["file"] if isinstance(value, dict) else value).removesuffix(".yml"))
                elif key in {"block", "rescue", "always"}:
                    found += walk(value)
        return found

    return walk(load(ROOT / "roles" / role / "tasks" / "main.yml"))


def test_there_are_roles() -> None:
    assert ROLES


@pytest.mark.parametrize("role", ROLES)
def test_role_has_the_files_of_the_shape(role: str) -> None:
    assert [name for name in SHAPE if not (ROOT / "roles" / role / name).is_file()] == []


@pytest.mark.parametrize("role", ROLES)
def test_main_is_a_table_of_contents(role: str) -> None:
    steps = [step for step in steps_of(role) if step in STEPS]
    present = [step for step in STEPS if (ROOT / "roles" / role / "tasks" / f"{step}.yml").is_file()]
    assert steps == present


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_equal_defaults(role: str) -> None:
    documented = {name for options in entry_points(role).values() for name in options}
    assert documented == set(load(ROOT / "roles" / role / "defaults" / "main.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_a_documented_default_is_the_default(role: str) -> None:
    defaults = load(ROOT / "roles" / role / "defaults" / "main.yml")
    for options in entry_points(role).values():
        for name, spec in options.items():
            if "default" in spec:
                assert spec["default"] == defaults[name], name


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_its_tasks(role: str) -> None:
    for name in entry_points(role):
        assert (ROOT / "roles" / role / "tasks" / f"{name}.yml").is_file()


@pytest.mark.parametrize("role", ROLES)
def test_every_option_is_described(role: str) -> None:
    for options in entry_points(role).values():
        for name, spec in options.items():
            assert spec.get("description"), name
            assert spec.get("type"), name


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_calls_the_role_by_its_full_name(role: str) -> None:
    assert f"pvc.cluster.{role}" in (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
