"""Spike-rate control: the plain alternative that STR has to beat."""

from __future__ import annotations

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden
from aoi_models.regularisers.strength import strengths


def rate_penalty(layers: list[Hidden], right: torch.Tensor, config: RegulariserConfig) -> torch.Tensor:
    """Squared relative distance of a sample's mean spikes a neuron and step from the target → scalar.

    All samples alike, right or wrong; the mean over samples and layers.
    """
    penalties = []
    for layer, target in zip(layers, config.targets(len(layers)), strict=True):
        sums = strengths(*layer)
        rate = sums.sent.mean(1) / sums.neurons
        penalties.append((rate / target - 1).square().mean())
    return torch.stack(penalties).mean()
