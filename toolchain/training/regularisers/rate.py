"""Spike-rate control: the plain alternative that STR has to beat."""

from __future__ import annotations

import torch

from models.blocks import LayerActivity


def rate_penalty(layer: LayerActivity, threshold: float, correct: torch.Tensor, target: float) -> torch.Tensor:
    """Squared distance of a sample's mean spikes a neuron and step from ``target``, all samples alike → scalar."""
    rate = layer.spikes.flatten(1).mean(1)
    return ((rate - target) ** 2).mean() / target**2
