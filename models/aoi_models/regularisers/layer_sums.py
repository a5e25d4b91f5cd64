"""Number of spikes and remaining voltage of a layer, summed over its neurons at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from aoi_models.blocks import LayerActivity


class LayerSums(NamedTuple):
    """The sums over the neurons of a layer that STR, rate control and the logs use."""

    sent: torch.Tensor  # number of spikes, float32 (N, T)
    kept: torch.Tensor  # positive voltage after the reset, float32 (N, T), in SLAYER's units like the threshold
    neurons: int


def layer_sums(layer: LayerActivity | LayerSums, threshold: float) -> LayerSums:
    """The sums over the neurons of a layer, computed only if they are missing.

    The gradient flows through the spikes only, see ``str_factor``.
    """
    if isinstance(layer, LayerSums):
        return layer
    neurons = layer.spikes[0, ..., 0].numel()
    if layer.sums is not None:
        return LayerSums(*layer.sums, neurons)
    voltage = layer.voltage.detach()
    kept = voltage.clamp(min=0) * (voltage <= threshold)
    return LayerSums(layer.spikes.flatten(1, -2).sum(1), kept.flatten(1, -2).sum(1), neurons)


def concatenate(chunks: Sequence[LayerSums]) -> LayerSums:
    """Joins the sums of successive steps."""
    sent, kept, neurons = zip(*chunks, strict=True)
    return LayerSums(torch.cat(sent, 1), torch.cat(kept, 1), neurons[0])


def rows(x: torch.Tensor) -> torch.Tensor:
    """Reshapes (N, ..., T) to (T * N, neurons), neurons in memory order; no copy where time is first in memory."""
    x = x.movedim(-1, 0)
    space = sorted(range(2, x.dim()), key=lambda axis: -x.stride(axis))
    return x.permute(0, 1, *space).reshape(x.shape[0] * x.shape[1], -1).contiguous()
