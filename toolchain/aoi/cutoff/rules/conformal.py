"""Stop when a conformal prediction set has a single class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class ConformalRule(Rule):
    """Stop as soon as the conformal prediction set at coverage ``threshold`` has no second class (SpikeCP, arXiv
    2305.11322).

    The nonconformity of a class is its log loss under ``softmax(scale * z[t])``. Its p-value at step t is
    ``(1 + #{calibration samples whose true class conforms no better}) / (n + 1)``. The set at miscoverage α contains
    the classes with ``p > α / T``: the division by T (Bonferroni; in the paper, not in its public code) makes the
    coverage hold at the step where the run stops. The set has at most one class exactly if the second largest p-value
    is at most α / T, so the statistic is ``1 - T * p_second`` and the threshold is the coverage 1 - α.

    ``quantiles[t - 1]``: the largest nonconformity scores of the calibration samples' true classes at step t,
    descending. Smaller ones count as p = 1: only p up to 1 / T matters, so about n / T of them suffice.
    """

    name: ClassVar[str] = "conformal"
    needs_scale: ClassVar[bool] = True

    quantiles: tuple[tuple[float, ...], ...] = ()
    samples: int = 0
    """n, the number of calibration samples behind the quantiles."""

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        steps = len(self.quantiles)
        known = np.asarray(self.quantiles[min(step, steps) - 1])[::-1]
        doubt = second_nonconformity(scores, self.scale_at(step))
        at_least = len(known) - np.searchsorted(known, doubt, side="left")
        p = np.where(at_least < len(known), (1.0 + at_least) / (self.samples + 1), 1.0)
        return 1.0 - steps * p, memory

    def candidates(self, steps: int) -> np.ndarray:
        """Every coverage that ``samples`` can resolve, at most 121 of them."""
        finest = steps / (self.samples + 1)
        if finest >= 1:
            return np.array([1.0])
        ranks = np.unique(np.geomspace(1, 1 / finest, 120).astype(np.int64))
        return np.concatenate([[1.0], 1 - finest * ranks[finest * ranks < 1]])

    def validation_error(self) -> str | None:
        if not self.quantiles or self.samples < 1 or not all(self.quantiles):
            return "there are no quantiles; 'aoi calibrate' with the rule conformal fits them"
        values = [each for row in self.quantiles for each in row]
        if not np.isfinite(values).all() or any(row != tuple(sorted(row, reverse=True)) for row in self.quantiles):
            return "the quantiles must be finite numbers, descending in each step"
        return super().validation_error()


def nonconformity(scores: np.ndarray, labels: np.ndarray, scale: float) -> np.ndarray:
    """Log loss of the classes ``labels`` (samples,) under softmax; ``scores`` (samples, classes) → float64."""
    z = np.asarray(scores, dtype=np.float64)
    return _log_total(z, scale) + scale * (z.max(axis=-1) - z[np.arange(len(z)), labels])


def second_nonconformity(scores: np.ndarray, scale: float) -> np.ndarray:
    """Log loss of the second best class: (samples, classes) → float64 (samples,); infinite for one class."""
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
