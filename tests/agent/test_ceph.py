# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ceph's configuration file, and the process that calls its libraries (a stand-in for it: any program will do)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pvc_node_agent import ceph_conf
from pvc_node_agent.config import CephConfig
from pvc_node_agent.env import EffectFailed
from pvc_node_agent.rbd_storage import RbdStorage
from pvc_state.records import Disk


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10.0.0.1", [("10.0.0.1", "")]),
        ("10.0.0.1,10.0.0.2, mon3", [("10.0.0.1", ""), ("10.0.0.2", ""), ("mon3", "")]),
        ("10.0.0.1:6789 10.0.0.2:6790", [("10.0.0.1", "6789"), ("10.0.0.2", "6790")]),
        (
            "[v2:10.0.0.1:3300,v1:10.0.0.1:6789],[v2:10.0.0.2:3300/0,v1:10.0.0.2:6789/0]",
            [("10.0.0.1", "6789"), ("10.0.0.2", "6789")],
        ),
        ("v2:10.0.0.1:3300", [("10.0.0.1", "")]),
        ("[fd00::1]:6789,[fd00::2]", [("fd00::1", "6789"), ("fd00::2", "")]),
        ("[v2:[fd00::1]:3300/0,v1:[fd00::1]:6789/0]", [("fd00::1", "6789")]),
        ("", []),
    ],
)
def test_monitors_in_every_notation(value: str, expected: list[tuple[str, str]]) -> None:
    assert list(ceph_conf.parse_monitors(value)) == expected


@pytest.mark.parametrize("name", ["mon_host", "mon host", "mon-host", "  MON_HOST"])
def test_option_names_in_every_notation(tmp_path: Path, name: str) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text(f"# comment\n[global]\nfsid = x\n{name.strip()} = 10.0.0.1\n[client]\nrbd cache = true\n")
    assert ceph_conf.monitors(conf) == (("10.0.0.1", ""),)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, r"cannot be read \(No such file or directory\): role ceph writes it"),
        ("[global]\nfsid = x\n", r"names no monitors: section \[global\] needs mon_host"),
        ("fsid = x\n", "is damaged"),
    ],
)
def test_a_configuration_that_does_not_help(tmp_path: Path, text: str | None, words: str) -> None:
    conf = tmp_path / "ceph.conf"
    if text is not None:
        conf.write_text(text)
    with pytest.raises(EffectFailed, match=words):
        ceph_conf.monitors(conf)


# --- calls ------------------------------------------------------------------------------------------------------------


def storage(program: str) -> RbdStorage:
    return RbdStorage(CephConfig("uuid"), (sys.executable, "-c", f"import json, os, sys, time\n{program}"))


def test_a_call_carries_the_request(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = f"open({str(seen)!r}, 'w').write(sys.stdin.readline()); print(json.dumps({{'result': None}}))"
    storage(program).ensure([Disk("vms", "a", 5), Disk("vms", "b")], barrier=7)
    assert json.loads(seen.read_text()) == {
        "conf": "/etc/ceph/ceph.conf",
        "user": "libvirt",
        "do": "ensure",
        "items": [["vms", "a", 5, ""], ["vms", "b", None, ""]],
        "barrier": 7,
    }


def test_pools_are_sorted() -> None:
    assert storage("print(json.dumps({'result': ['vms', 'fast']}))").pools() == ("fast", "vms")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print(json.dumps({'error': 'pool x does not exist'}))", "^pool x does not exist$"),
        ("os.abort()", "ended with code -6: nothing was said"),
        ("sys.exit('ImportError: no rados')", "ended with code 1: ImportError: no rados"),
    ],
)
def test_a_call_that_fails_says_why(program: str, words: str) -> None:
    with pytest.raises(EffectFailed, match=words):
        storage(program).remove([Disk("vms", "a")])


def test_a_call_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules["pvc_node_agent.rbd_storage"]._DEADLINES, "pools", 0.3)
    with pytest.raises(EffectFailed, match=r"Ceph did not answer within 0.3 s"):
        storage("time.sleep(600)").pools()


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(EffectFailed, match="/no/such/program cannot be started"):
        RbdStorage(CephConfig("uuid"), ("/no/such/program",)).pools()
