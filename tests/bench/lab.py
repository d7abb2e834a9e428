# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab that some benchmarks measure."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.playbook import ROOT

LAB = Path(os.environ.get("LAB_DIRECTORY", "/var/lib/pvc-lab"))
INVENTORY = ROOT / "inventory-examples" / "lab"


def require_lab() -> None:
    """A benchmark that cannot be run says so.

    Raises:
        RuntimeError: there is no lab.
    """
    if not (LAB / "lab.json").exists():
        raise RuntimeError(f"there is no lab in {LAB} that could be measured: make lab builds it")
