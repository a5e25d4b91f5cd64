"""The confidence rule for processors without floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.integer import SHARE_BITS, exp_table, share_total
from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class IntegerConfidenceRule(Rule):
    """Stop as soon as the integer confidence ``floor(2^56 / total)``, in units of 2^-28, reaches ``threshold``.

    The integer form of :class:`ConfidenceRule`. ``total`` sums a table of the exponential at the classes' distances
    from the best one (``aoi.cutoff.integer``). A processor compares ``total * ceil(threshold * 2^28) <= 2^56``, which
    is the same decision. The table rounds up, so that the integer confidence never exceeds the floating-point one.
    """

    name: ClassVar[str] = "int-confidence"
    needs_scale: ClassVar[bool] = True

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        total = share_total(np.asarray(scores).astype(np.int64), *exp_table(self.scale))
        return ((1 << (2 * SHARE_BITS)) // total) / float(1 << SHARE_BITS), memory  # below 2^53: the division is exact

    def candidates(self, steps: int) -> np.ndarray:
        return np.concatenate([[1.0], 1 - np.geomspace(1e-6, 0.7, 120)])

    def validation_error(self) -> str | None:
        if self.scales:
            return "the integer rule has one scale for all steps"
        if self.scale < 2.0**-40:
            return "the integer rule needs a scale of at least 2^-40"
        return super().validation_error()
