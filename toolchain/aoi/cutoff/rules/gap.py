"""Stop when the best class leads by enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


def top_gap(scores: np.ndarray) -> np.ndarray:
    """Largest score minus second largest, (..., classes) → (...) of the same dtype; for one class its score."""
    if scores.shape[-1] < 2:
        return scores[..., 0]
    top = np.partition(scores, -2, axis=-1)
    return top[..., -1] - top[..., -2]


@dataclass(frozen=True)
class GapRule(Rule):
    """Stop as soon as the lead of the best class over the second, in the unit of the step, reaches ``threshold``
    (top-K gap with K = 1 and a threshold per step; arXiv 2301.09522).

    ``units[t - 1]`` is the gap at which runs may stop at step t, fitted on calibration data; 1 if not fitted.
    ``threshold`` scales all units together; 1 leaves them as fitted.
    """

    name: ClassVar[str] = "gap"
    example: ClassVar[float] = 1
    max_threshold: ClassVar[float] = 2.0**32

    units: tuple[float, ...] = ()

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        unit = self.units[min(step, len(self.units)) - 1] if self.units else 1.0
        return top_gap(scores).astype(np.float64) / unit, memory

    def candidates(self, steps: int) -> np.ndarray:
        if self.units:
            return np.geomspace(16.0, 1 / 16, 121)
        return np.arange(4 * steps, 0, -1, dtype=np.float64)

    def validation_error(self) -> str | None:
        if not all(0 < each < float("inf") for each in self.units):
            return "the units must be positive numbers, one per step"
        return super().validation_error()
