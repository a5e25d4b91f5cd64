"""RCS, the regulariser of arXiv 2301.09522 for directly trained networks, as in the authors' code.

Source: ``snncutoff/regularizer/rcs_snn.py`` of github.com/Dengyu-Wu/snncutoff. The input that a neuron has received by
step t is estimated as ``r(t) = s(t) + relu(v(t)) / threshold`` with v after the reset. The penalty is small if the
pattern over the neurons at each step resembles the mean over all steps (without gradient):

``1 / (mean_t cos(r(t), mean_t r) + 1e-5)``

for each sample. The layer with the largest penalty counts, and only samples predicted correctly at T.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aoi_models.blocks import LayerActivity
from aoi_models.regularisers.hidden import Hidden, check_correct
from aoi_models.regularisers.layer_sums import rows

_EPSILON = 1e-5


def rcs_penalty(layers: Sequence[Hidden], correct: torch.Tensor) -> torch.Tensor:
    """Largest RCS of all layers, averaged over the samples predicted correctly at T, a scalar; 0 if there are none.

    Args:
        layers: hidden layers of N samples and T steps, from :func:`~aoi_models.regularisers.observe`.
        correct: bool (N, T): whether the prediction is correct at each step; only the last step counts.

    Raises:
        ValueError: the shape of ``correct`` does not match the layers, or a layer holds sums instead of its activity.

    Example:
        loss = error(output, labels) + 0.1 * rcs_penalty(layers.hidden, correct)
    """
    worst = torch.stack([_dissimilarity(layer, correct) for layer in layers]).amax(0)
    counts = correct[:, -1].to(worst.dtype)
    return (worst * counts).sum() / counts.sum().clamp(min=1)


def _dissimilarity(layer: Hidden, correct: torch.Tensor) -> torch.Tensor:
    """RCS of one layer, float32 (N,): 1 if the patterns at all steps are the same."""
    if not isinstance(layer.activity, LayerActivity):
        raise ValueError("rcs_penalty: sums over a layer's neurons hold no pattern; pass the layer's activity")
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
