"""What a layer hands on and what it keeps, summed over its neurons at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from aoi_models.blocks import LayerActivity


class LayerSums(NamedTuple):
    """All of a layer that STR, rate control and the logs look at."""

    sent: torch.Tensor  # (N, T): number of spikes
    kept: torch.Tensor  # (N, T): positive voltage left after the reset, in SLAYER's units, as the threshold
    neurons: int


def strengths(layer: LayerActivity | LayerSums, threshold: float) -> LayerSums:
    """The sums over a layer's neurons, where they are not at hand already.

    The gradient flows through the spikes, see ``str_factor``.
    """
    if isinstance(layer, LayerSums):
        return layer
    neurons = layer.spikes[0, ..., 0].numel()
    if layer.sums is not None:
        return LayerSums(*layer.sums, neurons)
    voltage = layer.voltage.detach()
    kept = voltage.clamp(min=0) * (voltage <= threshold)
    return LayerSums(layer.spikes.flatten(1, -2).sum(1), kept.flatten(1, -2).sum(1), neurons)


def joined(chunks: Sequence[LayerSums]) -> LayerSums:
    """Of some steps after the other → of all of them."""
    sent, kept, neurons = zip(*chunks, strict=True)
    return LayerSums(torch.cat(sent, 1), torch.cat(kept, 1), neurons[0])


def rows(x: torch.Tensor) -> torch.Tensor:
    """(N, ..., T) → (T * N, neurons), neurons in the order of memory: the blocks keep time first, so nothing moves."""
    x = x.movedim(-1, 0)
    space = sorted(range(2, x.dim()), key=lambda axis: -x.stride(axis))
    return x.permute(0, 1, *space).reshape(x.shape[0] * x.shape[1], -1).contiguous()
