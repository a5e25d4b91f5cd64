"""What a decision costs: spikes and synaptic operations until it falls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def until(events: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Sums over the steps 1..``step`` of each sample.

    ``events``: int64 (samples, layers, T), spikes or synaptic operations at each output step, as
    :class:`~aoi.engine.Run` holds them; ``step``: int64 (samples,), 1..T → int64 (samples, layers).

    The operations are NeuroBench's effective synaptic operations (arXiv 2304.04640): only those of a spike and of a
    weight other than 0; accumulates where spikes are binary. Steps are aligned: they are what the decision depends on.
    On a pipelined target the first layers are up to L - 1 steps ahead when the decision falls.
    """
    total = events.cumsum(axis=-1, dtype=np.int64)
    return np.take_along_axis(total, (step - 1)[:, None, None], axis=-1)[..., 0]


def activation_sparsity(spikes: np.ndarray, neurons: Sequence[int], step: np.ndarray) -> float:
    """NeuroBench's activation sparsity: share of the activations that are 0, over all neurons, steps and samples.

    ``spikes``: int64 (samples, layers, T), ``neurons``: of each layer, ``step``: int64 (samples,), 1..T, the steps
    that are counted of each sample. 1.0 is a silent network.
    """
    sent = int(until(spikes, step).sum())
    return 1.0 - sent / (int(sum(neurons)) * int(step.sum()))
