"""The stopping rule: one object for the Lava monitor, the engine and evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ConfidenceRule:
    """Stop as soon as the largest class probability reaches ``threshold`` (arXiv 2405.00699).

    The probabilities are ``softmax(scale * z[t])``; ``z`` is the accumulated readout: output spike counts up to and
    including step t, or the voltage of an integrator in Loihi's state units. ``scale`` is fitted on calibration data.

    The sum runs class by class in float64, so that a sample's confidence has the same bits whatever batch or array
    it is part of.
    """

    threshold: float
    scale: float

    def confidence(self, scores: np.ndarray) -> np.ndarray:
        """Largest class probability; ``scores`` (..., classes), any real dtype → float64 (...)."""
        z = np.asarray(scores, dtype=np.float64)
        total = np.zeros(z.shape[:-1])
        peak = z.max(axis=-1)
        with np.errstate(over="ignore"):  # a distance beyond float64 is infinite, its share zero
            for k in range(z.shape[-1]):
                total += np.exp(self.scale * (z[..., k] - peak))
        return 1.0 / total

    def stops(self, scores: np.ndarray) -> np.ndarray:
        """True where the run can stop; ``scores`` (..., classes) → bool (...)."""
        return self.confidence(scores) >= self.threshold


@dataclass(frozen=True)
class Decisions:
    """What a rule decides about whole runs. Arrays of shape (samples,)."""

    step: np.ndarray  # int64, decision step 1..T
    prediction: np.ndarray  # int64, class index
    confidence: np.ndarray  # float64


def decide(rule: ConfidenceRule | None, scores: np.ndarray) -> Decisions:
    """Applies ``rule`` to whole runs: the first step that stops, otherwise T. ``None`` runs all steps.

    ``scores``: accumulated readout (samples, classes, T). A tie between classes goes to the smaller index.
    """
    by_step = np.moveaxis(scores, -1, 1)
    samples, steps = by_step.shape[:2]
    measure = rule or ConfidenceRule(threshold=1.0, scale=1.0)
    confidence = measure.confidence(by_step)
    stops = confidence >= rule.threshold if rule else np.zeros((samples, steps), dtype=bool)
    stops[:, -1] = True
    index = stops.argmax(axis=1)
    rows = np.arange(samples)
    return Decisions(index + 1, by_step[rows, index].argmax(axis=-1), confidence[rows, index])
