# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Completion: commands and options by click, names by the cluster, and nothing, quickly, where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from pvc_cli.app import cli
from pvc_cli.session import Session
from tests.cli.conftest import Pvc

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def complete(pvc: Pvc, monkeypatch: pytest.MonkeyPatch) -> ShellComplete:
    monkeypatch.setenv("PVC_HOSTS", "zk1:2281")
    monkeypatch.setenv("PVC_PASSWORD", "secret")
    return ShellComplete(cli, {"obj": Session(connect=pvc.connect)}, "pvc", "_PVC_COMPLETE")


@pytest.mark.parametrize(
    ("words", "begun", "found"),
    [
        (["why", "vm"], "we", ["web1", "web2"]),
        (["show", "node"], "", ["node1", "node2"]),
        (["--root", "/pvc", "why", "fence"], "node2", ["node2"]),
        (["vms", "--node"], "n", ["node1", "node2"]),
        (["console"], "", ["db1", "web1", "web2"]),
        (["failover-report", "node1"], "", ["node1", "node2"]),
        (["show", "rule"], "", []),
        (["wh"], "x", []),
        ([], "st", ["status"]),
        (["-o"], "j", ["json"]),
        (["status"], "--wa", ["--wait"]),
    ],
)
def test_what_is_offered(complete: ShellComplete, words: list[str], begun: str, found: list[str]) -> None:
    assert [item.value for item in complete.get_completions(words, begun)] == found


def test_names_are_asked_for_with_little_patience(complete: ShellComplete, pvc: Pvc) -> None:
    complete.get_completions(["--connect-timeout", "60", "show", "vm"], "")
    (seen,) = pvc.seen
    assert (seen.connect_timeout, seen.hosts, seen.password) == (2.0, ("zk1:2281",), "secret")
    assert [store.session_id for store in pvc.opened] == [0]


def test_nothing_is_offered_where_nothing_answers(
    complete: ShellComplete, pvc: Pvc, monkeypatch: pytest.MonkeyPatch
) -> None:
    pvc.cluster.ensemble.down()
    assert complete.get_completions(["show", "vm"], "") == []
    pvc.cluster.ensemble.up()
    monkeypatch.setenv("PVC_HOSTS", "")
    assert complete.get_completions(["show", "vm"], "") == []


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", "usr/share/bash-completion/completions"),
        ("zsh", "usr/share/zsh/vendor-completions"),
        ("fish", "usr/share/fish/vendor_completions.d"),
    ],
)
def test_the_package_brings_it(shell: str, place: str) -> None:
    lines = (ROOT / "debian" / "pvc-node-agent.install").read_text(encoding="utf-8").splitlines()
    (source,) = [line.split()[0] for line in lines if line.split()[1] == place]
    assert f"_PVC_COMPLETE={shell}_source pvc" in (ROOT / source).read_text(encoding="utf-8")
