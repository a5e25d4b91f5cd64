"""The peer SLAYER: forward pass of its own blocks, in eval mode and without gradients."""

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

    Biases are set as in the training of such networks: as the mean that a batch norm subtracts from the current.
    """

    def __init__(self, subject: Subject) -> None:
        self.description = read_by_voltage(subject.file.description)
        layers: Any = self.description.layers
        without_bias = replace(self.description, layers=tuple(replace(layer, bias=None) for layer in layers))
        self.blocks: Any = AnytimeNetwork.from_description(without_bias).blocks
        for block, layer in zip(self.blocks, layers, strict=True):
            if layer.bias is not None:
                norm = slayer.neuron.norm.MeanOnlyBatchNorm(num_features=len(layer.bias))
                norm.running_mean = torch.from_numpy(-layer.bias / WEIGHT_UNIT).float()
                block.block.neuron.norm = norm
        self.blocks.eval()

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Voltage of the output layer, (N, n, T), for spikes (N, *input_shape, T); one step late per hidden layer."""
        for block in self.blocks:
            if isinstance(block, DenseBlock):
                x = x.flatten(1, -2)
            block.block.neuron.shape = None  # SLAYER stores the shape of the first input
            x = block.block(x) if block.fires else block.block.neuron.dynamics(block.block.synapse(x))[1]
        return x


def seconds_per_sample(subject: Subject, batches: tuple[int, ...], repeats: int) -> tuple[float, dict[str, int]]:
    """Wall seconds per sample with the best number of threads (1 or 2) and batch size, and these two.

    First compares the output voltages of one sample with the engine at every step; raises CheckFailed if they differ.
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
    """An empty step comes first: a bias acts in Lava one step before the first input, in SLAYER together with it."""
    late, steps = len(forward.blocks) - 1, subject.steps
    x = torch.nn.functional.pad(torch.from_numpy(subject.spikes[:1]).float(), (1, late))
    found = (forward(x)[..., 1 + late :] * STATE_UNIT).round().long().numpy()
    expected = Engine(forward.description).run(subject.spikes[:1], readout="voltage").scores
    if found.shape != expected.shape or not np.array_equal(found, expected):
        raise CheckFailed(f"{subject.name}: the engine differs from SLAYER in the output voltages of {steps} steps")
