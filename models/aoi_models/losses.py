"""Losses on the readout: TET (arXiv 2202.11946), TRT (arXiv 2506.19256), and the plain mean output."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.nn import functional

from aoi.experiment.loss import LossConfig

_TRT_EPSILON = 1e-5


def step_outputs(scores: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """Accumulated readout (N, classes, T) → o(t), same shape."""
    if config.read == "mean":
        scores = scores / torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    elif config.read == "step":
        scores = torch.diff(scores, dim=-1, prepend=torch.zeros_like(scores[..., :1]))
    return config.gain * scores


def readout_loss(
    scores: torch.Tensor, labels: torch.Tensor, config: LossConfig, weights: Iterable[torch.Tensor] = ()
) -> torch.Tensor:
    """The loss that ``config`` names: ``scores`` (N, classes, T), ``labels`` int64 (N,) → scalar.

    Of mixed samples ``labels`` are shares, float (N, classes).
    ``weights``: the network's, which TRT looks at and the others do not.
    """
    if config.name == "mean":
        return functional.cross_entropy(config.gain / scores.shape[-1] * scores[..., -1], labels)
    loss = tet_loss(scores, labels, config)
    if config.name == "trt":
        loss = loss + time_decaying_penalty(weights, scores.shape[-1], config.trt_strength, config.trt_decay)
    return loss


def tet_loss(scores: torch.Tensor, labels: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """``scores`` (N, classes, T), ``labels`` int64 (N,) or shares (N, classes) → scalar."""
    outputs = step_outputs(scores, config)
    steps = outputs.shape[-1]
    at_steps = labels[..., None].expand(*labels.shape, steps)
    each = functional.cross_entropy(outputs, at_steps, reduction="none")  # (N, T)
    if config.mse_weight:
        shares = labels if labels.is_floating_point() else functional.one_hot(labels, outputs.shape[1])
        target = config.mse_target * shares.to(outputs.dtype)
        mse = (outputs - target[..., None]).square().mean(1)
        each = (1 - config.mse_weight) * each + config.mse_weight * mse
    if config.weight_steps is not None:
        weight = torch.exp(-torch.arange(steps, device=each.device) / config.weight_steps)
        each = each * (weight / weight.mean())
    return each.mean()


def time_decaying_penalty(weights: Iterable[torch.Tensor], steps: int, strength: float, decay: float) -> torch.Tensor:
    """TRT's ``mean_t sum_w w^2 * strength / (1 + (exp(decay * t) - 1) * (|w| + 1e-5))``, t from 0 → scalar.

    Source: ``TRT_Loss`` in ``function.py`` of github.com/ZBX05/Temporal-Regularization-Training. At t = 0 it is plain
    weight decay; the later the step, the less it asks of large weights.
    """
    total = torch.zeros(())
    growth = torch.expm1(decay * torch.arange(steps, dtype=torch.float64)).float()
    for weight in weights:
        size = (weight.abs() + _TRT_EPSILON).flatten()
        share = torch.zeros_like(size)
        for factor in growth.tolist():
            share = share + 1 / (1 + factor * size)
        total = total.to(weight.device) + (weight.flatten().square() * share).sum() / steps
    return strength * total
