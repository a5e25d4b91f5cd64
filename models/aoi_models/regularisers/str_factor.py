"""STR, the Spatial-Temporal Regulariser (arXiv 2405.00699).

The paper regulates, per layer and timestep, the ratio between the strength of the spikes (what a layer hands on now:
spatial) and its membrane potential (what it keeps for later timesteps: temporal), on correctly predicted samples.
Its equations are in no text we could reach and no code is public; a third party's summary speaks of the norms of the
potential of the neurons that spike and of those that do not. Our reading of the Spatial-Temporal Factor, bounded so
that no silent layer minimises it by an epsilon:

``STF_l(t) = S / (S + V + F)``, ``S = sum(threshold * s_l(t))``, ``V = sum(relu(v_l(t)))`` with v after the reset,

sums over a layer's neurons. F is 1 % of what the layer sends when all its neurons fire: without it a step at which
next to nothing has arrived yet (V near 0) has a factor that jumps and a gradient that drowns all others.

The regulariser draws the factor towards a target: a low one keeps layers from handing on everything at once
(over-firing), a positive one from keeping everything for later (late answers). The target may fall over the steps
(spend early, keep late), and be another for samples that are predicted wrong.

The gradient flows through the spikes alone. Through V it would raise the voltage of neurons below the threshold to
lower the factor, and so make them fire: the opposite of what is asked for (hidden rates of 0.4 to 0.5 on the digits,
where this form gives 0.05).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.blocks import LayerActivity
from aoi_models.regularisers.hidden import Hidden
from aoi_models.regularisers.strength import LayerSums, strengths

_FLOOR = 0.01  # of the strength of a layer whose neurons all fire


def spatial_temporal_factor(layer: LayerActivity | LayerSums, threshold: float) -> torch.Tensor:
    """STF (N, T) in [0, 1] of one layer; 0 where the layer neither fires nor holds voltage."""
    sums = strengths(layer, threshold)
    spatial = threshold * sums.sent
    return spatial / (spatial + sums.kept + _floor(sums, threshold))


def _floor(layer: LayerSums, threshold: float) -> float:
    return _FLOOR * threshold * layer.neurons


@lru_cache(maxsize=16)
def target_over_time(config: RegulariserConfig, layers: int, steps: int) -> torch.Tensor:
    """STF aimed at for correct predictions, float32 (layers, T)."""
    target = torch.tensor(config.targets(layers))[:, None].expand(-1, steps)
    if config.early_target is None:
        return target
    return target + (config.early_target - target) * torch.exp(-torch.arange(steps) / config.fall_steps)


@lru_cache(maxsize=16)
def weight_over_time(config: RegulariserConfig, steps: int) -> torch.Tensor:
    """How much each step counts, float32 (T,), 1 on average."""
    if config.weight_steps is None:
        return torch.ones(steps)
    weight = torch.exp(-torch.arange(steps) / config.weight_steps)
    return weight / weight.mean()


def str_penalty(layers: list[Hidden], right: torch.Tensor, config: RegulariserConfig) -> torch.Tensor:
    """Mean of ``(STF - target)^2`` over the layers, and over the steps of the samples treated → scalar.

    ``right`` bool (N, T): is the prediction correct at each step. 0 where no sample is treated. The mean over the
    steps is weighted by :func:`weight_over_time`.
    """
    sums = [strengths(*layer) for layer in layers]
    spatial = torch.stack([layer.threshold * each.sent for layer, each in zip(layers, sums, strict=True)])  # (L, N, T)
    kept = torch.stack([each.kept + _floor(each, layer.threshold) for layer, each in zip(layers, sums, strict=True)])
    target = target_over_time(config, len(layers), right.shape[1]).to(spatial.device)[:, None]
    correct = right if config.correct == "step" else right[:, -1:].expand_as(right)
    if config.wrong and config.wrong_target is not None:
        target = torch.where(correct, target, config.wrong_target)
    treated = torch.ones_like(correct) if config.wrong else correct
    weight = treated * weight_over_time(config, right.shape[1]).to(spatial.device)
    weight = weight / (weight.sum().clamp(min=1) * len(layers))
    penalty: torch.Tensor = _Deviation.apply(spatial, kept, target, weight)
    return penalty


class _Deviation(torch.autograd.Function):
    """``sum of weight * (a / (a + b) - target)^2`` and its gradient in a, in one go: the tensors are small, and what
    each operation of autograd costs by itself is a good part of a step of a dense network."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, a: torch.Tensor, b: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        both = a + b
        away = a / both - target
        slope = away * weight
        ctx.save_for_backward(2 * slope * b / both.square())
        return (slope * away).sum()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None, None
