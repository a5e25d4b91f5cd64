"""Arms of a study over the recordings of all seeds together.

A cell judges a few hundred recordings, of which one is worth more than half a point of accuracy: where its operating
point lies at a drop of half a point hangs on single recordings. Pooled, the cells of an arm share a threshold on the
confidence, each with the scale fitted to its own network, and accuracy and steps are means over the seeds' means.
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
# Confidences from certain, where hardly a run stops early, to next to none, evenly in their logit.
THRESHOLDS = 1 / (1 + np.exp(-np.concatenate([np.linspace(36, 9, 109)[:-1], np.linspace(9, -2, 221)])))
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class CellScores:
    """A cell's network on its recordings."""

    scores: np.ndarray  # (samples, classes, T), accumulated readout
    labels: np.ndarray  # int64 (samples,)
    scale: float  # fitted on others
    cameras: int = 1
    """The recordings are so many films of the same ones, camera by camera: drawn together."""


@dataclass(frozen=True, eq=False)
class PooledArm:
    """An arm: row 0 what was measured, the others resamples of seeds and of recordings within them."""

    steps: np.ndarray  # float64 (1 + resamples, M), mean decision step at each threshold
    accuracy: np.ndarray  # float64 (1 + resamples, M)
    at: np.ndarray  # float64 (1 + resamples, T), accuracy when all stop at a step

    @property
    def peak(self) -> np.ndarray:
        """float64 (1 + resamples,): the best accuracy of all operating points, that of no early stop included."""
        best: np.ndarray = np.maximum(self.accuracy.max(axis=1), self.at[:, -1])
        return best

    def steps_for(self, accuracy: np.ndarray) -> np.ndarray:
        """The fewest mean steps with at least ``accuracy`` (1 + resamples,); T where no threshold has it."""
        enough = self.accuracy >= accuracy[:, None] - _SLACK
        fewest: np.ndarray = np.where(enough, self.steps, self.at.shape[1]).min(axis=1)
        return fewest


def pool_cells(cells: Mapping[int, CellScores], resamples: int = RESAMPLES) -> PooledArm:
    """``cells``: seed → what was judged. Pools of the same seeds and recordings have paired resamples."""
    seeds, parts = sorted(cells), []
    for seed in seeds:
        cell = cells[seed]
        rule = make_rule("confidence", 1.0, cell.scale)
        points = operating_points(statistics(rule, cell.scores), THRESHOLDS, cell.scores, cell.labels)
        films = np.concatenate([points.step, points.correct, correct_at(cell.scores, cell.labels).T]).T
        values = films.reshape(cell.cameras, -1, films.shape[1]).mean(axis=0)
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
    """An arm by itself: steps at a drop of at most ``max_drop`` from its peak, and accuracy at T."""
    return {"steps": _figure(arm.steps_for(arm.peak - max_drop)), "full_accuracy": _figure(arm.at[:, -1])}


def compare_pooled(arm: PooledArm, reference: PooledArm, max_drop: float) -> dict[str, dict[str, float | None]]:
    """Steps and their share of the reference's, both at the lower of the two peaks less ``max_drop``; and the
    difference in accuracy at T."""
    target = np.minimum(arm.peak, reference.peak) - max_drop
    mine, theirs = arm.steps_for(target), reference.steps_for(target)
    return {
        "steps": _figure(mine),
        "reference_steps": _figure(theirs),
        "share": _figure(mine / theirs),
        "accuracy": _figure(arm.at[:, -1] - reference.at[:, -1]),
        "peak": _figure(arm.peak - reference.peak),
    }


def _figure(draws: Sequence[float] | np.ndarray) -> dict[str, float | None]:
    low, high = interval(np.asarray(draws)[1:])
    return {"mean": float(draws[0]), "low": low, "high": high}
