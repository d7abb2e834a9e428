# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each defence is taken out of a copy of the agent, alone: the other tests must notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What is missing: (file, what is there, what stands there instead).
BUGS = {
    "starts without the store's word": (
        "perform.py",
        "                self._confirm(effect.vm, effect.right)\n                self._hypervisor.start(",
        "                self._hypervisor.start(",
    ),
    "confirms the claim, but not the record": (
        "perform.py",
        "            Check(paths.vm(vm), right.record_version),\n        ]",
        "        ]",
    ),
    "changes a guest without the store's word": (
        "perform.py",
        "                self._confirm(effect.vm, effect.right)\n                self._hypervisor.change_hardware(",
        "                self._hypervisor.change_hardware(",
    ),
    "says that hardware has changed before it has": (
        "answer.py",
        "return self.record.definition in (domain.definition, domain.applied)",
        "return True",
    ),
    "calls a change true that a guest clings to": (
        "answer.py",
        "return self.record.generation if self._is_changed(domain) else self._old_generation()",
        "return self.record.generation",
    ),
    "attaches what does not exist": (
        "owned.py",
        '        if self._volumes_missing():\n            if not case.spare:\n                return self._verdict("running"',
        '        if False:\n            if not case.spare:\n                return self._verdict("running"',
    ),
    "decides while blind": (
        "step.py",
        "    if not view.link.sees and not stand.unasked:\n        until",
        "    if False:\n        until",
    ),
    "starts under its fence": ("standing.py", 'fence.state != "held" else None', "False else None"),
    "says that it is clean while something runs": (
        "standing.py",
        "view.hypervisor.up and not view.domains and not view.busy\n    return fence.id",
        "True\n    return fence.id",
    ),
    "does not flee a cut storage": ("standing.py", "    if view.storage.cut:", "    if False:"),
    "waits for the store before it flees": ("standing.py", "fixed=why, unasked=True)", "fixed=why, unasked=False)"),
    "does not read its fence": (
        "feed.py",
        "        znode = self._read(store, paths.fence(self._node))",
        "        znode = None",
    ),
    "does what it decided before its fence": ("perform.py", "if right.enrolment != self._enrolment():", "if False:"),
    "keeps what a former life has said": ("feed.py", "ops + self._new_life(store)", "ops"),
    "takes a guest on its way here for a stray": ("decide.py", "epoch == claim.epoch + 1", "False"),
    "opens volumes before the last owner is known to be cut off": (
        "owned.py",
        "memory.barrier < self.claim.barrier",
        "False",
    ),
    "runs a guest on from a memory that may be older than its disks": (
        "owned.py",
        "stale = self.claim.with_guest != self.epoch",
        "stale = False",
    ),
    "goes on with a move that was called off": (
        "owned.py",
        "return self.claim.to != self.case.busy.to",
        "return False",
    ),
    "leaves a guest behind that waits elsewhere": (
        "owned.py",
        "if case.domain is None and self.memory.moved and",
        "if False and",
    ),
    "ends a guest that may still be handed over": (
        "decide.py",
        "elif case.domain.state is DomainState.ARRIVED and case.domain.epoch - 1 == claim.value.epoch:",
        "elif False:",
    ),
    "keeps a lane for a move that hangs": (
        "step.py",
        "_is_move(effect) and not view.memory.get(vm, _NOTHING_REMEMBERED).overdue for",
        "_is_move(effect) for",
    ),
    "never gives up": ("owned.py", "limit >= 0 and self.memory.failures > limit", "False"),
    "moves again and again": ("owned.py", "if self._refused() or domain", "if domain"),
    "adopts a domain of any epoch": ("decide.py", "case.domain.epoch != epoch", "False"),
    "does not ask whose claim it is": ("decide.py", "claim.value.node != case.node", "False"),
    "acts on what the store has just refused": (
        "step.py",
        "if (seen is None or seen.stale) and",
        "if seen is None and",
    ),
    "does two things to a VM at once": (
        "owned.py",
        "        if case.busy is not None:\n            return self._under_way(case.busy)\n        if self._gives_up()",
        "        if self._gives_up()",
    ),
    "starts a crashed guest again without a pause": (
        "case.py",
        "retry_at=case.now + pause(case.settings, attempts)",
        "retry_at=0.0",
    ),
    "takes the ephemeral of another boot": ("feed.py", "other.boot_id != self._alive.boot_id", "False"),
    "trusts an interrupted session": (
        "feed.py",
        "        if doubt and self._enrolled:\n            self._blind(doubt)",
        "        if False:\n            pass",
    ),
    "writes its status at every step": ("step.py", "elif status != view.published:", "else:"),
    "does not destroy what lost its claim": (
        "decide.py",
        "return _destroy_stray(case, case.domain, why, None)",
        "return Verdict(None, None)",
    ),
    "never destroys a guest that does not listen": ("owned.py", "if case.now >= deadline:", "if False:"),
    "holds on to an old decision": ("step.py", "then.seen is case.seen", "True"),
}


def judge(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests on the copy of the agent in this folder; without plugins, which take longer to load than they run."""
    options = [
        "-x",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(ROOT),
        "--import-mode=importlib",
        "-p",
        "no:cacheprovider",
    ]
    paths = f"pythonpath={tmp_path} {ROOT} {ROOT / 'plugins/module_utils'}"
    tests = [str(ROOT / "tests/agent" / name) for name in ("test_step.py", "test_life.py", "test_moves.py")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, "-o", paths, *tests],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": "", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


@pytest.mark.parametrize("bug", BUGS)
def test_a_missing_defence_is_noticed(bug: str, tmp_path: Path) -> None:
    file, there, instead = BUGS[bug]
    shutil.copytree(ROOT / "pvc_node_agent", tmp_path / "pvc_node_agent")
    path = tmp_path / "pvc_node_agent" / file
    source = path.read_text(encoding="utf-8")
    assert source.count(there) == 1, f"{file} has changed: say anew where this defence is"
    path.write_text(source.replace(there, instead), encoding="utf-8")
    done = judge(tmp_path)
    assert done.returncode == 1, f"nobody noticed: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def test_a_whole_copy_passes(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "pvc_node_agent", tmp_path / "pvc_node_agent")
    done = judge(tmp_path)
    assert done.returncode == 0, done.stdout[-2000:]
