"""Fits what a rule needs besides its threshold, on recordings other than those that choose the threshold.

All functions take ``scores``, the accumulated readout (samples, classes, T), and ``labels``, int (samples,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize, minimize_scalar

from aoi.cutoff.rules.conformal import nonconformity
from aoi.cutoff.rules.gap import top_gap


def fit_scale(scores: np.ndarray, labels: np.ndarray) -> float:
    """The scale that minimises the cross entropy of ``softmax(scale * z[t])`` over the first two thirds of the steps.

    One scale for all steps stops earlier than one per step. The last third is left out: few runs get there, and
    evidence that accumulates without being new makes a few wrong answers so certain that they would lower the scale for
    all others.
    """
    early = scores[..., : max(1, 2 * scores.shape[-1] // 3)]
    return _best_scale(early if (early != early[:, :1]).any() else scores, labels)


def fit_scales(scores: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """For each step the scale that minimises its cross entropy (T numbers)."""
    return tuple(_best_scale(scores[..., t : t + 1], labels) for t in range(scores.shape[-1]))


def _distances_to_best(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Score of each class minus the largest, float64 (samples, T, classes), at most 0; and that of the true class
    (samples, T)."""
    z = np.moveaxis(scores, 1, -1).astype(np.float64)
    z = z - z.max(axis=-1, keepdims=True)
    right = np.take_along_axis(z, np.broadcast_to(labels[:, None, None], (*z.shape[:2], 1)), axis=-1)[..., 0]
    return z, right


def _best_scale(scores: np.ndarray, labels: np.ndarray) -> float:
    z, right = _distances_to_best(scores, labels)
    spread = float(-z.min())
    if spread == 0:  # a silent network: any scale fits
        return 1.0

    def loss(log_scale: float) -> float:
        scale = math.exp(log_scale)
        return float((np.log(np.exp(scale * z).sum(axis=-1)) - scale * right).mean())

    bounds = (math.log(1e-3 / spread), math.log(1e4 / spread))
    return math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)


def fit_scale_decay(scores: np.ndarray, labels: np.ndarray) -> float:
    """The power b, in [0, 2], for which ``softmax(a * t**-b * z[t])`` has the least cross entropy over all steps.

    Evidence that accumulates without being new makes late confidences too high. If each step brings independent
    evidence, b is 0; if all steps bring the same evidence, the mean is sufficient and b is 1. 0 for a single step.
    """
    if scores.shape[-1] == 1:
        return 0.0
    z, right = _distances_to_best(scores, labels)
    progress = np.arange(1, z.shape[1] + 1) / z.shape[1]
    shared = fit_scale(scores, labels)

    def loss(parameters: np.ndarray) -> float:
        scale = shared * np.exp(parameters[0]) * progress ** -parameters[1]  # within the bounds: no overflow
        return float((np.log(np.exp(scale[:, None] * z).sum(axis=-1)) - scale * right).mean())

    bounds = ((-5.0, 5.0), (0.0, 2.0))
    found = minimize(loss, (0.0, 0.5), method="Nelder-Mead", bounds=bounds, options={"xatol": 1e-3, "fatol": 1e-7})
    return float(found.x[1])


def fit_units(scores: np.ndarray, labels: np.ndarray, share: float = 0.99) -> tuple[float, ...]:
    """For each step the smallest gap above which stopping loses at most 1 - ``share`` of the runs (T numbers).

    A run is lost if it is correct at T and wrong at the step. This is the cutoff threshold of arXiv 2301.09522,
    measured against full inference. If no gap of a step is large enough, its unit is above all gaps.
    """
    full = scores[..., -1].argmax(axis=-1) == labels
    units = []
    for t in range(scores.shape[-1]):
        here = scores[..., t]
        gap, kept_answer = top_gap(here).astype(np.float64), ~full | (here.argmax(axis=-1) == labels)
        order = np.argsort(-gap, kind="stable")
        kept = np.cumsum(kept_answer[order]) / np.arange(1, len(order) + 1)
        last = np.flatnonzero((np.diff(gap[order], append=-np.inf) != 0) & (kept >= share) & (gap[order] > 0))
        units.append(float(gap[order][last[-1]]) if len(last) else float(gap.max()) + 1.0)
    return tuple(units)


def fit_quantiles(scores: np.ndarray, labels: np.ndarray, scales: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """For each step the largest ``n / T + 1`` nonconformity scores of the true classes, descending; n samples.

    ``scales``: the scale of the confidence at each of the T steps.
    """
    samples, _, steps = scores.shape
    keep = min(samples, (samples + 1) // steps + 1)
    return tuple(
        tuple(np.sort(nonconformity(scores[..., t], labels, scales[t]))[::-1][:keep].tolist()) for t in range(steps)
    )
