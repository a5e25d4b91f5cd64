"""What a layer hands on and what it keeps, summed over its neurons at each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numba import njit, prange

from models.blocks import LayerActivity


@njit(parallel=True, cache=True, fastmath=True)
def _sums(spikes, voltage, threshold, sent, kept):  # type: ignore[no-untyped-def]
    """One pass over memory, where torch needs five with as many temporaries."""
    rows, neurons = spikes.shape
    for row in prange(rows):
        count, potential = np.float32(0.0), np.float32(0.0)
        for i in range(neurons):
            v = voltage[row, i]
            count += spikes[row, i]
            potential += max(v, np.float32(0.0)) * np.float32(v <= threshold)
        sent[row] = count
        kept[row] = potential


class _Sums(torch.autograd.Function):
    """Spikes and voltage (rows, neurons) → their sums (rows,); gradient through the spikes of the first alone."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, spikes: torch.Tensor, voltage: torch.Tensor, threshold: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.shape = spikes.shape
        if spikes.is_cuda:
            sent, kept = spikes.sum(1), (voltage.clamp(min=0) * (voltage <= threshold)).sum(1)
        else:
            sent, kept = spikes.new_empty(len(spikes)), spikes.new_empty(len(spikes))
            _sums(spikes.detach().numpy(), voltage.detach().numpy(), np.float32(threshold), sent.numpy(), kept.numpy())
        ctx.mark_non_differentiable(kept)
        return sent, kept

    @staticmethod
    def backward(ctx: Any, grad_sent: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        return grad_sent[:, None].expand(ctx.shape), None, None


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
    spikes, voltage = rows(layer.spikes), rows(layer.voltage)
    steps, samples = layer.spikes.shape[-1], layer.spikes.shape[0]
    sent, kept = _Sums.apply(spikes, voltage, threshold)
    return LayerSums(sent.view(steps, samples).T, kept.view(steps, samples).T, spikes.shape[1])


def joined(chunks: Sequence[LayerSums]) -> LayerSums:
    """Of some steps after the other → of all of them."""
    sent, kept, neurons = zip(*chunks, strict=True)
    return LayerSums(torch.cat(sent, 1), torch.cat(kept, 1), neurons[0])


def rows(x: torch.Tensor) -> torch.Tensor:
    """(N, ..., T) → (T * N, neurons), neurons in the order of memory: the blocks keep time first, so nothing moves."""
    x = x.movedim(-1, 0)
    space = sorted(range(2, x.dim()), key=lambda axis: -x.stride(axis))
    return x.permute(0, 1, *space).reshape(x.shape[0] * x.shape[1], -1).contiguous()
