# Copyright (c) 2026, the PVC cluster authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark reports: a figure beside something that was measured in the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measurement.

    Attributes:
        name: what was measured.
        value: the result, a median of several runs.
        unit: of value, reference and budget.
        reference: what the value is compared with, from the same machine and the same run.
        budget: the largest value that is good.
    """

    name: str
    value: float
    unit: str
    reference: float
    budget: float

    @property
    def ratio(self) -> float | None:
        """Value to reference; none when the reference is too small to be seen."""
        return self.value / self.reference if self.reference else None

    @property
    def ok(self) -> bool:
        return self.value <= self.budget

    def as_json(self) -> dict[str, Any]:
        rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(self).items()}
        return {**rounded, "ratio": None if self.ratio is None else round(self.ratio, 3), "ok": self.ok}
