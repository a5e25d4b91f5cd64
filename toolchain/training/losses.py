"""TET: each timestep learns to be right (arXiv 2202.11946)."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional


class LossConfig(BaseModel):
    """``mean_t [(1 - mse_weight) * CE(o(t), y) + mse_weight * MSE(o(t), mse_target * onehot(y))]``.

    ``o(t)`` is ``gain`` times what ``read`` names: ``sum``, the accumulated readout up to t, which is what the
    cutoff reads; ``mean``, the same divided by t; ``step``, what step t adds, as in the TET paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    read: Literal["sum", "mean", "step"] = "sum"
    gain: float = Field(1.0, gt=0, description="factor on the readout before the softmax")
    mse_weight: float = Field(0.0, ge=0, le=1, description="TET's lambda")
    mse_target: float = Field(1.0, gt=0, description="TET's phi, the output wanted for the right class")


def step_outputs(scores: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """Accumulated readout (N, classes, T) → o(t), same shape."""
    if config.read == "mean":
        scores = scores / torch.arange(1, scores.shape[-1] + 1, device=scores.device)
    elif config.read == "step":
        scores = torch.diff(scores, dim=-1, prepend=torch.zeros_like(scores[..., :1]))
    return config.gain * scores


def tet_loss(scores: torch.Tensor, labels: torch.Tensor, config: LossConfig) -> torch.Tensor:
    """``scores`` (N, classes, T), ``labels`` int64 (N,) → scalar."""
    outputs = step_outputs(scores, config)
    steps = outputs.shape[-1]
    loss = functional.cross_entropy(outputs, labels[:, None].expand(-1, steps))
    if config.mse_weight:
        target = config.mse_target * functional.one_hot(labels, outputs.shape[1]).to(outputs.dtype)
        mse = functional.mse_loss(outputs, target[..., None].expand_as(outputs))
        loss = (1 - config.mse_weight) * loss + config.mse_weight * mse
    return loss
