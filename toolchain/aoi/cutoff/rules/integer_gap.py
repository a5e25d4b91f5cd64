"""The gap rule for processors without floating point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.integer import GAP_BITS, UNIT_BITS, gap_share, gap_unit
from aoi.cutoff.rules.base import Rule
from aoi.cutoff.rules.gap import GapRule, top_gap

_MAX_UNIT = 2.0**30


@dataclass(frozen=True)
class IntegerGapRule(Rule):
    """Stop as soon as the best class leads by the step's integer number of spikes (or state units).

    The integer form of :class:`GapRule`: units are multiples of 2^-8, the threshold is a multiple of 2^-16, both
    rounded up. A processor compares the gap with ``aoi.cutoff.integer.gap_limits``, one number per step, which is the
    same decision.
    """

    name: ClassVar[str] = "int-gap"
    max_threshold: ClassVar[float] = GapRule.max_threshold
    example: ClassVar[float] = GapRule.example

    units: tuple[float, ...] = ()

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        unit = gap_unit(self.units[min(step, len(self.units)) - 1]) if self.units else 1 << UNIT_BITS
        gap = top_gap(np.asarray(scores).astype(np.int64))
        if scores.shape[-1] < 2:
            gap = np.maximum(gap, 0)
        gap = gap.view(np.uint64)  # unsigned: exact for any two numbers
        return gap_share(gap, unit) / float(1 << GAP_BITS), memory

    def candidates(self, steps: int) -> np.ndarray:
        return GapRule(self.threshold, units=self.units).candidates(steps)

    def validation_error(self) -> str | None:
        if any(each > _MAX_UNIT for each in self.units):
            return f"the units must be at most {_MAX_UNIT:g}, so that products fit 64 bits"
        return GapRule(self.threshold, self.scale, self.scales, self.units).validation_error()
