"""What a regulariser looks at, and how an :class:`AnytimeNetwork` hands it out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from aoi_models.blocks import LayerActivity
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.strength import LayerSums, joined, strengths


class Hidden(NamedTuple):
    """What a layer did, or the sums over its neurons, with its threshold (SLAYER's units; infinite: it never fires)."""

    activity: LayerActivity | LayerSums
    threshold: float


def check_correct(correct: torch.Tensor, samples: int, steps: int) -> None:
    """Raises ValueError unless ``correct`` has an entry for each sample and step that the layers ran."""
    if correct.shape != (samples, steps):
        raise ValueError(
            f"correct has shape {tuple(correct.shape)}, the layers ran {samples} samples and {steps} steps; "
            f"give one entry for each, ({samples}, {steps})"
        )


def target_of_each(target: float | Sequence[float], layers: int) -> tuple[float, ...]:
    """One target a layer. Raises ValueError where their number or one of them is out of place."""
    targets = (target,) * layers if isinstance(target, (int, float)) else tuple(target)
    if len(targets) != layers:
        raise ValueError(f"target: {len(targets)} values for {layers} hidden layers; give one number, or one a layer")
    wrong = next((value for value in targets if not 0 < value < 1), None)
    if wrong is not None:
        raise ValueError(f"target = {wrong}: has to lie between 0 and 1")
    return targets


def run_observed(
    network: AnytimeNetwork, spikes: torch.Tensor, chunk_steps: int | None, sums: bool = True
) -> tuple[torch.Tensor, list[Hidden]]:
    """Runs the network → scores (N, classes, T), and the layers that hand something on.

    The readout's spikes are the answer, the loss alone shapes them.

    Args:
        spikes: (N, C, H, W, T), 0 or 1, of any type.
        chunk_steps: run in chunks of so many steps, which leave of the layers their sums; None: all steps at once.
        sums: whether anybody is going to look at the layers.
    """
    if chunk_steps is None:
        scores, layers = network(spikes.float(), sums=sums)
    else:
        scores, seen = network.in_chunks(spikes, chunk_steps, strengths, sums)
        layers = [joined(each) for each in seen]
    pairs = list(zip(layers, network.blocks, strict=True))[:-1]
    return scores, [Hidden(layer, block.threshold) for layer, block in pairs]
