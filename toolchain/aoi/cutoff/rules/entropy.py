"""Stop when the entropy of the class probabilities is low enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from aoi.cutoff.rules.base import Rule

_FAR = -1e3  # its exp is 0; avoids 0 * infinity


@dataclass(frozen=True)
class EntropyRule(Rule):
    """Stop as soon as ``1 - H / log(classes)`` reaches ``threshold`` (DT-SNN, arXiv 2305.17346).

    ``H`` is the entropy of ``softmax(scale * z[t])``. DT-SNN stops when the normalised entropy falls below a threshold;
    the threshold here is 1 minus theirs.
    """

    name: ClassVar[str] = "entropy"
    needs_scale: ClassVar[bool] = True

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        z = np.asarray(scores, dtype=np.float64)
        classes = z.shape[-1]
        if classes < 2:
            return np.ones(z.shape[:-1]), memory
        scale, peak = self.scale_at(step), z.max(axis=-1)
        total, moment = np.zeros(z.shape[:-1]), np.zeros(z.shape[:-1])
        with np.errstate(over="ignore"):
            for k in range(classes):  # class by class: bit-identical in any batch
                logit = np.maximum(scale * (z[..., k] - peak), _FAR)
                weight = np.exp(logit)
                total += weight
                moment += weight * logit
        return 1.0 - (np.log(total) - moment / total) / np.log(classes), memory

    def candidates(self, steps: int) -> np.ndarray:
        return np.concatenate([[1.0], 1 - np.geomspace(1e-6, 0.95, 120)])
