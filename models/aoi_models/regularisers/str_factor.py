"""STR, the Spatial-Temporal Regulariser (arXiv 2405.00699).

For each layer and timestep of correctly predicted samples, the paper regularises the ratio between the strength of the
spikes (sent now: spatial) and the membrane potential (kept for later timesteps: temporal). Its equations are in no
text that we could access, and no code is public; a third-party summary mentions the norms of the potentials of neurons
that spike and of those that do not. Our definition of the Spatial-Temporal Factor, bounded so that a silent layer does
not minimise it through an epsilon:

``STF_l(t) = S / (S + V + F)``, ``S = sum(threshold * s_l(t))``, ``V = sum(relu(v_l(t)))`` with v after the reset,

summed over the neurons of a layer. F is 1 % of S when all neurons fire. Without it, the factor jumps at early steps
where hardly any input has arrived (V near 0), and their gradient dominates all others.

The regulariser moves the factor towards a target: a low target prevents a layer from sending everything at once
(over-firing), a positive one from keeping everything for later (late answers). The target may fall over the steps, so
that a layer fires early and keeps its potential late, and may differ for wrongly predicted samples.

The gradient flows through the spikes only. Through V it would lower the factor by raising the voltage of neurons below
the threshold, and so make them fire: the opposite of the aim (hidden rates of 0.4 to 0.5 on the digits, 0.05 in this
form).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden, check_correct, target_of_each
from aoi_models.regularisers.layer_sums import LayerSums, layer_sums

_FLOOR = 0.01  # F as a share of S when all neurons fire
_DEFAULTS = RegulariserConfig()


def spatial_temporal_factor(layer: Hidden) -> torch.Tensor:
    """STF of one layer at each step, float32 (N, T) in [0, 1], without unit; 0 if no neuron fires or holds voltage.

    ``S / (S + V + F)``, see the module.

    Example:
        with torch.no_grad(), observe(net) as layers:
            net(spikes)
        over_time = [spatial_temporal_factor(layer).mean(0) for layer in layers.hidden]
    """
    sums = layer_sums(*layer)
    spatial = layer.threshold * sums.sent
    return spatial / (spatial + sums.kept + _floor(sums, layer.threshold))


def _floor(layer: LayerSums, threshold: float) -> float:
    return _FLOOR * threshold * layer.neurons


@lru_cache(maxsize=16)
def target_over_time(
    targets: tuple[float, ...], steps: int, early_target: float | None, fall_steps: float
) -> torch.Tensor:
    """Target STF of correct predictions at each step, float32 (layers, T)."""
    target = torch.tensor(targets)[:, None].expand(-1, steps)
    if early_target is None:
        return target
    return target + (early_target - target) * torch.exp(-torch.arange(steps) / fall_steps)


@lru_cache(maxsize=16)
def weight_over_time(weight_steps: float | None, steps: int) -> torch.Tensor:
    """Weight of each step, float32 (T,), with mean 1."""
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
    """STR: mean of ``(STF - target)^2`` over the layers and over the steps of the regularised samples, a scalar.

    0 if no sample is regularised. The gradient flows through the spikes only, see the module.

    Args:
        layers: hidden layers of N samples and T steps, from :func:`~aoi_models.regularisers.observe`: ``.hidden`` for
            a constant target, ``.aligned`` for one that changes over the steps.
        correct: bool (N, T): whether the prediction is correct at each step.
        target: target STF, between 0 and 1; one number, or one per layer.
        early_target: target STF in the first step, from which it decays to ``target``; None: ``target``.
        fall_steps: time constant of that decay, in steps.
        weight_steps: time constant, in steps, with which the weight of a step decays; None: all weigh the same.
        correct_at: whether a prediction counts as correct by its last step (``end``) or at each step (``step``).
        wrong: whether to regularise wrong predictions too.
        wrong_target: target STF of wrong predictions; None: as for correct ones.

    Raises:
        ValueError: the shape of ``correct`` or the number of targets does not match the layers.

    Example:
        loss = error(output, labels) + 0.5 * str_penalty(layers.hidden, correct, target=0.1)
    """
    sums = [layer_sums(*layer) for layer in layers]
    samples, steps = sums[0].sent.shape
    check_correct(correct, samples, steps)
    spatial = torch.stack([layer.threshold * each.sent for layer, each in zip(layers, sums, strict=True)])  # (L, N, T)
    kept = torch.stack([each.kept + _floor(each, layer.threshold) for layer, each in zip(layers, sums, strict=True)])
    targets = target_over_time(target_of_each(target, len(layers)), steps, early_target, fall_steps)
    targets = targets.to(spatial.device)[:, None]
    correct = correct if correct_at == "step" else correct[:, -1:].expand_as(correct)
    if wrong and wrong_target is not None:
        targets = torch.where(correct, targets, wrong_target)
    regularised = torch.ones_like(correct) if wrong else correct
    weight = regularised * weight_over_time(weight_steps, steps).to(spatial.device)
    weight = weight / (weight.sum().clamp(min=1) * len(layers))
    penalty: torch.Tensor = _SquaredDeviation.apply(spatial, kept, targets, weight)
    return penalty


class _SquaredDeviation(torch.autograd.Function):
    """``sum of weight * (a / (a + b) - target)^2``, with its gradient in a, in one autograd operation.

    The tensors are small: the overhead of several operations would take much of the training step of a dense network.
    """

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, a: torch.Tensor, b: torch.Tensor, target: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        total = a + b
        deviation = a / total - target
        weighted = deviation * weight
        ctx.save_for_backward(2 * weighted * b / total.square())
        return (weighted * deviation).sum()

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        (slope,) = ctx.saved_tensors
        return grad * slope, None, None, None
