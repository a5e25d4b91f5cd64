"""Stop when a conformal prediction set holds one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class ConformalRule(Rule):
    """Stop as soon as the conformal prediction set at coverage ``threshold`` holds no second class (SpikeCP, arXiv
    2305.11322).

    Non-conformity of a class is its log loss under ``softmax(scale * z[t])``. Its p-value at step t is
    ``(1 + #{calibration samples whose true class conforms no better}) / (n + 1)``, and the set at miscoverage α holds
    the classes with ``p > α / T``: dividing by T (Bonferroni, in the paper, left out of its public code) is what makes
    the coverage hold at the step where the run stops. The set holds at most one class exactly where the second largest
    p-value is at most α / T, so the statistic is ``1 - T * p_second`` and the threshold the coverage 1 - α.

    ``quantiles[t - 1]``: the largest non-conformities of the calibration samples' true classes at step t, descending.
    Values beyond those that are kept count as p = 1: only p up to 1 / T matters, so about n / T of them suffice.
    """

    name: ClassVar[str] = "conformal"
    needs_scale: ClassVar[bool] = True

    quantiles: tuple[tuple[float, ...], ...] = ()
    samples: int = 0
    """n, calibration samples that the quantiles are of."""

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        steps = len(self.quantiles)
        known = np.asarray(self.quantiles[min(step, steps) - 1])[::-1]
        doubt = second_nonconformity(scores, self.scale_at(step))
        at_least = len(known) - np.searchsorted(known, doubt, side="left")
        p = np.where(at_least < len(known), (1.0 + at_least) / (self.samples + 1), 1.0)
        return 1.0 - steps * p, memory

    def candidates(self, steps: int) -> np.ndarray:
        """Every coverage that ``samples`` can tell apart, at most 121 of them."""
        finest = steps / (self.samples + 1)
        if finest >= 1:
            return np.array([1.0])
        ranks = np.unique(np.geomspace(1, 1 / finest, 120).astype(np.int64))
        return np.concatenate([[1.0], 1 - finest * ranks[finest * ranks < 1]])

    def fault(self) -> str | None:
        if not self.quantiles or self.samples < 1 or not all(self.quantiles):
            return "the conformal rule needs the quantiles that 'aoi calibrate --rule conformal' fits"
        values = [each for row in self.quantiles for each in row]
        if not np.isfinite(values).all() or any(row != tuple(sorted(row, reverse=True)) for row in self.quantiles):
            return "the quantiles are finite numbers, descending in each step"
        return super().fault()


def nonconformity(scores: np.ndarray, labels: np.ndarray, scale: float) -> np.ndarray:
    """Log loss of the classes ``labels`` (samples,) under softmax; ``scores`` (samples, classes) → float64."""
    z = np.asarray(scores, dtype=np.float64)
    return _log_total(z, scale) + scale * (z.max(axis=-1) - z[np.arange(len(z)), labels])


def second_nonconformity(scores: np.ndarray, scale: float) -> np.ndarray:
    """Log loss of the class that comes second, (samples, classes) → float64 (samples,); infinite for one class."""
    z = np.asarray(scores, dtype=np.float64)
    if z.shape[-1] < 2:
        return np.full(len(z), np.inf)
    top = np.partition(z, -2, axis=-1)
    return _log_total(z, scale) + scale * (top[..., -1] - top[..., -2])


def _log_total(z: np.ndarray, scale: float) -> np.ndarray:
    """log Σ exp(scale * (z - max z)), class by class."""
    total, peak = np.zeros(z.shape[:-1]), z.max(axis=-1)
    for k in range(z.shape[-1]):
        total += np.exp(scale * (z[..., k] - peak))
    return np.log(total)
