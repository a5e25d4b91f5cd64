"""Stop at a fixed step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class FixedRule(Rule):
    """Stop all runs at output step ``threshold``: the baseline for rules that look at their samples."""

    name: ClassVar[str] = "fixed"
    example: ClassVar[float] = 5
    integer_threshold: ClassVar[bool] = True
    fitted: ClassVar[bool] = False
    max_threshold: ClassVar[float] = 4096.0

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        return np.full(scores.shape[:-1], float(step)), memory

    def candidates(self, steps: int) -> np.ndarray:
        return np.arange(steps, 0, -1, dtype=np.float64)
