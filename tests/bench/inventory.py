# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten thousand VMs by `ansible-inventory --list`: from the cluster, and from a static file with the same hosts, groups and variables.

The file is JSON, which is what Ansible reads fastest: the same in YAML takes several times as long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ansible_collections.pvc.cluster.plugins.modules import vm

from tests.bench.bulk import vms
from tests.bench.cluster import tree, zookeeper
from tests.bench.figure import Figure
from tests.bench.playbook import ROOT
from tests.unit.plugins.modules.harness import run

COUNT = 10_000
TURNS = 3
TIMES_STATIC = 1.3


def measure() -> list[Figure]:
    seconds: dict[str, list[float]] = {"anew": [], "kept": [], "static": []}
    with (
        TemporaryDirectory(prefix="pvc-bench-") as directory,
        zookeeper() as server,
        tree(server, "/bench") as connection,
    ):
        place = Path(directory)
        described = [
            {**one, "metadata": {"address": f"10.0.{index >> 8}.{index & 255}"}} for index, one in enumerate(vms(COUNT))
        ]
        made = run(vm, {**connection, "vms": described, "wait": False})
        if made.get("failed"):
            raise RuntimeError(f"the VMs could not be made: {made}"[:2000])
        source = {"plugin": "pvc.cluster.pvc", **connection, "cache_directory": str(place / "kept")}
        (place / "pvc.yml").write_text(json.dumps(source))
        dynamic = listed(place / "pvc.yml")[1]
        (place / "static.json").write_text(json.dumps(static(dynamic)))
        for _turn in range(TURNS):
            for name, file, arguments in (
                ("anew", "pvc.yml", ["--flush-cache"]),
                ("kept", "pvc.yml", []),
                ("static", "static.json", []),
            ):
                elapsed, shown = listed(place / file, *arguments)
                # A figure of something else than what was meant is none.
                if hosts_and_groups(shown) != hosts_and_groups(dynamic):
                    raise RuntimeError(f"{file} shows other hosts than it should")
                seconds[name].append(elapsed)
    reference = median(seconds["static"])
    return [
        Figure(
            f"inventory of {COUNT} VMs, {how} (beside a file)",
            median(seconds[name]),
            "s",
            reference,
            TIMES_STATIC * reference,
        )
        for name, how in (("anew", "read anew"), ("kept", "kept"))
    ]


def static(shown: Mapping[str, Any]) -> dict[str, Any]:
    """The same as an inventory that somebody has written."""
    groups = hosts_and_groups(shown)
    hosts = groups.pop("_meta")["hostvars"]
    children = {name: {"hosts": dict.fromkeys(group["hosts"])} for name, group in groups.items()}
    return {"all": {"hosts": hosts, "children": children}}


def hosts_and_groups(shown: Mapping[str, Any]) -> dict[str, Any]:
    """What is compared: everything but the order of groups."""
    return {name: group for name, group in plain(shown).items() if name not in ("all", "ungrouped")}


def plain(value: Any) -> Any:
    """Without what says that a string is no template, and without what tells where it comes from."""
    if isinstance(value, dict):
        if "__ansible_unsafe" in value:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items() if key != "ansible_local"}
    return [plain(item) for item in value] if isinstance(value, list) else value


def listed(source: Path, *arguments: str) -> tuple[float, dict[str, Any]]:
    """Seconds and result of ansible-inventory."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("PVC_")}
    env |= {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1"}
    output = source.with_suffix(".out")
    program = Path(sys.executable).parent / "ansible-inventory"
    command = [program, "-i", str(source), "--list", "--output", str(output), *arguments]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, capture_output=True, text=True)
    elapsed = time.monotonic() - started
    if done.returncode != 0:
        raise RuntimeError(f"{source.name}: {done.stderr}"[:2000])
    return elapsed, dict(json.loads(output.read_text()))
