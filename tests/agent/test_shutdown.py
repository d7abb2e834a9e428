# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the service manager stops the agent, from what systemctl prints (as it did on a Debian 13 that shut down)."""

from __future__ import annotations

import sys

import pytest

from pvc_node_agent.shutdown import reboots

JOBS = """\
1051 pvc-node-agent.service   stop  running
1202 zookeeper.service        stop  waiting
{}
988  systemd-random-seed.service stop waiting
"""


def printing(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", f"print({text!r})"


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ("903  reboot.target            start waiting", True),
        ("903  kexec.target             start waiting", True),
        ("903  poweroff.target          start waiting", False),
        ("903  halt.target              start waiting", False),
        ("903  poweroff.target          stop  waiting", None),
        ("903  network.target           stop  waiting", None),
    ],
)
def test_the_targets_job_tells(job: str, expected: bool | None) -> None:
    assert reboots(printing(JOBS.format(job))) is expected


@pytest.mark.parametrize("command", [printing("No jobs running."), printing(""), ("/no/such/program",), ("false",)])
def test_without_such_a_job_it_is_a_mere_stop(command: tuple[str, ...]) -> None:
    assert reboots(command) is None
