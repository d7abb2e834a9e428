# Copyright (c) 2026, the PVC cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E402 - modules of Ansible import after their documentation

from __future__ import annotations

DOCUMENTATION = r"""
name: stages
type: stdout
short_description: One line per task, with the time it took, and a table of stages
version_added: 0.1.0
author:
  - The PVC cluster authors (@pvc-cluster)
description:
  - Prints one line per task, when it begins, and completes it with its time and outcome when all hosts are done.
  - Failures, warnings, diffs and the output of debug tasks look as with the default callback.
  - Ends with the time and the number of changes of each stage, which is a role, or a play for its own tasks.
extends_documentation_fragment:
  - default_callback
  - result_format_callback
requirements:
  - Set as stdout in configuration, such as E(ANSIBLE_STDOUT_CALLBACK=pvc.cluster.stages).
"""

import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field

from ansible import constants
from ansible.plugins.callback.default import CallbackModule as Default

if t.TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook.included_file import IncludedFile
    from ansible.playbook.play import Play
    from ansible.playbook.task import Task

WIDTH = 84
OUTCOMES = {
    "failed": constants.COLOR_ERROR,
    "ignored": constants.COLOR_WARN,
    "changed": constants.COLOR_CHANGED,
    "ok": constants.COLOR_OK,
    "skipped": constants.COLOR_SKIP,
}
DEBUG_ACTIONS = constants.add_internal_fqcns(("debug",))


@dataclass
class Stage:
    """What a role, or a play's own tasks, took together."""

    seconds: float = 0.0
    changed: int = 0


@dataclass
class Line:
    """The task that is running, and what has been heard of it."""

    name: str
    stage: str
    began: float
    outcomes: Counter[str] = field(default_factory=Counter)
    open: bool = True


def describe_outcomes(outcomes: t.Mapping[str, int]) -> str:
    """Number of hosts by outcome, the most serious first."""
    return ", ".join(f"{outcomes[word]} {word}" for word in OUTCOMES if outcomes.get(word))


def stage_table(stages: t.Mapping[str, Stage]) -> list[str]:
    """Stages in the order in which they began, and their sum."""
    width = max([len(name) for name in stages] + [len("all stages")])
    rows = [f"{'stage':<{width}}     time  changed", f"{'-' * width}  -------  -------"]
    rows += [f"{name:<{width}}  {stage.seconds:5.1f} s  {stage.changed:7d}" for name, stage in stages.items()]
    total = sum(stage.seconds for stage in stages.values())
    rows.append(f"{'all stages':<{width}}  {total:5.1f} s  {sum(stage.changed for stage in stages.values()):7d}")
    return rows


class CallbackModule(Default):
    """The default callback, with one line per task instead of one per host."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "pvc.cluster.stages"

    def __init__(self) -> None:
        super().__init__()
        self._line: Line | None = None
        self._stages: dict[str, Stage] = {}
        self._play_name = ""

    def v2_playbook_on_play_start(self, play: Play) -> None:
        """Head the play's lines with its name."""
        self._finish()
        self._play = play
        self._play_name = play.get_name().strip()
        self._display.display(f"\n{self._play_name}", color=constants.COLOR_HIGHLIGHT)

    def _task_start(self, task: Task, prefix: str | None = None) -> None:
        """Begin a line; it stays open while the task runs."""
        self._finish()
        role = task._role.get_name(include_role_fqcn=False) if task._role else ""
        name = task.name or task.action
        if prefix == "RUNNING HANDLER":
            name = f"{name} (handler)"
        self._last_task_name = name
        self._last_task_banner = task._uuid
        self._line = Line(f"  {role}: {name}" if role else f"  {name}", role or self._play_name, time.monotonic())
        self._display.display(self._line.name[:WIDTH].ljust(WIDTH), newline=False)

    def _print_task_banner(self, task: Task) -> None:
        """The line says which task it is."""
        self._last_task_banner = task._uuid
        self._break()

    def _break(self) -> None:
        """End the line before its time, because something else is to be printed."""
        if self._line is not None and self._line.open:
            self._line.open = False
            self._display.display("")

    def _finish(self) -> None:
        """Complete the line with time and outcome."""
        if self._line is None:
            return
        line, self._line = self._line, None
        seconds = time.monotonic() - line.began
        stage = self._stages.setdefault(line.stage, Stage())
        stage.seconds += seconds
        stage.changed += line.outcomes["changed"]
        worst = next((word for word in OUTCOMES if line.outcomes[word]), "skipped")
        text = f"{seconds:6.1f} s  {describe_outcomes(line.outcomes)}".rstrip()
        self._display.display(text if line.open else " " * WIDTH + text, color=OUTCOMES[worst])

    def _note(self, outcome: str, result: CallbackTaskResult) -> None:
        """Count a host's outcome, and print what it wants to say beside it."""
        if self._line is not None:
            self._line.outcomes[outcome] += 1
        if any(key in result.result for key in ("warnings", "deprecations")):
            self._break()
            self._handle_warnings_and_exception(result)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Count it; debug tasks and verbose runs print it, too."""
        if result.task.action in DEBUG_ACTIONS or self._display.verbosity > 0:
            self._break()
            super().v2_runner_on_ok(result)
        self._note("changed" if result.result.get("changed") else "ok", result)

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        """Count it."""
        self._note("skipped", result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Print it as the default callback does."""
        self._break()
        super().v2_runner_on_failed(result, ignore_errors)
        if self._line is not None:
            self._line.outcomes["ignored" if ignore_errors else "failed"] += 1

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Print it as the default callback does."""
        self._break()
        super().v2_runner_on_unreachable(result)
        if self._line is not None:
            self._line.outcomes["failed"] += 1

    def v2_runner_item_on_ok(self, result: CallbackTaskResult) -> None:
        """Items of debug tasks are what these print."""
        if result.task.action in DEBUG_ACTIONS or self._display.verbosity > 0:
            self._break()
            super().v2_runner_item_on_ok(result)

    def v2_runner_item_on_failed(self, result: CallbackTaskResult) -> None:
        """Print it as the default callback does."""
        self._break()
        super().v2_runner_item_on_failed(result)

    def v2_runner_item_on_skipped(self, result: CallbackTaskResult) -> None:
        """The task's line counts hosts, not items."""

    def v2_runner_retry(self, result: CallbackTaskResult) -> None:
        """Waiting is what the growing time says."""

    def v2_playbook_on_include(self, included_file: IncludedFile) -> None:
        """Included tasks have lines of their own."""

    def v2_on_file_diff(self, result: CallbackTaskResult) -> None:
        """Print it as the default callback does."""
        if "diff" in result.result or "results" in result.result:
            self._break()
            super().v2_on_file_diff(result)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """A play for hosts that the inventory does not have."""
        self._display.display("  no hosts", color=constants.COLOR_SKIP)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """End with the stages."""
        self._finish()
        super().v2_playbook_on_stats(stats)
        if self._stages:
            self._display.display("\n".join(stage_table(self._stages)) + "\n\n")
