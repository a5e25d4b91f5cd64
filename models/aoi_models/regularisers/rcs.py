"""RCS, the regulariser of arXiv 2301.09522 for directly trained networks, as the authors' code has it.

Source: ``snncutoff/regularizer/rcs_snn.py`` of github.com/Dengyu-Wu/snncutoff. What a neuron has received by a step is
read off as ``r(t) = s(t) + relu(v(t)) / threshold`` with v after the reset; the regulariser wants each step's pattern
over the neurons to look like the mean over all steps (not trained through):

``1 / (mean_t cos(r(t), mean_t r) + 1e-5)``

for each sample. The worst layer counts, and only samples that are predicted correctly at T.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aoi_models.blocks import LayerActivity
from aoi_models.regularisers.hidden import Hidden, check_correct
from aoi_models.regularisers.strength import rows

_EPSILON = 1e-5


def rcs_penalty(layers: Sequence[Hidden], correct: torch.Tensor) -> torch.Tensor:
    """RCS of the layer that has most of it, mean over the samples that are predicted correctly at T → scalar.

    0 where none is.

    Args:
        layers: hidden layers of N samples and T steps, as :func:`~aoi_models.regularisers.observe` yields them.
        correct: bool (N, T), is the prediction correct at each step; only the last step counts.

    Example:
        loss = error(output, labels) + 0.1 * rcs_penalty(layers.hidden, correct)
    """
    worst = torch.stack([_dissimilarity(layer, correct) for layer in layers]).amax(0)
    counts = correct[:, -1].to(worst.dtype)
    return (worst * counts).sum() / counts.sum().clamp(min=1)


def _dissimilarity(layer: Hidden, correct: torch.Tensor) -> torch.Tensor:
    """(N,): 1 where all steps look alike."""
    if not isinstance(layer.activity, LayerActivity):
        raise ValueError("rcs_penalty: the sums over a layer's neurons have no pattern; give its activity")
    samples, steps = layer.activity.spikes.shape[0], layer.activity.spikes.shape[-1]
    check_correct(correct, samples, steps)
    spikes, voltage = rows(layer.activity.spikes), rows(layer.activity.voltage)
    received = spikes + voltage.clamp(min=0) * (1 - spikes.detach()) / layer.threshold
    received = received.view(steps, samples, -1)
    mean = received.detach().mean(0)
    similarity = (received * mean).sum(-1) / (_norm(received) * _norm(mean))
    return 1 / (similarity.mean(0) + _EPSILON)


def _norm(x: torch.Tensor) -> torch.Tensor:
    return (x.square().sum(-1) + _EPSILON).sqrt()
