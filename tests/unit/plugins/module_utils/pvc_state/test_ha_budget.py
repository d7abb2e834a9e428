# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from pvc_state import ha_budget
from pvc_state.records import Settings

EACH = pytest.mark.parametrize("evidence", [("storage_cut",), ("powered_off",), ("storage_cut", "powered_off")])


def test_the_defaults_keep_ten_seconds() -> None:
    budget = ha_budget.of(Settings())
    assert (budget.detect, budget.fence, budget.recover, budget.start) == (6.75, 1.5, 0.3, 1.45)
    assert budget.total == 10


@EACH
def test_there_and_back(evidence: tuple[str, ...]) -> None:
    for tenths in range(40, 81):
        session = tenths / 10
        total = ha_budget.of(Settings(session_timeout=session, evidence=evidence)).total
        assert ha_budget.session_timeout(total, evidence) == session
        assert ha_budget.least(evidence) <= total <= ha_budget.most(evidence)


@EACH
def test_the_limits_are_safe_and_nothing_beyond(evidence: tuple[str, ...]) -> None:
    for budget in (ha_budget.least(evidence), ha_budget.most(evidence)):
        assert not ha_budget.why_unsafe(ha_budget.session_timeout(budget, evidence))
    assert "too short" in ha_budget.why_unsafe(ha_budget.session_timeout(ha_budget.least(evidence) - 0.1, evidence))
    assert "too long" in ha_budget.why_unsafe(ha_budget.session_timeout(ha_budget.most(evidence) + 0.1, evidence))


def test_the_quickest_kind_of_evidence_counts() -> None:
    assert ha_budget.session_timeout(10, ["storage_cut", "powered_off"]) == ha_budget.session_timeout(
        10, ["storage_cut"]
    )
    assert ha_budget.session_timeout(12, ["powered_off"]) < 4
