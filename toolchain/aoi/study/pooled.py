"""Arms of a study, pooled over the recordings of all seeds.

A cell evaluates a few hundred recordings, so that its operating point at a drop of half a point depends on single
recordings. Pooled, the cells of an arm share a threshold on the confidence, each with the scale fitted to its own
network; accuracy and steps are means over the seeds' means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aoi.cutoff.rule import make_rule, statistics
from aoi.evaluation.anytime import correct_at
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.operating_points import operating_points

RESAMPLES = 2000
# Confidences from almost 1, where hardly any run stops early, to 0.12, evenly spaced in their logit.
THRESHOLDS = 1 / (1 + np.exp(-np.concatenate([np.linspace(36, 9, 109)[:-1], np.linspace(9, -2, 221)])))
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class CellScores:
    """The readout of a cell's network on its evaluated recordings."""

    scores: np.ndarray  # (samples, classes, T), accumulated readout
    labels: np.ndarray  # int64 (samples,)
    scale: float  # of the confidence, fitted on other recordings
    cameras: int = 1
    """Number of renderings of each recording, ordered by camera. Resampling draws all of a recording together."""


@dataclass(frozen=True, eq=False)
class PooledArm:
    """An arm over all its seeds. Row 0 is measured; the other rows resample seeds, and recordings within them."""

    steps: np.ndarray  # float64 (1 + resamples, M), mean decision step at each threshold
    accuracy: np.ndarray  # float64 (1 + resamples, M)
    at: np.ndarray  # float64 (1 + resamples, T), accuracy if all stop at a step

    @property
    def peak(self) -> np.ndarray:
        """The best accuracy over all operating points and full inference, float64 (1 + resamples,)."""
        best: np.ndarray = np.maximum(self.accuracy.max(axis=1), self.at[:, -1])
        return best

    def steps_for(self, accuracy: np.ndarray) -> np.ndarray:
        """The fewest mean steps with at least ``accuracy`` (1 + resamples,); T if no threshold reaches it."""
        enough = self.accuracy >= accuracy[:, None] - _SLACK
        fewest: np.ndarray = np.where(enough, self.steps, self.at.shape[1]).min(axis=1)
        return fewest


def pool_cells(cells: Mapping[int, CellScores], resamples: int = RESAMPLES) -> PooledArm:
    """Pools the cells of an arm, seed → scores. Arms with the same seeds and recordings have paired resamples."""
    seeds, parts = sorted(cells), []
    for seed in seeds:
        cell = cells[seed]
        rule = make_rule("confidence", 1.0, cell.scale)
        points = operating_points(statistics(rule, cell.scores), THRESHOLDS, cell.scores, cell.labels)
        renderings = np.concatenate([points.step, points.correct, correct_at(cell.scores, cell.labels).T]).T
        values = renderings.reshape(cell.cameras, -1, renderings.shape[1]).mean(axis=0)
        drawn = Bootstrap(len(values), resamples, seed).means(values)
        parts.append(np.concatenate([values.mean(axis=0, keepdims=True), drawn]))
    means = np.stack(parts)  # (seeds, 1 + resamples, 2 M + T)
    chosen = np.random.default_rng(0).integers(0, len(seeds), (resamples, len(seeds)))
    rows = np.arange(1, resamples + 1)[:, None]
    drawn = means[chosen, rows].mean(axis=1)
    both = np.concatenate([means[:, 0].mean(axis=0, keepdims=True), drawn])
    steps, accuracy, at = np.split(both, [len(THRESHOLDS), 2 * len(THRESHOLDS)], axis=1)
    return PooledArm(steps, accuracy, at)


def arm_summary(arm: PooledArm, max_drop: float) -> dict[str, dict[str, float | None]]:
    """The steps of an arm at a drop of at most ``max_drop`` from its peak, and its accuracy at T, with intervals."""
    return {
        "steps": _mean_and_interval(arm.steps_for(arm.peak - max_drop)),
        "full_accuracy": _mean_and_interval(arm.at[:, -1]),
    }


def compare_pooled(arm: PooledArm, reference: PooledArm, max_drop: float) -> dict[str, dict[str, float | None]]:
    """Compares an arm with a reference, with intervals.

    Steps of both and their ratio (``share``), at the lower of the two peaks less ``max_drop``; differences in accuracy
    at T (``accuracy``) and in ``peak``.
    """
    target = np.minimum(arm.peak, reference.peak) - max_drop
    mine, theirs = arm.steps_for(target), reference.steps_for(target)
    return {
        "steps": _mean_and_interval(mine),
        "reference_steps": _mean_and_interval(theirs),
        "share": _mean_and_interval(mine / theirs),
        "accuracy": _mean_and_interval(arm.at[:, -1] - reference.at[:, -1]),
        "peak": _mean_and_interval(arm.peak - reference.peak),
    }


def _mean_and_interval(draws: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    low, high = interval(np.asarray(draws)[1:])
    return {"mean": float(draws[0]), "low": low, "high": high}
