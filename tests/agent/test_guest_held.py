# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds a guest still: its own agent where that freezes anything, a pause otherwise."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from pvc_node_agent.domain_mark import Mark


class LibvirtError(Exception):
    """As the binding has it."""

    def get_error_message(self) -> str:
        return str(self)


class Binding(ModuleType):
    """What is needed of Debian's binding, which is not here: its constants, by any number."""

    libvirtError = LibvirtError  # noqa: N815 - libvirt's name

    def __getattr__(self, name: str) -> int:
        if name.startswith("VIR_"):
            return {"VIR_DOMAIN_RUNNING": 1, "VIR_DOMAIN_PAUSED": 3}.get(name, 99)
        raise AttributeError(name)


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, as it is with that binding; no other test gets this one."""
    known = set(sys.modules)
    monkeypatch.setitem(sys.modules, "libvirt", Binding("libvirt"))
    yield importlib.import_module("pvc_node_agent.libvirt_guest")
    for name in set(sys.modules) - known:
        if name.startswith("pvc_node_agent.libvirt_"):
            del sys.modules[name]


class Domain:
    """A guest whose agent freezes so many file systems."""

    def __init__(self, file_systems: int) -> None:
        self.file_systems = file_systems
        self.frozen, self.paused = 0, False
        self.calls: list[str] = []

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's name
        target = "<target name='org.qemu.guest_agent.0' state='connected'/>"
        return f"<domain><devices><channel>{target}</channel></devices></domain>"

    def agentSetResponseTimeout(self, *_: int) -> None:  # noqa: N802
        pass

    def fsFreeze(self, *_: Any) -> int:  # noqa: N802
        self.calls.append("freeze")
        self.frozen = self.file_systems
        return self.frozen

    def fsThaw(self, *_: Any) -> int:  # noqa: N802
        self.calls.append("thaw")
        thawed, self.frozen = self.frozen, 0
        return thawed

    def state(self) -> list[int]:
        return [3 if self.paused else 1, 0]

    def suspend(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def resume(self) -> None:
        self.calls.append("resume")
        self.paused = False


@pytest.mark.parametrize(
    ("file_systems", "calls"),
    [(2, ["freeze", "thaw"]), (0, ["freeze", "thaw", "pause", "resume"])],
    ids=["file-systems", "nothing-to-freeze"],
)
def test_a_guest_is_held_by_whatever_can_hold_it(
    guest: Any, monkeypatch: pytest.MonkeyPatch, file_systems: int, calls: list[str]
) -> None:
    marks = [Mark("web1", epoch=1, definition=1)]
    monkeypatch.setattr(guest, "mark_of", lambda _domain: marks[-1])
    monkeypatch.setattr(guest, "set_mark", lambda _domain, mark: marks.append(mark))
    domain = Domain(file_systems)
    with guest.held(domain, several=True):
        assert domain.paused == (file_systems == 0)
    assert domain.calls == calls
    assert marks[-1].held == ""
