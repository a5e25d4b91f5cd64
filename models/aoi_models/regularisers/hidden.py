"""What a regulariser looks at."""

from __future__ import annotations

from typing import NamedTuple

import torch

from aoi_models.blocks import LayerActivity
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.strength import LayerSums, joined, strengths


class Hidden(NamedTuple):
    """A hidden layer's activity, or the sums over its neurons, with its threshold (SLAYER's units)."""

    activity: LayerActivity | LayerSums
    threshold: float


def observe(
    network: AnytimeNetwork, spikes: torch.Tensor, chunk_steps: int | None, sums: bool = True
) -> tuple[torch.Tensor, list[Hidden]]:
    """Spikes of any type (N, C, H, W, T) → scores (N, classes, T), and the layers that hand something on.

    The readout's spikes are the answer, the loss alone shapes them. ``chunk_steps``: in chunks of so many steps, which
    leave of the layers their sums. Without ``sums`` nobody is going to look at these.
    """
    if chunk_steps is None:
        scores, layers = network(spikes.float(), sums=sums)
    else:
        scores, seen = network.in_chunks(spikes, chunk_steps, strengths, sums)
        layers = [joined(each) for each in seen]
    pairs = list(zip(layers, network.blocks, strict=True))[:-1]
    return scores, [Hidden(layer, block.threshold) for layer, block in pairs]
