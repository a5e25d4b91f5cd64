"""The fast CPU path of the CUBA dynamics against SLAYER's, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numba
import torch

from models.blocks import dense_block
from models.spec import DenseSpec, NeuronSpec
from toolchain.cli.benchmarks.report import Report, Row, best_of
from toolchain.errors import CheckFailed


def bench(*, quick: bool = False) -> Report:
    """A CUBA layer of 512 neurons, 32 samples, 24 steps, each side at its best thread count."""
    torch.manual_seed(0)
    block = dense_block(DenseSpec(neurons=512, weight_scale=2), 512, NeuronSpec())
    spikes = (torch.rand(32, 512, 24) < 0.1).float()

    def ours() -> torch.Tensor:
        return block(spikes).spikes

    def peer() -> torch.Tensor:
        block.block.neuron.shape = None
        return block.block(spikes)

    if not torch.equal(ours()[..., :-1], peer()[..., 1:]):  # SLAYER's are a step late
        raise CheckFailed("dense: the spikes of our dynamics differ from SLAYER's")
    before, best = torch.get_num_threads(), []
    try:
        for work in (ours, peer):
            times = []
            for threads in range(1, numba.config.NUMBA_NUM_THREADS + 1):
                torch.set_num_threads(threads)
                numba.set_num_threads(threads)
                times.append(best_of(1 if quick else 7, partial(_forward_and_backward, work)))
            best.append(min(times))
    finally:
        torch.set_num_threads(before)
    return Report((Row("dense/slayer", best[0], best[1], "s"),))


def _forward_and_backward(work: Callable[[], torch.Tensor]) -> None:
    work().sum().backward()
