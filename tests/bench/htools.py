# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ganeti's hbal and hspace on a cluster of ours, through the text format that both read (``-t``)."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.snapshot import Snapshot

#: hbal without the dynamic load, of which it knows nothing here: memory and processors are left. Otherwise it takes the same
#: load for each VM, and so mostly counts them.
MEMORY_AND_PROCESSORS = ("--ignore-dynu",)

_POLICY = "128,1,1024,1,1,1|128,1,1024,1,1,1;8388608,1024,8388608,16,8,12|ext|1024.0|1024.0"


class NotInstalled(Exception):
    """The tools to compare with are not there."""


@dataclass(frozen=True)
class Balanced:
    """What hbal makes of a cluster: its score before and after, how many moves that takes, and processor seconds."""

    before: float
    after: float
    moves: int
    seconds: float


def need() -> None:
    """Raise NotInstalled unless both tools are there."""
    missing = [tool for tool in ("hbal", "hspace") if shutil.which(tool) is None]
    if missing:
        raise NotInstalled(f"{' and '.join(missing)}: not installed; apt-get install ganeti-htools")


def text(snapshot: Snapshot, moved: Mapping[str, str]) -> str:
    """The cluster in Ganeti's words. Disks lie on shared storage, so that a VM has one node.

    Args:
        moved: VMs that are elsewhere than the snapshot says.
    """
    instances, memory = [], dict.fromkeys(snapshot.nodes, 0)
    for name, stored in snapshot.vms.items():
        vm, node = stored.value, moved.get(name) or snapshot.owner(name)
        assert vm is not None
        assert node is not None
        memory[node] += vm.memory
        instances.append(f"{name}|{vm.memory}|1024|{vm.vcpus}|running|Y|{node}||ext||1|1|N")
    nodes = []
    for number, (name, record) in enumerate(sorted(snapshot.nodes.items())):
        report, reserve = snapshot.report(name), record.value.memory_reserve if record.value else 0
        assert report is not None
        free = report.memory - reserve - memory[name]
        role = "N" if number else "M"
        nodes.append(f"{name}|{report.memory}|{reserve}|{free}|999999|999999|{report.cpus}|{role}|u|1||N|0|1|1.0")
    return "\n".join(["group|u|preferred||", "", *nodes, "", *instances, "", "", f"|{_POLICY}", f"group|{_POLICY}", ""])


def hbal(snapshot: Snapshot, options: Sequence[str] = (), limit: float = 120.0) -> Balanced | None:
    """What hbal makes of the cluster; None: it has not ended after so many seconds."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        said = _run(["hbal", *options], text(snapshot, {}), limit)
    except subprocess.TimeoutExpired:
        return None
    taken = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began
    found = re.search(r"Cluster score improved from ([\d.]+) to ([\d.]+)", said)
    before = _score(said)
    after, moves = (float(found[2]), int(_found(r"Solution length=(\d+)", said))) if found else (before, 0)
    return Balanced(before, after, moves, taken)


def score(snapshot: Snapshot, moved: Mapping[str, str], options: Sequence[str] = ()) -> float:
    """hbal's score of the cluster once these VMs are elsewhere."""
    return _score(_run(["hbal", *options, "--max-length=0"], text(snapshot, moved), 60.0))


def hspace(snapshot: Snapshot, memory: int, vcpus: int) -> int:
    """How many VMs of one size hspace finds room for, so that the loss of any node leaves room for its VMs."""
    size = f"--standard-alloc=1024,{memory},{vcpus}"
    said = _run(["hspace", size, "--disk-template=ext"], text(snapshot, {}), 120.0)
    return int(_found(r"Normal \(fixed-size\) allocation results:\s+-\s+(\d+) instances allocated", said))


def _score(said: str) -> float:
    # a cluster that is even by its measure it does not look at any further
    found = re.search(r"Initial score: ([\d.]+)", said) or re.search(r"score ([\d.]+)", said)
    if found is None:
        raise RuntimeError(f"hbal says no score: {said}")
    return float(found[1])


def _found(pattern: str, said: str) -> str:
    found = re.search(pattern, said)
    if found is None:
        raise RuntimeError(f"not said: {pattern}: {said}")
    return found[1]


def _run(command: Sequence[str], cluster: str, limit: float) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cluster"
        path.write_text(cluster)
        done = subprocess.run([*command, "-t", path], capture_output=True, text=True, timeout=limit, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} has failed: {done.stdout}{done.stderr}")
    return done.stdout
