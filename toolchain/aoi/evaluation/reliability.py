"""Calibration of the confidence: is 0.9 correct nine times out of ten?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 15  # as in Guo et al. and torchmetrics


@dataclass(frozen=True, eq=False)
class Reliability:
    """A reliability diagram: samples in bins (low, high] of equal width by confidence."""

    edges: np.ndarray  # float64 (bins + 1,), from 0 to 1
    count: np.ndarray  # int64 (bins,)
    confidence: np.ndarray  # float64 (bins,), mean confidence; 0 in an empty bin
    accuracy: np.ndarray  # float64 (bins,), share of correct predictions; 0 in an empty bin

    @property
    def error(self) -> float:
        """Expected calibration error: ``sum_b count_b / N * |accuracy_b - confidence_b|`` (Guo et al., arXiv
        1706.04599); 0 without samples."""
        return float((self.count * np.abs(self.accuracy - self.confidence)).sum() / max(int(self.count.sum()), 1))


def reliability(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> Reliability:
    """The diagram of confidences in [0, 1], float (samples,), and whether each prediction is correct, bool
    (samples,)."""
    edges = np.linspace(0, 1, bins + 1)
    index = bin_index(confidence, bins)
    count = np.bincount(index, minlength=bins)
    filled = np.maximum(count, 1)
    return Reliability(
        edges,
        count,
        np.bincount(index, weights=confidence, minlength=bins) / filled,
        np.bincount(index, weights=correct.astype(np.float64), minlength=bins) / filled,
    )


def bin_index(confidence: np.ndarray, bins: int = BINS) -> np.ndarray:
    """The bin of each confidence, int64, 0..bins - 1; any shape."""
    return np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")


def reliability_at(confidence: np.ndarray, correct: np.ndarray, bins: int = BINS) -> tuple[Reliability, ...]:
    """One diagram per step; ``confidence`` float and ``correct`` bool, both (samples, T)."""
    return tuple(reliability(confidence[:, t], correct[:, t], bins) for t in range(confidence.shape[1]))
