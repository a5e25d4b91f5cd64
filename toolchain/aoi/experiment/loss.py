"""Configuration of the loss: TET (arXiv 2202.11946), TRT (arXiv 2506.19256), or the mean output."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LossConfig(BaseModel):
    """Which loss, and on which form of the readout.

    ``tet``: ``mean_t [(1 - mse_weight) * CE(o(t), y) + mse_weight * MSE(o(t), mse_target * onehot(y))]``: trains every
    timestep to be correct; ``weight_steps`` gives early steps more weight. ``trt``: TET plus the time-decaying weight
    penalty :func:`~aoi_models.losses.trt_penalty`. ``mean``: ``CE(gain * mean output over all T steps, y)``: trains
    only the result at T.

    ``o(t)`` is ``gain`` times the readout that ``read`` names: ``sum``, accumulated up to t, which the cutoff uses
    too; ``mean``, the same divided by t; ``step``, the output of step t only, as in the TET paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["tet", "trt", "mean"] = "tet"
    read: Literal["sum", "mean", "step"] = "sum"
    gain: float = Field(1.0, gt=0, description="factor on the readout before the softmax")
    weight_steps: float | None = Field(
        None,
        gt=0,
        description="tet, trt: time constant of decaying step weights, in steps; left out: equal weights",
    )
    mse_weight: float = Field(0.0, ge=0, le=1, description="TET's lambda")
    mse_target: float = Field(1.0, gt=0, description="TET's phi: target output of the correct class")
    trt_strength: float = Field(5e-5, ge=0, description="TRT's lambda")
    trt_decay: float = Field(0.5, ge=0, description="TRT's delta, per step")
