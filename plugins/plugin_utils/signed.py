# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to this collection: it may change at any time. Do not use it from other collections.

"""The action of modules that commit: on the controller it is known who runs which playbook, on the module's host it is not."""

from __future__ import annotations

import os
import sys
import typing as t
from collections.abc import Mapping

from ansible import context
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible_collections.pvc.cluster.plugins.module_utils.pvc_state.author import whoever

Vars = Mapping[str, t.Any]


class SignedAction(NormalAction):
    """Runs the task's module as usual, with the options C(author) and C(job) where nothing else gives them."""

    def run(self, tmp: None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        known = task_vars or {}
        for option, say in (("author", who), ("job", via)):
            if self._task.args.get(option) is None and not self._in_environment(option):
                # a new dictionary: other runs of this task may share the one it has
                self._task.args = {**self._task.args, option: say(known)}
        return super().run(tmp, task_vars)

    def _in_environment(self, option: str) -> bool:
        """Whether the module will find it in the environment that the task is given."""
        given = self._task.environment or ()
        return any(f"PVC_{option.upper()}" in one for one in given if isinstance(one, Mapping))


def who(task_vars: Vars) -> str:
    """Who runs the playbook, as far as the controller knows."""
    if os.environ.get("PVC_AUTHOR"):
        return os.environ["PVC_AUTHOR"]
    if not _awx(task_vars, "job_id"):
        return whoever()
    user = _awx(task_vars, "user_name")
    schedule = _awx(task_vars, "schedule_name") or _awx(task_vars, "parent_job_schedule_name")
    return user or (f"AWX schedule {schedule}" if schedule else "AWX")


def via(task_vars: Vars) -> str:
    """The job of AWX, or the playbook and its play."""
    if os.environ.get("PVC_JOB"):
        return os.environ["PVC_JOB"]
    job = _awx(task_vars, "job_id")
    if job:
        workflow, template = _awx(task_vars, "workflow_job_name"), _awx(task_vars, "job_template_name")
        names = ", ".join(part for part in (template, f"workflow {workflow}" if workflow else "") if part)
        return f"AWX job {job}" + (f" ({names})" if names else "")
    play = f"play {task_vars.get('ansible_play_name') or 'without a name'}"
    playbook = _playbook()
    return f"playbook {playbook}, {play}" if playbook else play


def _awx(task_vars: Vars, name: str) -> str:
    """A variable that AWX gives its jobs, or Tower, as it was called once; empty where there is none."""
    return str(task_vars.get(f"awx_{name}") or task_vars.get(f"tower_{name}") or "")


def _playbook() -> str:
    """The playbooks of the command line; empty where another program runs the play."""
    if os.path.basename(sys.argv[0]) != "ansible-playbook":
        return ""
    given = context.CLIARGS.get("args") or ()
    return " ".join(os.path.basename(one) if os.path.isabs(one) else one for one in given)
