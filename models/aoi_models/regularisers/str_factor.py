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

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden, check_correct, target_of_each
from aoi_models.regularisers.strength import LayerSums, strengths

_FLOOR = 0.01  # of the strength of a layer whose neurons all fire
_DEFAULTS = RegulariserConfig()  # the one place of the defaults


def spatial_temporal_factor(layer: Hidden) -> torch.Tensor:
    """STF of one layer at each step, float32 (N, T) in [0, 1]; 0 where it neither fires nor holds voltage.

    ``S / (S + V + F)``, see the module; it has no unit.

    Example:
        with torch.no_grad(), observe(net) as layers:
            net(spikes)
        over_time = [spatial_temporal_factor(layer).mean(0) for layer in layers.hidden]
    """
    sums = strengths(*layer)
    spatial = layer.threshold * sums.sent
    return spatial / (spatial + sums.kept + _floor(sums, layer.threshold))


def _floor(layer: LayerSums, threshold: float) -> float:
    return _FLOOR * threshold * layer.neurons


@lru_cache(maxsize=16)
def target_over_time(
    targets: tuple[float, ...], steps: int, early_target: float | None, fall_steps: float
) -> torch.Tensor:
    """STF aimed at for correct predictions, float32 (layers, T), of one target a layer."""
    target = torch.tensor(targets)[:, None].expand(-1, steps)
    if early_target is None:
        return target
    return target + (early_target - target) * torch.exp(-torch.arange(steps) / fall_steps)


@lru_cache(maxsize=16)
def weight_over_time(weight_steps: float | None, steps: int) -> torch.Tensor:
    """How much each step counts, float32 (T,), 1 on average."""
    if weight_steps is None:
        return torch.ones(steps)
    weight = torch.exp(-torch.arange(steps) / weight_steps)
    return weight / weight.mean()


def str_penalty(
    layers: Sequence[Hidden],
    correct: torch.Tensor,
    *,
    target: float | Sequence[float] = _DEFAULTS.target,
    early_target: float | None = _DEFAULTS.early_target,
    fall_steps: float = _DEFAULTS.fall_steps,
    weight_steps: float | None = _DEFAULTS.weight_steps,
    correct_at: Literal["end", "step"] = _DEFAULTS.correct,
    wrong: bool = _DEFAULTS.wrong,
    wrong_target: float | None = _DEFAULTS.wrong_target,
) -> torch.Tensor:
    """Mean of ``(STF - target)^2`` over the layers, and over the steps of the samples treated → scalar.

    0 where no sample is treated. The gradient flows through the spikes alone, see the module.

    Args:
        layers: hidden layers of N samples and T steps, as :func:`~aoi_models.regularisers.observe` yields them:
            ``.hidden`` for a target that stays, ``.aligned`` for one that changes over the steps.
        correct: bool (N, T), is the prediction correct at each step.
        target: STF aimed at, between 0 and 1; one number, or one a layer.
        early_target: STF aimed at in the first step, from where it falls to ``target``; None: ``target``.
        fall_steps: steps in which that distance falls to 1/e.
        weight_steps: steps in which the weight of a step falls to 1/e; None: all weigh the same.
        correct_at: a prediction counts as correct if it is at T (``end``), or step by step (``step``).
        wrong: treat wrong predictions too.
        wrong_target: STF aimed at for them; None: as for correct ones.

    Raises:
        ValueError: ``correct`` or ``target`` does not go with the layers.

    Example:
        loss = error(output, labels) + 0.5 * str_penalty(layers.hidden, correct, target=0.1)
    """
    sums = [strengths(*layer) for layer in layers]
    samples, steps = sums[0].sent.shape
    check_correct(correct, samples, steps)
    spatial = torch.stack([layer.threshold * each.sent for layer, each in zip(layers, sums, strict=True)])  # (L, N, T)
    kept = torch.stack([each.kept + _floor(each, layer.threshold) for layer, each in zip(layers, sums, strict=True)])
    aims = target_over_time(target_of_each(target, len(layers)), steps, early_target, fall_steps)
    aims = aims.to(spatial.device)[:, None]
    correct = correct if correct_at == "step" else correct[:, -1:].expand_as(correct)
    if wrong and wrong_target is not None:
        aims = torch.where(correct, aims, wrong_target)
    treated = torch.ones_like(correct) if wrong else correct
    weight = treated * weight_over_time(weight_steps, steps).to(spatial.device)
    weight = weight / (weight.sum().clamp(min=1) * len(layers))
    penalty: torch.Tensor = _Deviation.apply(spatial, kept, aims, weight)
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
