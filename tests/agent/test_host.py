# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent takes for the id of this boot: with another one it would take an ephemeral over that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvc_node_agent import host

KERNEL = "476ec40f-e634-479f-8a51-9ed69c3e4535"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    path = tmp_path / "proc/sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True)
    path.write_text(f"{KERNEL}\n")
    return tmp_path


def test_the_service_managers_word_counts(machine: Path) -> None:
    manager = "0d3f5c1e9a7b4c2d8e6f1a2b3c4d5e6f"
    assert host.boot_id(machine, {"PVC_BOOT_ID": manager}) == "0d3f5c1e-9a7b-4c2d-8e6f-1a2b3c4d5e6f"


@pytest.mark.parametrize("environ", [{}, {"PVC_BOOT_ID": ""}, {"PVC_BOOT_ID": "%b"}])
def test_otherwise_the_kernels(machine: Path, environ: dict[str, str]) -> None:
    assert host.boot_id(machine, environ) == KERNEL
