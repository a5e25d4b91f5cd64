"""The input of a regulariser, checks on it, and how to get it from an :class:`AnytimeNetwork`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from aoi_models.blocks import LayerActivity
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.layer_sums import LayerSums, concatenate, layer_sums


class Hidden(NamedTuple):
    """Activity of a hidden layer, or the sums over its neurons, and its threshold in SLAYER's units.

    The threshold of a layer that never fires is infinite.
    """

    activity: LayerActivity | LayerSums
    threshold: float


def check_correct(correct: torch.Tensor, samples: int, steps: int) -> None:
    """Raises ValueError unless ``correct`` has the shape (samples, steps) of the layers."""
    if correct.shape != (samples, steps):
        raise ValueError(
            f"correct has shape {tuple(correct.shape)}, the layers ran {samples} samples and {steps} steps; "
            f"pass shape ({samples}, {steps})"
        )


def target_of_each(target: float | Sequence[float], layers: int) -> tuple[float, ...]:
    """One target per layer. Raises ValueError if a target is out of range, or their number is not ``layers``."""
    targets = (target,) * layers if isinstance(target, (int, float)) else tuple(target)
    if len(targets) != layers:
        raise ValueError(f"target: {len(targets)} values for {layers} hidden layers; pass one number, or one per layer")
    outside = next((value for value in targets if not 0 < value < 1), None)
    if outside is not None:
        raise ValueError(f"target = {outside}: has to lie between 0 and 1")
    return targets


def run_observed(
    network: AnytimeNetwork, spikes: torch.Tensor, chunk_steps: int | None, sums: bool = True
) -> tuple[torch.Tensor, list[Hidden]]:
    """Runs a network and returns its scores, float32 (N, classes, T), and its hidden layers.

    The readout is not among the hidden layers: its spikes are the answer, which only the loss should shape.

    Args:
        spikes: 0 or 1, (N, C, H, W, T), of any dtype.
        chunk_steps: steps computed at a time; the layers then hold sums over their neurons. None: all steps at once.
        sums: whether the dynamics should sum over the neurons, for regularisers or logs.
    """
    if chunk_steps is None:
        scores, layers = network(spikes.float(), sums=sums)
    else:
        scores, chunks = network.forward_in_chunks(spikes, chunk_steps, layer_sums, sums)
        layers = [concatenate(each) for each in chunks]
    pairs = list(zip(layers, network.blocks, strict=True))[:-1]
    return scores, [Hidden(layer, block.threshold) for layer, block in pairs]
