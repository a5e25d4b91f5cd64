"""Synthetic runs for the tests of this folder: evidence for the true class accumulates over time."""

from __future__ import annotations

import numpy as np


def streams(
    samples: int = 300, classes: int = 5, steps: int = 20, seed: int = 0, drift: float = 0.35
) -> tuple[np.ndarray, np.ndarray]:
    """Accumulated readout int64 (samples, classes, T) and labels int64 (samples,)."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, samples)
    rates = np.where(np.arange(classes) == labels[:, None], drift + 0.15, drift)
    spikes = generator.random((samples, classes, steps)) < rates[..., None]
    return spikes.cumsum(-1), labels
