"""RCS, the regulariser of arXiv 2301.09522 for directly trained networks, as the authors' code has it.

Source: ``snncutoff/regularizer/rcs_snn.py`` of github.com/Dengyu-Wu/snncutoff. What a neuron has received by a step is
read off as ``r(t) = s(t) + relu(v(t)) / threshold`` with v after the reset; the regulariser wants each step's pattern
over the neurons to look like the mean over all steps (not trained through):

``1 / (mean_t cos(r(t), mean_t r) + 1e-5)``

for each sample. The worst layer counts, and only samples that are predicted correctly at T.
"""

from __future__ import annotations

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.blocks import LayerActivity
from aoi_models.regularisers.hidden import Hidden
from aoi_models.regularisers.strength import rows

_EPSILON = 1e-5


def rcs_penalty(layers: list[Hidden], right: torch.Tensor, config: RegulariserConfig) -> torch.Tensor:
    """``right`` bool (N, T): is the prediction correct at each step → scalar, 0 where none is at T."""
    worst = torch.stack([_dissimilarity(layer, *right.shape) for layer in layers]).amax(0)
    correct = right[:, -1].to(worst.dtype)
    return (worst * correct).sum() / correct.sum().clamp(min=1)


def _dissimilarity(layer: Hidden, samples: int, steps: int) -> torch.Tensor:
    """(N,): 1 where all steps look alike."""
    assert isinstance(layer.activity, LayerActivity), "sums over the neurons have no pattern"
    spikes, voltage = rows(layer.activity.spikes), rows(layer.activity.voltage)
    received = spikes + voltage.clamp(min=0) * (1 - spikes.detach()) / layer.threshold
    received = received.view(steps, samples, -1)
    mean = received.detach().mean(0)
    similarity = (received * mean).sum(-1) / (_norm(received) * _norm(mean))
    return 1 / (similarity.mean(0) + _EPSILON)


def _norm(x: torch.Tensor) -> torch.Tensor:
    return (x.square().sum(-1) + _EPSILON).sqrt()
