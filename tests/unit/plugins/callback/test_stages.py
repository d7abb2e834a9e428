# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback is run by ansible-playbook itself, on a play with every kind of outcome."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from ansible_collections.pvc.cluster.plugins.callback.stages import Stage, describe_outcomes, stage_table

ROOT = Path(__file__).resolve().parents[4]

PLAYBOOK = """
- name: Every outcome
  hosts: all
  gather_facts: false
  tasks:
    - name: Change something
      ansible.builtin.command: "true"
      changed_when: true
    - name: Change only one
      ansible.builtin.command: "true"
      changed_when: inventory_hostname == 'a'
      loop: [1, 2]
    - name: Not needed
      ansible.builtin.command: "true"
      when: false
    - name: Speak
      ansible.builtin.debug:
        msg: a word from a task
      run_once: true
    - name: Fail without harm
      ansible.builtin.command: "false"
      ignore_errors: true
      when: inventory_hostname == 'a'
    - name: Fail
      ansible.builtin.assert:
        that: false
        fail_msg: the reason of the failure
"""


def run(tmp_path: Path) -> str:
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(PLAYBOOK)
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "--inventory=a,b,", "--connection=local"]
    command += [f"--extra-vars=ansible_python_interpreter={sys.executable}", str(playbook)]
    environment = {
        **os.environ,
        "ANSIBLE_STDOUT_CALLBACK": "pvc.cluster.stages",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "tmp"),
    }
    environment.pop("ANSIBLE_FORCE_COLOR", None)
    result = subprocess.run(command, check=False, text=True, capture_output=True, cwd=ROOT, env=environment)
    assert result.returncode == 2, result.stdout + result.stderr
    return re.sub(r"\d+\.\d s", "N s", result.stdout)


def test_a_play_with_every_outcome(tmp_path: Path) -> None:
    output = run(tmp_path)
    lines = [re.sub(r"\s+", " ", line).strip() for line in output.splitlines()]
    assert lines[:5] == [
        "",
        "Every outcome",
        "Change something N s 2 changed",
        "Change only one N s 1 changed, 1 ok",
        "Not needed N s 2 skipped",
    ]
    assert "msg: a word from a task" in lines
    assert "N s 1 ignored, 1 skipped" in lines
    assert "msg: the reason of the failure" in lines
    assert "N s 2 failed" in lines
    assert lines[-5:-1] == [
        "stage time changed",
        "------------- ------- -------",
        "Every outcome N s 3",
        "all stages N s 3",
    ]


def test_serious_outcomes_come_first() -> None:
    assert describe_outcomes({"ok": 2, "failed": 1, "skipped": 0}) == "1 failed, 2 ok"


def test_stages_are_added_up() -> None:
    assert stage_table({"lab": Stage(61.25, 3), "zookeeper": Stage(0.5, 0)}) == [
        "stage          time  changed",
        "----------  -------  -------",
        "lab          61.2 s        3",
        "zookeeper     0.5 s        0",
        "all stages   61.8 s        3",
    ]
