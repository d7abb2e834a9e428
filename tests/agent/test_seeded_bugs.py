# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bugs of the kinds that such software has had, each put into a copy of the agent: hard times must find it in seconds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
AGENT, STATE = "pvc_node_agent", "plugins/module_utils/pvc_state"

#: What is wrong: file, what is there, what stands there instead; several where one alone is caught by another defence.
BUGS: dict[str, list[tuple[str, str, str]]] = {
    "recovers before there is proof": [
        (
            f"{AGENT}/lead/recovering.py",
            'stored.value.state == "proven"',
            'stored.value.state in ("collecting", "proven")',
        ),
        (
            f"{STATE}/plan_recovery.py",
            "    if any(_proven(snapshot, node, fence, kind) for kind in allowed):",
            "    if True:",
        ),
    ],
    "takes an accepted order for power that is off": [
        (
            f"{AGENT}/lead/perform.py",
            "return PowerRead(effect.node, effect.fence, effect.device.name, False, why)",
            "return PowerRead(effect.node, effect.fence, effect.device.name, True, why)",
        ),
    ],
    "takes an ordered cut for a committed one": [
        (
            f"{AGENT}/lead/perform.py",
            "return StorageCut(effect.node, effect.fence, 0, why)",
            "return StorageCut(effect.node, effect.fence, 1)",
        ),
    ],
    "writes without its epoch": [
        (
            f"{AGENT}/lead/perform.py",
            "return [Check(paths.EPOCH, epoch), Check(paths.alive(self._node), 0)]",
            "return [Check(paths.alive(self._node), 0)]",
        ),
    ],
    "takes a storage cut for enough where it is not": [
        (f"{STATE}/plan_recovery.py", '        allowed -= {"storage_cut"}', "        pass"),
    ],
    "lifts a fence before the node is clean": [
        (f"{AGENT}/lead/lifting.py", "if fenced.alive is None or not fenced.clean():", "if fenced.alive is None:"),
        (f"{AGENT}/lead/lifting.py", "    if not removed and not fenced.clean():\n        return\n", ""),
    ],
    "forgets that it has cut a node's storage": [
        (f"{AGENT}/lead/fenced.py", "cut=fence.cut or ordered", "cut=False"),
        (f"{AGENT}/lead/collecting.py", "missing and fenced.fence.cut and", "missing and"),
    ],
    "does not pass the barrier on": [
        (f"{AGENT}/lead/recovering.py", "barrier=max(", "barrier=0 * max("),
    ],
    "ignores the barrier": [
        (
            f"{AGENT}/perform.py",
            "self._storage.ensure(effect.disks, effect.barrier)",
            "self._storage.ensure(effect.disks, 0)",
        ),
    ],
    "starts without the store's word": [
        (
            f"{AGENT}/perform.py",
            "                self._confirm(effect.vm, effect.right)\n                self._hypervisor.start(",
            "                self._hypervisor.start(",
        ),
    ],
    "forgets the index": [
        (f"{AGENT}/lead/perform.py", "yield from (Create(path) for path in sorted(wanted - there))", "yield from ()"),
    ],
    "ends no guest whose storage is cut": [(f"{AGENT}/standing.py", "    if view.storage.cut:", "    if False:")],
    "starts under its own fence": [(f"{AGENT}/standing.py", 'fence.state != "held" else None', "False else None")],
    "fences in maintenance": [
        (f"{AGENT}/lead/gone.py", 'if work.policy.maintenance else ""', 'if False else ""'),
        (f"{AGENT}/lead/collecting.py", "    if fenced.work.policy.maintenance:", "    if False:"),
    ],
    "fences a storm": [(f"{AGENT}/lead/gone.py", "    if len(at_once) <= limit:", "    if True:")],
    "leaves a fence's node to itself when its leader dies": [
        (f"{AGENT}/lead/absorb.py", "known = before.known | alive", "known = alive"),
        (f"{AGENT}/lead/gone.py", "    if work.now >= until:\n        return False\n", ""),
    ],
    "takes a guest on its way for a stray": [
        (f"{AGENT}/decide.py", "epoch == claim.epoch + 1", "False"),
        (f"{AGENT}/decide.py", "case.domain.epoch - 1 == claim.value.epoch", "False"),
    ],
    "does not restore the storage of a node that is back": [
        (f"{AGENT}/lead/lifting.py", "if fenced.fence.cut and not _restored(fenced):", "if False:"),
    ],
    "believes a person against a node that lives": [
        (
            f"{AGENT}/lead/evidence.py",
            "    if node in snapshot.alive:\n        return found",
            "    if False:\n        return found",
        ),
        (
            f"{AGENT}/lead/collecting.py",
            'held = fenced.fence.state == "held" or kind == "declared_dead"',
            'held = fenced.fence.state == "held"',
        ),
        (f"{AGENT}/lead/recovering.py", "absent = not holds_by_itself(fence)", "absent = False"),
    ],
    "releases a held fence whose node is back": [
        (f"{AGENT}/lead/perform.py", "absent(paths.alive(_name(effect))) if effect.absent else ()", "()"),
    ],
    "takes the power of a node that is back": [
        (f"{AGENT}/lead/perform.py", "absent(paths.alive(effect.node)) if isinstance(effect, PowerOff) else ()", "()"),
    ],
    "lifts a fence while its orders are out": [
        (f"{AGENT}/lead/lifting.py", "    if _orders_are_out(fenced):", "    if False:"),
    ],
    "fences all whom Ceph refuses": [
        (f"{AGENT}/lead/fencing.py", "work.doubted = frozenset(doubted)", "work.doubted = frozenset()"),
    ],
    "takes settings that it cannot read for those by default": [
        (f"{AGENT}/lead/work.py", "if snapshot.settings is not None and snapshot.settings.value is None:", "if False:"),
    ],
    "takes an old fence for a storm": [
        (f"{AGENT}/lead/gone.py", "and abs(when(other) - when(node)) <= STORM_WINDOW", "and True"),
    ],
    "does not use evidence that was allowed later": [
        (
            f"{AGENT}/lead/evidence.py",
            "(*fence.evidence, *(one for one in more if (one.kind, one.device) not in known))",
            "fence.evidence or more",
        ),
    ],
    "does not hear that a reboot will never end": [
        (f"{AGENT}/lead/gone.py", "not (status.signed_off.recover or word)", "not status.signed_off.recover"),
    ],
    "gives a held node no time after an outage": [
        (f"{AGENT}/lead/collecting.py", "if has_time(fenced.work, fenced.node):", "if False:"),
    ],
    "believes old news": [(f"{AGENT}/lead/fencing.py", "and work.now >= sighted_at + _OLD_NEWS", "")],
    "is content with what is no longer enough": [
        (f"{AGENT}/lead/proven.py", " or not proof(fenced.work.policy, fenced.record, fenced.fence.evidence)", ""),
    ],
}


def seed(folder: Path, changes: list[tuple[str, str, str]]) -> None:
    """A copy of the agent and its library, with the changes."""
    for source in (AGENT, STATE):
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    for name, there, instead in changes:
        path = folder / name
        text = path.read_text()
        assert there in text, f"{name} has no {there!r} to put a bug into"
        path.write_text(text.replace(there, instead))


def live_through(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.agent.hard_times"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}:{folder / 'plugins/module_utils'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_found(tmp_path: Path, bug: str) -> None:
    seed(tmp_path, BUGS[bug])
    done = live_through(tmp_path)
    assert done.returncode != 0, "it got through hard times"
    # found by what happened, not by what broke
    assert "AssertionError" in done.stderr, done.stderr[-2000:]
