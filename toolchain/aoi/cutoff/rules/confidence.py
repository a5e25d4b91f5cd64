"""Stop when the largest class probability is high enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule


@dataclass(frozen=True)
class ConfidenceRule(Rule):
    """Stop as soon as the largest class probability reaches ``threshold`` (STR, arXiv 2405.00699).

    The probabilities are ``softmax(scale * z[t])``; ``z`` is the accumulated readout: output spike counts up to and
    including step t, or the voltage of an integrator in Loihi's state units. ``scale`` is fitted on calibration data.
    """

    name: ClassVar[str] = "confidence"
    needs_scale: ClassVar[bool] = True

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        return self.confidence(scores, step), memory

    def candidates(self, steps: int) -> np.ndarray:
        """Dense where the confidence is high."""
        return np.concatenate([[1.0], 1 - np.geomspace(1e-6, 0.7, 120)])
