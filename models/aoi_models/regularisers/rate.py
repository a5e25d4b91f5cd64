"""Spike-rate control, the baseline of STR."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden, target_of_each
from aoi_models.regularisers.layer_sums import layer_sums

_DEFAULTS = RegulariserConfig()


def rate_penalty(layers: Sequence[Hidden], *, target: float | Sequence[float] = _DEFAULTS.target) -> torch.Tensor:
    """Squared relative deviation of each sample's mean spike rate from the target, a scalar.

    ``mean over layers and samples of (rate / target - 1)^2``, for correct and wrong predictions alike.

    Args:
        layers: hidden layers, from :func:`~aoi_models.regularisers.observe` (``.hidden``).
        target: spikes per neuron and step, between 0 and 1; one number, or one per layer.

    Raises:
        ValueError: a target is out of range, or their number does not match the layers.

    Example:
        loss = error(output, labels) + 0.1 * rate_penalty(layers.hidden, target=0.05)
    """
    penalties = []
    for layer, target_rate in zip(layers, target_of_each(target, len(layers)), strict=True):
        sums = layer_sums(*layer)
        rate = sums.sent.mean(1) / sums.neurons
        penalties.append((rate / target_rate - 1).square().mean())
    return torch.stack(penalties).mean()
