"""The peer: SLAYER's own blocks, forward, in eval mode and without gradients."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from aoi.engine import Engine
from aoi.errors import CheckFailed
from aoi_benchmarks.report import best_of
from aoi_benchmarks.subjects import Subject, read_by_voltage
from aoi_models.blocks import DenseBlock, slayer
from aoi_models.network import STATE_UNIT, WEIGHT_UNIT, AnytimeNetwork


class StockForward:
    """A network file in SLAYER's own blocks.

    Biases are what they are where such networks are trained: the mean that a batch norm takes off the current.
    """

    def __init__(self, subject: Subject) -> None:
        self.description = read_by_voltage(subject.file.description)
        layers: Any = self.description.layers
        bare = replace(self.description, layers=tuple(replace(layer, bias=None) for layer in layers))
        self.blocks: Any = AnytimeNetwork.from_description(bare).blocks
        for block, layer in zip(self.blocks, layers, strict=True):
            if layer.bias is not None:
                norm = slayer.neuron.norm.MeanOnlyBatchNorm(num_features=len(layer.bias))
                norm.running_mean = torch.from_numpy(-layer.bias / WEIGHT_UNIT).float()
                block.block.neuron.norm = norm
        self.blocks.eval()

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Spikes (N, *input_shape, T) → voltage of the output layer (N, n, T), a step a hidden layer late."""
        for block in self.blocks:
            if isinstance(block, DenseBlock):
                x = x.flatten(1, -2)
            block.block.neuron.shape = None  # SLAYER remembers the first input's
            x = block.block(x) if block.fires else block.block.neuron.dynamics(block.block.synapse(x))[1]
        return x


def seconds_a_sample(subject: Subject, batches: tuple[int, ...], repeats: int) -> tuple[float, dict[str, int]]:
    """Wall seconds a sample at the best of one and two threads and of the batch sizes, and which those are.

    Compares the first sample's output voltage with the engine at every step before; raises CheckFailed.
    """
    forward = StockForward(subject)
    before = torch.get_num_threads()
    best: tuple[float, dict[str, int]] = (float("inf"), {})
    try:
        _check(subject, forward)
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for batch in batches:
                x = torch.from_numpy(subject.spikes[:batch]).float()
                found = best_of(repeats, partial(forward.__call__, x)) / len(x)
                best = min(best, (found, {"threads": threads, "batch": len(x)}), key=lambda each: each[0])
    finally:
        torch.set_num_threads(before)
    return best


def _check(subject: Subject, forward: StockForward) -> None:
    """One step of nothing in front: a bias acts in Lava a step before the first input, in SLAYER with it."""
    late, steps = len(forward.blocks) - 1, subject.steps
    x = torch.nn.functional.pad(torch.from_numpy(subject.spikes[:1]).float(), (1, late))
    found = (forward(x)[..., 1 + late :] * STATE_UNIT).round().long().numpy()
    wanted = Engine(forward.description).run(subject.spikes[:1], readout="voltage").scores
    if found.shape != wanted.shape or not np.array_equal(found, wanted):
        raise CheckFailed(f"{subject.name}: the engine differs from SLAYER in the output voltages of {steps} steps")
