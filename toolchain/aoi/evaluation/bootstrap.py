"""How far a number would move on other recordings of the same kind: percentile bootstrap (Efron 1979), 95 %."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
_CHUNK = 1 << 22  # drawn indices that are held at a time


@dataclass(frozen=True)
class Bootstrap:
    """Resamples of N samples with replacement.

    The same seed draws the same resamples, so that whatever is computed with one object is paired: the difference of
    two numbers has an interval of its own, often much narrower than those of the two. Any number that is a function of
    means over samples can be had; what has no spread in the sample, such as an accuracy of 1, shows none here either.
    """

    samples: int
    resamples: int = 2000
    seed: int = 0

    def means(self, values: np.ndarray) -> np.ndarray:
        """The mean over each resample: ``values`` (samples, ...), bool or real → float64 (resamples, ...)."""
        flat = values.reshape(self.samples, -1).astype(np.float64)
        drawn = np.concatenate([weights @ flat for weights in self._weights()])
        return drawn.reshape(self.resamples, *values.shape[1:]) / self.samples

    def _weights(self) -> Iterator[np.ndarray]:
        """How often each sample is in each resample, float64 (some resamples, samples)."""
        generator = np.random.default_rng(self.seed)
        rows = max(1, _CHUNK // self.samples)
        for first in range(0, self.resamples, rows):
            count = min(rows, self.resamples - first)
            drawn = generator.integers(0, self.samples, (count, self.samples))
            drawn += np.arange(count)[:, None] * self.samples
            yield np.bincount(drawn.ravel(), minlength=count * self.samples).reshape(count, -1).astype(np.float64)


def interval(draws: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Lower and upper end of the central ``level`` of the draws, (resamples,)."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
