# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may import whom: the rules of the tree, as a function over any tree of the same layout.

records <- snapshot <- placement, plans <- everything else of pvc_state <- modules and agent. A file of pvc_state that
no layer names is on top of it: it may use all layers, and none of them may use it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: From the bottom up; a layer may import itself and those before it. Plans (``plan_…``) and reports (``…_report``) belong to the
#: last one without being named.
LAYERS = (
    frozenset(
        {
            "errors",
            "paths",
            "store",
            "codec",
            "vm_records",
            "fence_records",
            "commit_records",
            "records",
            "requests",
            "fence_devices",
        }
    ),
    frozenset({"staging", "snapshot", "overview"}),
    frozenset({"commit_log", "history"}),
    frozenset(
        {
            "admission",
            "balance_search",
            "cpu_fit",
            "document",
            "document_schema",
            "ha_budget",
            "happening",
            "happenings",
            "happenings_fences",
            "happenings_services",
            "happenings_vms",
            "hardware_changes",
            "health",
            "health_view",
            "host_devices",
            "inventory",
            "kinds",
            "node_limits",
            "node_options",
            "node_spec",
            "occupancy",
            "option_check",
            "option_export",
            "option_values",
            "placement",
            "plan",
            "question",
            "reasons",
            "rule_book",
            "rule_conflicts",
            "rule_spec",
            "scores",
            "settings_spec",
            "shares",
            "spare",
            "spread",
            "views",
            "vm_hardware_options",
            "vm_options",
            "vm_parting",
            "vm_rules",
            "vm_spec",
            "xml_overlay",
        }
    ),
)
#: Layers of pure functions: what they decide depends on their arguments only.
PURE = LAYERS[1] | LAYERS[2] | LAYERS[3]
#: What the world can be seen or changed with; a pure layer has no use for them.
IMPURE = frozenset(
    {"asyncio", "datetime", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}
)

LIBRARY = Path("plugins/module_utils/pvc_state")
AGENT = Path("pvc_node_agent")
CLI = Path("pvc_cli")
NODE_BINDINGS = frozenset({"libvirt", "rados", "rbd", "systemd"})


@dataclass(frozen=True)
class Import:
    """One imported module as written: `level` counts the leading dots, `guarded` is true inside a try block."""

    path: Path
    line: int
    level: int
    name: str
    guarded: bool

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: imports {'.' * self.level}{self.name}"


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """All imports of a file, those in functions and under TYPE_CHECKING too: they are dependencies all the same."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Try)
        for statement in node.body
        for inner in ast.walk(statement)
    }
    where = path.relative_to(root)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(where, node.lineno, 0, alias.name, id(node) in guarded)
        elif isinstance(node, ast.ImportFrom):
            # `from . import a, b` names modules, `from .a import b` names something in one.
            names = [node.module] if node.module else [alias.name for alias in node.names]
            for name in names:
                yield Import(where, node.lineno, node.level, name, id(node) in guarded)


def violations(root: Path) -> list[str]:
    """What breaks a rule below `root`, one line each; empty for a tree in order."""
    found = [
        imported
        for path in _sources(root, "plugins", "pvc_node_agent", "pvc_cli")
        for imported in imports_of(path, root)
    ]
    broken = [f"{imported}: {why}" for imported in found for why in _broken_by(imported)]
    kazoo_files = sorted({imported.path for imported in found if imported.top == "kazoo"})
    if len(kazoo_files) > 1:
        broken.append(f"kazoo is imported in {', '.join(map(str, kazoo_files))}: only one file may")
    return [*broken, *_roles_that_look_around(root)]


def _sources(root: Path, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((root / folder).rglob("*.py"))


def _broken_by(imported: Import) -> Iterator[str]:
    in_library = imported.path.is_relative_to(LIBRARY)
    if imported.top == "kazoo" and not imported.guarded:
        yield "the import of kazoo is not guarded by try"
    if in_library:
        yield from _broken_in_library(imported)
    elif imported.path.is_relative_to(AGENT):
        if imported.top in {"ansible", "ansible_collections"}:
            yield "the agent runs where there is no Ansible"
        if imported.top == "pvc_cli":
            yield "the agent knows nothing of the command line"
    elif imported.path.is_relative_to(CLI):
        if imported.top in {"ansible", "ansible_collections", "pvc_node_agent"}:
            yield "the command line knows the library only"
    else:
        if imported.top in {"pvc_cli", "pvc_node_agent"}:
            yield "a plugin runs where there is no agent"
        if imported.level == 0 and imported.top == "pvc_state":
            yield "plugins reach pvc_state through their collection: import it relatively"
    if not imported.path.is_relative_to(AGENT) and imported.top in NODE_BINDINGS:
        yield "only the agent talks to the node's own daemons"


def _broken_in_library(imported: Import) -> Iterator[str]:
    if imported.level == 0:
        if imported.top in {"ansible", "ansible_collections", "pvc_cli", "pvc_node_agent"}:
            yield "the library depends on neither Ansible nor the agent"
        if imported.top == "pvc_state":
            yield "the library has two names, so it imports itself relatively"
        component = _component(imported.path)
        if imported.top in IMPURE and (component in PURE or _is_planning(component)):
            yield "this layer is pure"
        return
    depth = len(imported.path.relative_to(LIBRARY).parts)
    if imported.level > depth:
        yield "this leads out of the library"
    elif imported.level == depth:
        own, other = _layer(_component(imported.path)), _layer(imported.top)
        if other > own:
            yield "this is a layer above its own"


def _component(path: Path) -> str:
    """The file or folder of pvc_state that a path belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def _layer(component: str) -> int:
    if _is_planning(component):
        return len(LAYERS) - 1
    return next((rank for rank, names in enumerate(LAYERS) if component in names), len(LAYERS))


def _is_planning(component: str) -> bool:
    return component.startswith("plan_") or component.endswith("_report")


def _roles_that_look_around(root: Path) -> Iterator[str]:
    """A role is used alone: what it reads lies in it, or comes in a variable."""
    for path in sorted((root / "roles").glob("*/*/**/*")):
        where = path.relative_to(root)
        if path.suffix in {".yml", ".j2"} and path.is_file():
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for clue in ("../", "playbook_dir"):
                    if clue in line and not line.lstrip().startswith("#"):
                        yield f"{where}:{number}: {clue} leads out of the role"
        elif path.suffix == ".py":
            for imported in imports_of(path, root):
                if imported.level == 0 and imported.top in {"pvc_state", "pvc_node_agent", "ansible_collections"}:
                    yield f"{imported}: this lies outside the role"
