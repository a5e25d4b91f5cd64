"""Stop when the prediction no longer changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class PatienceRule(Rule):
    """Stop as soon as the prediction has been the same for ``threshold`` consecutive steps (PABEE, arXiv 2006.04152).

    The statistic is the number of steps, this one included, since the prediction last changed. While all scores are
    equal, as before the first output spike, there is no prediction and the statistic is 0.
    """

    name: ClassVar[str] = "patience"
    example: ClassVar[float] = 3
    integer_threshold: ClassVar[bool] = True
    fitted: ClassVar[bool] = False
    max_threshold: ClassVar[float] = 4096.0

    def begin(self, samples: int) -> Any:
        """(prediction, number of steps that it has not changed), int64 (samples,) each."""
        return np.full(samples, -1, dtype=np.int64), np.zeros(samples, dtype=np.int64)

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        prediction, unchanged = memory
        tied = scores.max(axis=-1) == scores.min(axis=-1)
        now = np.where(tied, -1, scores.argmax(axis=-1))
        unchanged = np.where(tied, 0, np.where(now == prediction, unchanged + 1, 1))
        return unchanged.astype(np.float64), (now, unchanged)

    @staticmethod
    def select(memory: Any, keep: np.ndarray) -> Any:
        prediction, unchanged = memory
        return prediction[keep], unchanged[keep]

    def candidates(self, steps: int) -> np.ndarray:
        return np.arange(steps, 0, -1, dtype=np.float64)
