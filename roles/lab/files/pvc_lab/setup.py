# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs from the role's own files: the look at this machine, and the installation of the program itself."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from .daemon import is_locked, write_atomically
from .preflight import inspect, missing

SOURCE = Path(__file__).resolve().parent.parent
TREES = {"pvc_lab": "lib/pvc_lab", "skeleton": "skeleton", "guest": "guest-recipe"}
LAUNCHER = "bin/pvc-lab"
FOLDERS = {".": 0o755, "nodes": 0o755, "secrets": 0o700, "ssh": 0o700}


def install(source: Path, target: Path) -> bool:
    """Make the program in the state folder equal to the role's, in one go; tells whether anything differed."""
    wanted = {LAUNCHER: source / LAUNCHER}
    for tree, place in TREES.items():
        for path in sorted((source / tree).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                wanted[f"{place}/{path.relative_to(source / tree)}"] = path
    changed = False
    for name, mode in FOLDERS.items():
        changed |= ensure_folder(target / name, mode)
    for place in TREES.values():
        for path in sorted((target / place).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(target)) not in wanted:
                path.unlink()
                changed = True
    for name, path in wanted.items():
        content = path.read_text()
        existing = target / name
        if not existing.exists() or existing.read_text() != content:
            write_atomically(existing, content)
            changed = True
        existing.chmod(0o755 if name == LAUNCHER else 0o644)
    return changed


def ensure_folder(path: Path, mode: int) -> bool:
    """Make a folder with its mode; tells whether anything was done."""
    if path.is_dir() and path.stat().st_mode & 0o7777 == mode:
        return False
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    return True


def preflight(options: argparse.Namespace) -> int:
    """Print what is missing, in one line; status 1 if anything is."""
    folders = [options.directory / "nodes" / name for name in options.nodes.split(",") if name]
    off = [path for path in folders if not is_locked(path / "supervisor.lock")] if os.geteuid() == 0 else folders
    bridges = [entry["bridge"] for entry in options.networks]
    lacking = missing(
        inspect(options.directory, bridges),
        memory_mb=options.memory_mb * len(off),
        disk_gb=options.disk_gb if any(not (path / "layers.json").exists() for path in folders) else 1,
        bridges=bridges,
    )
    if lacking:
        sys.stdout.write("The lab needs " + "; ".join(lacking) + ". Nothing was changed.\n")
    return 1 if lacking else 0


def main() -> int:
    """setup.py preflight|install ..."""
    parser = argparse.ArgumentParser(prog="setup.py")
    parser.add_argument("--directory", type=Path, required=True, help="the state folder")
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser("preflight")
    look.add_argument("--memory-mb", type=int, default=2048, help="for each node that is not running")
    look.add_argument("--disk-gb", type=int, default=15, help="for nodes that are not built yet")
    look.add_argument("--networks", type=json.loads, default=[], help="as in the role's defaults")
    look.add_argument("nodes", nargs="?", default="node1,node2,node3", help="their names, with commas")
    commands.add_parser("install")
    options = parser.parse_args()
    if options.command == "preflight":
        return preflight(options)
    outcome = "installed" if install(SOURCE, options.directory) else "unchanged"
    sys.stdout.write(f"program: {outcome}\n")
    return 0
