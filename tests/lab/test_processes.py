# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks last as long as the process that holds them; commands that fail say what failed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pvc_lab import daemon
from pvc_lab.daemon import is_locked, locked, wait_for, write_atomically
from pvc_lab.setup import install
from pvc_lab.shell import LabError, describe_failure, run, run_logged
from pvc_lab.supervisor import is_usable

HOLDER = """
import fcntl, sys
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_what_is_launched_may_be_the_first_to_need_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "LAUNCHER", Path("/bin/echo"))
    monkeypatch.setattr(daemon, "host_has_systemd", lambda: False)
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen
    monkeypatch.setattr(daemon.subprocess, "Popen", lambda *args, **more: started.append(popen(*args, **more)))
    log = tmp_path / "cache" / "cache.log"
    daemon.launch("unit", ["said", "this"], log)
    assert started[0].wait(10.0) == 0
    assert log.read_text() == "said this\n"


def test_a_lock_is_held_while_its_process_lives_and_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    assert not path.exists()
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_locked(path)
        with pytest.raises(LabError, match="someone else is busy"), locked(path, 0.1, "someone else is busy"):
            pass
        holder.kill()
        holder.wait()
    assert not is_locked(path)
    with locked(path, 0.1, "free again"):
        assert is_locked(path)


def test_waiting_ends_with_a_complaint() -> None:
    with pytest.raises(LabError, match=r"it never came \(waited 0.05 s\)"):
        wait_for(lambda: None, 0.05, "it never came")
    assert wait_for(lambda: 7, 0.05, "") == 7


def test_files_are_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "deep/state", "one\n")
    write_atomically(tmp_path / "deep/state", "two\n")
    assert (tmp_path / "deep/state").read_text() == "two\n"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["state"]


def test_a_failed_command_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="'sh -c echo no >&2; exit 3' failed with status 3: no"):
        run("sh", "-c", "echo no >&2; exit 3")
    with pytest.raises(LabError, match="no-such-tool is not installed"):
        run("no-such-tool")
    with pytest.raises(LabError, match=r"(?s)status 4: .*last words.*whole log: .*/log"):
        run_logged(["sh", "-c", "echo last words; exit 4"], tmp_path / "log")
    assert describe_failure(["x" * 200], 1, "") == "'" + "x" * 157 + "...' failed with status 1: it said nothing"


def test_the_installed_program_equals_the_roles(tmp_path: Path) -> None:
    source, target = tmp_path / "role", tmp_path / "state"
    for name in ("bin/pvc-lab", "pvc_lab/cli.py", "skeleton/etc/motd", "guest/init"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(f"{name}\n")
    assert install(source, target)
    assert not install(source, target)
    (source / "skeleton/etc/motd").unlink()
    (source / "pvc_lab/cli.py").write_text("new\n")
    assert install(source, target)
    assert not (target / "skeleton/etc/motd").exists()
    assert (target / "lib/pvc_lab/cli.py").read_text() == "new\n"
    assert (target / "bin/pvc-lab").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("flags", "usable"), [("fpu vmx sse", True), ("fpu svm", True), ("fpu sse vmxish", False), ("fpu", False)]
)
def test_kvm_is_for_processors_that_can_virtualise(flags: str, usable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _path: True)
    assert is_usable("/dev/kvm", f"model name\t: x\nflags\t\t: {flags}\n") is usable
    assert is_usable("/dev/fuse", "")
