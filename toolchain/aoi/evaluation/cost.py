"""The cost of a decision: spikes and synaptic operations up to the decision step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def sum_until(events: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Sums over the steps 1..``step`` of each sample.

    ``events``: spikes or synaptic operations at each output step, int64 (samples, layers, T), as in
    :class:`~aoi.engine.Run`; ``step``: int64 (samples,), 1..T → int64 (samples, layers).

    The operations are NeuroBench's effective synaptic operations (arXiv 2304.04640): a spike times a nonzero weight;
    accumulates if spikes are binary. Steps are aligned: they are those that the decision depends on. On a pipelined
    target the first layers are up to L - 1 steps ahead at the decision.
    """
    total = events.cumsum(axis=-1, dtype=np.int64)
    return np.take_along_axis(total, (step - 1)[:, None, None], axis=-1)[..., 0]


def activation_sparsity(spikes: np.ndarray, neurons: Sequence[int], step: np.ndarray) -> float:
    """NeuroBench's activation sparsity: the share of zero activations over all neurons, steps and samples.

    ``spikes``: int64 (samples, layers, T); ``neurons``: number of neurons of each layer; ``step``: int64 (samples,),
    1..T, the last step counted of each sample. A silent network has 1.0.
    """
    sent = int(sum_until(spikes, step).sum())
    return 1.0 - sent / (int(sum(neurons)) * int(step.sum()))
