"""How results change when recordings get worse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aoi.cutoff.rule import Decisions
from aoi.evaluation.anytime import correct_at
from aoi.evaluation.bootstrap import Bootstrap, interval


@dataclass(frozen=True)
class CorruptionEffect:
    """Means over corrupted recordings, and their changes from the same recordings when clean."""

    full_accuracy: float  # at T
    accuracy: float  # at the decision
    mean_confidence: float  # at the decision
    mean_decision_step: float
    change: dict[str, float]  # of each of the four means, corrupted minus clean
    intervals: dict[str, tuple[float, float]]  # of each change, paired bootstrap


def compare_with_clean(
    clean: tuple[np.ndarray, Decisions], corrupted: tuple[np.ndarray, Decisions], labels: np.ndarray
) -> CorruptionEffect:
    """Compares the clean and the corrupted recordings, in the same order.

    ``clean``, ``corrupted``: accumulated readout (samples, classes, T) and decisions; ``labels``: int (samples,).
    """
    before, after = (_columns(scores, decisions, labels) for scores, decisions in (clean, corrupted))
    names = tuple(after)
    moved = np.stack([after[name] - before[name] for name in names], axis=1)
    draws = Bootstrap(len(labels)).means(moved)
    return CorruptionEffect(
        **{name: float(after[name].mean()) for name in names},
        change={name: float(moved[:, k].mean()) for k, name in enumerate(names)},
        intervals={name: interval(draws[:, k]) for k, name in enumerate(names)},
    )


def _columns(scores: np.ndarray, decisions: Decisions, labels: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "full_accuracy": correct_at(scores[..., -1:], labels)[:, 0].astype(np.float64),
        "accuracy": (decisions.prediction == labels).astype(np.float64),
        "mean_confidence": decisions.confidence,
        "mean_decision_step": decisions.step.astype(np.float64),
    }
