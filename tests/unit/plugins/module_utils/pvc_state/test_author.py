# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who makes a commit."""

from __future__ import annotations

import os
import socket

import pytest

from pvc_state.author import signature, whoever
from pvc_state.records import Author


def test_it_is_one_line_of_bounded_length() -> None:
    assert signature("a\n" + "b" * 300, None) == Author("a " + "b" * 198, "")


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in containers that run with the number of nobody."""
    for name in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987654)
    assert whoever() == f"uid 987654 on {socket.gethostname()}"
    monkeypatch.setenv("SUDO_USER", "ann")
    assert whoever() == f"ann on {socket.gethostname()}"
