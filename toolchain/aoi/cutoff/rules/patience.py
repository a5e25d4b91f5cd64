"""Stop when the answer no longer changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class PatienceRule(Rule):
    """Stop as soon as the answer has been the same for ``threshold`` steps running (PABEE, arXiv 2006.04152).

    The statistic is the number of steps, this one included, since the answer last changed. While all classes are
    level, as before the first output spike, there is no answer and the statistic is 0.
    """

    name: ClassVar[str] = "patience"
    example: ClassVar[float] = 3
    whole: ClassVar[bool] = True
    fitted: ClassVar[bool] = False
    ceiling: ClassVar[float] = 4096.0

    def begin(self, samples: int) -> Any:
        """(answer, steps that it has stood), int64 (samples,) each."""
        return np.full(samples, -1, dtype=np.int64), np.zeros(samples, dtype=np.int64)

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        answer, stood = memory
        level = scores.max(axis=-1) == scores.min(axis=-1)
        now = np.where(level, -1, scores.argmax(axis=-1))
        stood = np.where(level, 0, np.where(now == answer, stood + 1, 1))
        return stood.astype(np.float64), (now, stood)

    @staticmethod
    def select(memory: Any, keep: np.ndarray) -> Any:
        answer, stood = memory
        return answer[keep], stood[keep]

    def candidates(self, steps: int) -> np.ndarray:
        return np.arange(steps, 0, -1, dtype=np.float64)
