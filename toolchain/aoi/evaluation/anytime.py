"""The accuracy of a network at each step, and what a cutoff saves and costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aoi.cutoff.rule import Decisions


@dataclass(frozen=True, eq=False)
class AnytimeResult:
    """Accuracy at each step and with a cutoff. Steps count from 1."""

    accuracy_at: np.ndarray  # float64 (T,): accuracy if all samples stop at step t
    decisions: Decisions
    labels: np.ndarray  # int64 (samples,)

    @property
    def steps(self) -> int:
        """T."""
        return len(self.accuracy_at)

    @property
    def full_accuracy(self) -> float:
        """At T."""
        return float(self.accuracy_at[-1])

    @property
    def accuracy(self) -> float:
        """Of the decisions, with the cutoff."""
        return float((self.decisions.prediction == self.labels).mean())

    @property
    def mean_decision_step(self) -> float:
        return float(self.decisions.step.mean())

    def summary(self) -> dict[str, Any]:
        """Plain numbers for JSON, under the documented keys."""
        return {
            "samples": len(self.labels),
            "steps": self.steps,
            **drops(self.accuracy, self.full_accuracy, float(self.accuracy_at.max())),
            "mean_decision_step": self.mean_decision_step,
            "speedup_steps": self.steps / self.mean_decision_step,
            "accuracy_at": [float(a) for a in self.accuracy_at],
        }


def drops(accuracy: float, full: float, peak: float) -> dict[str, float]:
    """Drops of accuracy with the cutoff, from all T steps and from the best step: a network may peak before T."""
    return {
        "full_accuracy": full,
        "accuracy": accuracy,
        "accuracy_drop": full - accuracy,
        "accuracy_drop_peak": peak - accuracy,
    }


def correct_at(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether the prediction is correct at each step, bool (samples, T).

    ``scores``: accumulated readout (samples, classes, T); ``labels``: int (samples,). A tie between classes goes to the
    smaller index, as in :func:`~aoi.cutoff.rule.decide`.
    """
    correct: np.ndarray = scores.argmax(axis=1) == labels[:, None]
    return correct


def accuracy_at(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy at each step, float64 (T,); accumulated readout (samples, classes, T), labels int (samples,)."""
    return correct_at(scores, labels).mean(axis=0)


def anytime_result(scores: np.ndarray, labels: np.ndarray, decisions: Decisions) -> AnytimeResult:
    """Compares ``decisions`` with full inference; ``scores`` (samples, classes, T), ``labels`` int (samples,)."""
    return AnytimeResult(accuracy_at(scores, labels), decisions, labels)
