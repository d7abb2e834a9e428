# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole deployment again on the lab, with nothing to change, beside its first checks alone."""

from __future__ import annotations

from tests.bench.figure import Figure
from tests.bench.lab import INVENTORY, require_lab
from tests.bench.playbook import ROOT, timed

SITE = ROOT / "playbooks" / "site.yml"


def measure() -> list[Figure]:
    require_lab()
    checks, _output = timed(SITE, INVENTORY, ["--tags", "base_preflight"])
    again, output = timed(SITE, INVENTORY)
    if any("changed=" in line and "changed=0" not in line for line in output.splitlines()):
        raise RuntimeError(f"site.yml changed something on a lab that it had deployed:\n{output}")
    return [Figure("site.yml again (beside its checks alone)", again, "s", checks, 90.0)]
