"""Compares stopping rules: the steps that each needs at the same accuracy drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aoi.cutoff.rule import Rule, candidates, statistics
from aoi.evaluation.bootstrap import Bootstrap, interval
from aoi.evaluation.operating_points import EarliestPoint, OperatingPoints, earliest_within_drop, operating_points


@dataclass(frozen=True, eq=False)
class RuleOperatingPoints:
    """All operating points of a rule, and the earliest one within the accepted drop."""

    rule: Rule  # its own threshold is not used
    points: OperatingPoints
    best: EarliestPoint

    def summary(self) -> dict[str, Any]:
        """Plain numbers for JSON. ``interval``, of ``mean_decision_step``, includes the choice of the threshold."""
        points, best = self.points, self.best
        return {
            "rule": self.rule.name,
            "threshold": best.threshold,
            "samples": len(points.full_correct),
            "steps": points.steps,
            "full_accuracy": float(points.full_correct.mean()),
            "accuracy": best.accuracy,
            "accuracy_drop": best.accuracy_drop,
            "max_drop": best.max_drop,
            "mean_decision_step": best.mean_decision_step,
            "interval": list(interval(best.draws)),
            "speedup_steps": points.steps / best.mean_decision_step,
            "points": [
                dict(zip(("threshold", "mean_decision_step", "accuracy", "front"), point, strict=True))
                for point in zip(
                    points.thresholds.tolist(),
                    points.mean_decision_step.tolist(),
                    points.accuracy.tolist(),
                    points.front.tolist(),
                    strict=True,
                )
            ],
        }


def compare_rules(
    rules: Sequence[Rule], scores: np.ndarray, labels: np.ndarray, max_drop: float
) -> tuple[RuleOperatingPoints, ...]:
    """Tries each rule's candidate thresholds on the same samples; all bootstrap draws are paired.

    ``scores``: accumulated readout (samples, classes, T); ``labels``: int (samples,); ``max_drop``: largest accepted
    drop of accuracy from T, in (0, 1).
    """
    resamples = Bootstrap(len(labels))
    compared = []
    for rule in rules:
        points = operating_points(statistics(rule, scores), candidates(rule, scores.shape[-1]), scores, labels)
        compared.append(RuleOperatingPoints(rule, points, earliest_within_drop(points, max_drop, resamples)))
    return tuple(compared)
