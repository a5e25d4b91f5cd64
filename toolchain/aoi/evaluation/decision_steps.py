"""The distribution of decision steps, overall and per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aoi.cutoff.rule import Decisions

PERCENTILES = (5, 25, 50, 75, 95, 99)


def percentiles(step: np.ndarray, of: tuple[int, ...] = PERCENTILES) -> dict[int, int]:
    """Percentile → the smallest step by which that share of the samples is decided; ``step`` int (samples,)."""
    values = np.percentile(step, of, method="inverted_cdf")
    return {percent: int(value) for percent, value in zip(of, values, strict=True)}


@dataclass(frozen=True)
class ClassResult:
    """Results of one class. All but ``samples`` are None if it has no samples."""

    samples: int
    accuracy: float | None
    mean_decision_step: float | None
    median_decision_step: int | None


def per_class(labels: np.ndarray, decisions: Decisions, classes: int) -> tuple[ClassResult, ...]:
    """One result per class, in order; ``labels`` int (samples,)."""
    results = []
    for label in range(classes):
        chosen = labels == label
        step = decisions.step[chosen]
        if not len(step):
            results.append(ClassResult(0, None, None, None))
            continue
        accuracy = float((decisions.prediction[chosen] == label).mean())
        results.append(ClassResult(len(step), accuracy, float(step.mean()), percentiles(step, (50,))[50]))
    return tuple(results)
