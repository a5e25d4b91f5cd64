"""Losses on the readout: TET (arXiv 2202.11946), TRT (arXiv 2506.19256), and the plain mean output.

Each is a function of tensors, for any training loop. ``scores`` (N, classes, T) float32 is the readout accumulated up
to each step: of output spikes (N, classes, T) it is ``spikes.cumsum(-1)``, of an integrator its voltage.

    scores = net(spikes).cumsum(-1)
    loss = tet_loss(scores, labels, gain=0.5)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch.nn import functional

from aoi.experiment.loss import LossConfig

__all__ = ["mean_loss", "readout_loss", "step_outputs", "tet_loss", "trt_penalty"]

_TRT_EPSILON = 1e-5
_DEFAULTS = LossConfig()  # the one place of the defaults


def tet_loss(
    scores: torch.Tensor,
    labels: torch.Tensor,
    *,
    gain: float = _DEFAULTS.gain,
    read: Literal["sum", "mean", "step"] = _DEFAULTS.read,
    weight_steps: float | None = _DEFAULTS.weight_steps,
    mse_weight: float = _DEFAULTS.mse_weight,
    mse_target: float = _DEFAULTS.mse_target,
) -> torch.Tensor:
    """TET: the mean over the steps of each step's loss, so that every step learns to be right → scalar.

    ``mean_t [(1 - mse_weight) * CE(o(t), y) + mse_weight * MSE(o(t), mse_target * onehot(y))]``, eq. 9 to 11 of the
    paper, with ``o(t)`` as :func:`step_outputs` gives it.

    Args:
        scores: accumulated readout, float (N, classes, T).
        labels: int64 (N,), or of mixed samples their shares, float (N, classes).
        gain: factor on the readout before the softmax.
        read: what ``o(t)`` is: ``sum`` up to t, which is what the cutoff reads; ``mean`` up to t; ``step``: what step t
            adds, as in the paper.
        weight_steps: steps in which the weight of a step falls to 1/e; None: all weigh the same.
        mse_weight: the paper's lambda, 0 to 1.
        mse_target: the paper's phi, the output wanted for the right class.
    """
    outputs = step_outputs(scores, gain=gain, read=read)
    steps = outputs.shape[-1]
    at_steps = labels[..., None].expand(*labels.shape, steps)
    each = functional.cross_entropy(outputs, at_steps, reduction="none")  # (N, T)
    if mse_weight:
        shares = labels if labels.is_floating_point() else functional.one_hot(labels, outputs.shape[1])
        target = mse_target * shares.to(outputs.dtype)
        mse = (outputs - target[..., None]).square().mean(1)
        each = (1 - mse_weight) * each + mse_weight * mse
    if weight_steps is not None:
        weight = torch.exp(-torch.arange(steps, device=each.device) / weight_steps)
        each = each * (weight / weight.mean())
    return each.mean()


def step_outputs(
    scores: torch.Tensor,
    *,
    gain: float = _DEFAULTS.gain,
    read: Literal["sum", "mean", "step"] = _DEFAULTS.read,
) -> torch.Tensor:
    """Accumulated readout (N, classes, T) → o(t), the logits of each step, same shape; see :func:`tet_loss`."""
    if read == "mean":
        scores = scores / torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    elif read == "step":
        scores = torch.diff(scores, dim=-1, prepend=torch.zeros_like(scores[..., :1]))
    return gain * scores


def mean_loss(scores: torch.Tensor, labels: torch.Tensor, *, gain: float = _DEFAULTS.gain) -> torch.Tensor:
    """``CE(gain * mean output over all T steps, y)``: only the end counts → scalar. Arguments as :func:`tet_loss`."""
    return functional.cross_entropy(gain / scores.shape[-1] * scores[..., -1], labels)


def trt_penalty(
    weights: Iterable[torch.Tensor],
    steps: int,
    *,
    strength: float = _DEFAULTS.trt_strength,
    decay: float = _DEFAULTS.trt_decay,
) -> torch.Tensor:
    """TRT's ``mean_t sum_w w^2 * strength / (1 + (exp(decay * t) - 1) * (|w| + 1e-5))``, t from 0 → scalar.

    At t = 0 it is plain weight decay; the later the step, the less it asks of large weights. Added to
    :func:`tet_loss` it is the loss of the paper. Source: ``TRT_Loss`` in ``function.py`` of
    github.com/ZBX05/Temporal-Regularization-Training.

    Args:
        weights: the network's, of any shape.
        steps: T.
        strength: the paper's lambda.
        decay: the paper's delta, for each step.

    Example:
        loss = tet_loss(scores, labels) + trt_penalty((b.synapse.weight for b in net.blocks), scores.shape[-1])
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


def readout_loss(
    scores: torch.Tensor, labels: torch.Tensor, config: LossConfig, weights: Iterable[torch.Tensor] = ()
) -> torch.Tensor:
    """The loss that a configuration names → scalar; ``scores`` and ``labels`` as :func:`tet_loss`.

    ``weights``: the network's, which TRT looks at and the others do not.
    """
    if config.name == "mean":
        return mean_loss(scores, labels, gain=config.gain)
    loss = tet_loss(
        scores,
        labels,
        gain=config.gain,
        read=config.read,
        weight_steps=config.weight_steps,
        mse_weight=config.mse_weight,
        mse_target=config.mse_target,
    )
    if config.name == "trt":
        loss = loss + trt_penalty(weights, scores.shape[-1], strength=config.trt_strength, decay=config.trt_decay)
    return loss
