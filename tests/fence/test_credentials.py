# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords of fence devices: which files are taken, and that none of them ever shows."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pvc_node_agent.env import EffectFailed
from pvc_node_agent.fence.credentials import Credentials
from pvc_node_agent.fence.device import Devices

from .conftest import PASSWORD, Machine

Write = Callable[..., Path]


@pytest.mark.parametrize("text", [PASSWORD, f"{PASSWORD}\n", f"{PASSWORD}\r\n", f"{PASSWORD}\n# a comment\n"])
def test_the_first_line_is_the_password(tmp_path: Path, write_credential: Write, text: str) -> None:
    write_credential("bmc", text)
    assert Credentials(tmp_path / "fence.d").password("bmc") == PASSWORD


@pytest.mark.parametrize("text", ["", "\n", "  \nsecond"])
def test_an_empty_one_is_refused(tmp_path: Path, write_credential: Write, text: str) -> None:
    write_credential("bmc", text)
    with pytest.raises(EffectFailed, match="credential bmc is empty"):
        Credentials(tmp_path / "fence.d").password("bmc")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o601])
def test_one_that_others_may_use_is_refused(tmp_path: Path, write_credential: Write, mode: int) -> None:
    path = write_credential("bmc", PASSWORD, mode)
    with pytest.raises(EffectFailed, match=rf"open to others than its owner \(mode {mode:04o}\): chmod 0600 {path}"):
        Credentials(tmp_path / "fence.d").file("bmc")


def test_a_missing_one_and_one_that_is_no_file(tmp_path: Path, write_credential: Write) -> None:
    credentials = Credentials(tmp_path / "fence.d")
    with pytest.raises(EffectFailed, match=r"credential bmc is not on this coordinator .*: role node_agent writes it"):
        credentials.file("bmc")
    target = write_credential("real", PASSWORD)
    (target.parent / "link").symlink_to(target)
    (target.parent / "folder").mkdir()
    with pytest.raises(EffectFailed, match="credential link is no regular file"):
        credentials.file("link")
    with pytest.raises(EffectFailed, match="credential folder cannot be read"):
        credentials.file("folder")


@pytest.mark.parametrize("name", ["", "../agent.toml", "/etc/shadow", ".hidden", "a/b", "a\nb", "x" * 65])
def test_a_name_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(EffectFailed, match="is no name of a credential"):
        Credentials(tmp_path).file(name)


#: Takes the place of ipmitool, notes everything that others could see of it, and becomes it.
SPY = """#!/bin/sh
tr '\\0' ' ' < /proc/$$/cmdline >> {seen}
tr '\\0' ' ' < /proc/$$/environ >> {seen}
exec {real} "$@"
"""


def test_no_password_shows_in_arguments_environment_or_errors(
    machine: Machine,
    devices: Devices,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    seen, spy = tmp_path / "seen", tmp_path / "bin" / "ipmitool"
    spy.parent.mkdir()
    spy.write_text(SPY.format(seen=seen, real="/usr/bin/ipmitool"))
    spy.chmod(spy.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{spy.parent}:/usr/bin:/bin")
    said = [devices.status(machine.device("ipmi")), devices.status(machine.device("redfish"))]
    for kind in ("ipmi", "redfish"):
        with pytest.raises(EffectFailed) as raised:
            devices.off(machine.device(kind, credential="wrong"))
        said += [str(raised.value), repr(raised.value), repr(raised.value.__cause__)]
    said += [*capfd.readouterr(), seen.read_text()]
    assert "chassis power status" in said[-1]
    assert not [text for text in said if PASSWORD in text or "battery-staple" in text]
