"""The operating points of a rule over its thresholds, their Pareto front, and the steps at equal accuracy drop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aoi.evaluation.anytime import correct_at
from aoi.evaluation.bootstrap import Bootstrap


@dataclass(frozen=True, eq=False)
class OperatingPoints:
    """The decisions of a rule at each of M thresholds, in any order."""

    thresholds: np.ndarray  # float64 (M,)
    step: np.ndarray  # int64 (M, samples), decision steps
    correct: np.ndarray  # bool (M, samples)
    full_correct: np.ndarray  # bool (samples,), full inference
    steps: int  # T

    @property
    def mean_decision_step(self) -> np.ndarray:
        """Mean over samples, float64 (M,)."""
        return self.step.mean(axis=1)

    @property
    def accuracy(self) -> np.ndarray:
        """Mean over samples, float64 (M,)."""
        return self.correct.mean(axis=1)

    @property
    def accuracy_drop(self) -> np.ndarray:
        """From all T steps, float64 (M,)."""
        return self.full_correct.mean() - self.accuracy

    @property
    def front(self) -> np.ndarray:
        """Whether each point is on the Pareto front, bool (M,)."""
        return pareto_front(self.mean_decision_step, self.accuracy)


def operating_points(
    statistics: np.ndarray, thresholds: np.ndarray, scores: np.ndarray, labels: np.ndarray
) -> OperatingPoints:
    """Decides all runs at all thresholds.

    ``statistics``: float64 (samples, T) from :func:`aoi.cutoff.rule.statistics`; a run stops at the first step where
    they reach the threshold, otherwise at T. ``thresholds``: float64 (M,); ``scores``: accumulated readout (samples,
    classes, T); ``labels``: int (samples,).
    """
    correct = correct_at(scores, labels)
    best = np.maximum.accumulate(statistics[:, :-1], axis=1)  # the last step always stops
    index = np.stack([(best < threshold).sum(axis=1) for threshold in thresholds])
    return OperatingPoints(
        thresholds, index + 1, correct[np.arange(len(labels)), index], correct[:, -1], correct.shape[1]
    )


def pareto_front(steps: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """Whether no other point is better in steps or accuracy and as good in both, bool (M,). Equal points all count."""
    order = np.lexsort((-accuracy, steps))
    best = np.maximum.accumulate(accuracy[order])
    before = np.concatenate([[-np.inf], best[:-1]])
    first = np.concatenate([[True], (np.diff(steps[order]) > 0) | (np.diff(accuracy[order]) != 0)])
    kept = np.zeros(len(order), dtype=bool)
    inside = accuracy[order] > before
    # Points equal to the one before them are treated alike.
    kept[order] = inside[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    return kept


@dataclass(frozen=True, eq=False)
class EarliestPoint:
    """The earliest operating point whose accuracy drop is at most ``max_drop``.

    A look-back: the threshold is chosen on the samples that it is reported on. That favours every rule, more so those
    with more freedom. Use it to compare rules and networks; a guarantee for other recordings needs calibration.
    """

    max_drop: float
    threshold: float | None  # None: no threshold keeps max_drop, so full inference
    mean_decision_step: float
    accuracy: float
    accuracy_drop: float
    draws: np.ndarray  # float64 (resamples,), mean decision step with a threshold chosen in each resample


def earliest_within_drop(points: OperatingPoints, max_drop: float, bootstrap: Bootstrap | None = None) -> EarliestPoint:
    """The operating point with the fewest mean steps among those whose drop from T is at most ``max_drop``.

    The same ``bootstrap`` for two rules or networks on the same samples makes their draws paired.
    """
    bootstrap = bootstrap or Bootstrap(points.step.shape[1])
    steps, drop = points.mean_decision_step, points.accuracy_drop
    chosen = _fewest(steps, drop, max_drop)
    lost = points.full_correct.astype(np.int8) - points.correct
    drawn_steps, drawn_lost = np.split(bootstrap.means(np.concatenate([points.step, lost]).T), 2, axis=1)
    within = np.where(_at_most(drawn_lost, max_drop), drawn_steps, points.steps)
    full = float(points.full_correct.mean())
    return EarliestPoint(
        max_drop,
        None if chosen is None else float(points.thresholds[chosen]),
        float(points.steps) if chosen is None else float(steps[chosen]),
        full if chosen is None else float(points.accuracy[chosen]),
        0.0 if chosen is None else float(drop[chosen]),
        within.min(axis=1),
    )


def _fewest(steps: np.ndarray, drop: np.ndarray, max_drop: float) -> int | None:
    within = np.flatnonzero(_at_most(drop, max_drop))
    return int(within[steps[within].argmin()]) if len(within) else None


def _at_most(drop: np.ndarray, max_drop: float) -> np.ndarray:
    """``drop <= max_drop`` for shares of samples, up to rounding: 5 of 1000 is at most 0.005."""
    within: np.ndarray = drop <= max_drop + 1e-9
    return within
