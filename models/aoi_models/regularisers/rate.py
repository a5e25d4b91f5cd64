"""Spike-rate control: the plain alternative that STR has to beat."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden, target_of_each
from aoi_models.regularisers.strength import strengths

_DEFAULTS = RegulariserConfig()  # the one place of the defaults


def rate_penalty(layers: Sequence[Hidden], *, target: float | Sequence[float] = _DEFAULTS.target) -> torch.Tensor:
    """Squared relative distance of a sample's mean spikes a neuron and step from the target → scalar.

    ``mean over layers and samples of (rate / target - 1)^2``, all samples alike, right or wrong.

    Args:
        layers: hidden layers, as :func:`~aoi_models.regularisers.observe` yields them (``.hidden``).
        target: spikes a neuron and step, between 0 and 1; one number, or one a layer.

    Example:
        loss = error(output, labels) + 0.1 * rate_penalty(layers.hidden, target=0.05)
    """
    penalties = []
    for layer, rate_wanted in zip(layers, target_of_each(target, len(layers)), strict=True):
        sums = strengths(*layer)
        rate = sums.sent.mean(1) / sums.neurons
        penalties.append((rate / rate_wanted - 1).square().mean())
    return torch.stack(penalties).mean()
